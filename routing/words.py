"""What became of a request, in words and in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from governance.figures import NBSP, Rung, duration_words, money_words
from governance.models import Review
from ledger.attempts import Attempt, Cost
from ledger.models import Decision, UsageEvent
from routing.retellings import Retelling
from smallfirst.engine import Plan, Refusal

Outcome = Decision.Outcome
Status = Review.Status
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MILLISECOND = timedelta(milliseconds=1)


class Standing(NamedTuple):
    """How something stands: the level of a state on a page, and its words."""

    level: str
    words: str


STANDINGS = {
    Outcome.KEPT: Standing("quiet", "kept"),
    Outcome.FAILED: Standing("bad", "no answer"),
    Outcome.REFUSED: Standing("warn", "not allowed"),
}
REVIEWS = {
    Status.OPEN: Standing("warn", "waits for a person"),
    Status.CLAIMED: Standing("warn", "a person has it"),
    Status.ANSWERED: Standing("quiet", "a person answered"),
    Status.EXPIRED: Standing("bad", "nobody decided in time"),
    Status.CANCELLED: Standing("quiet", "cancelled"),
}


@dataclass(frozen=True)
class Asked:
    """A model that was asked, and whether it answered in the end."""

    model: str
    answered: bool


def standing(decision: Decision, review: str | None) -> Standing:
    """What came of a request, given the state of its review."""
    if decision.outcome != Outcome.PERSON:
        return STANDINGS[Outcome(decision.outcome)]
    if review:
        return REVIEWS[Status(review)]
    # What was recorded elsewhere has no review here, and waits for nobody.
    return (
        Standing("quiet", "a person decided") if decision.environment.recorded else Standing("warn", "asked a person")
    )


def number(count: int) -> str:
    """A small number in words."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def asked(retelling: Retelling, attempts: Sequence[Attempt]) -> list[Asked]:
    """The models that a request asked, each once, in their order."""
    if isinstance(retelling.planned, Plan) and retelling.record is not None:
        rungs = retelling.planned.rungs
        told = [(rungs[one.rung].model, one.outcome == "ok") for one in retelling.record.attempts]
    else:
        told = [(one.event.model, one.event.outcome == UsageEvent.Outcome.OK) for one in attempts]
    answered: dict[str, bool] = {}
    for model, ok in told:
        answered[model] = answered.get(model, False) or ok
    return [Asked(model, ok) for model, ok in answered.items()]


def cost(charged: Cost, rungs: Sequence[Rung]) -> str:
    """What a request cost: as charged, or, until that is known, about what its rungs say."""
    if not charged.pending and not charged.unpriced:
        return amounts(charged.amounts) or "nothing charged"
    if charged.unpriced:
        return f"{amounts(charged.amounts)} and more without a price" if charged.amounts else "not priced"
    guessed = [rung for rung in rungs if rung.asked and rung.cost is not None]
    if not guessed or len({rung.currency for rung in guessed}) > 1:
        return "price follows"
    total = sum((rung.cost for rung in guessed if rung.cost is not None), Decimal(0))
    return f"about {amounts({guessed[0].currency: total})}"


def cost_and_time(cost: str, took: str) -> str:
    """What a request cost and took: `USD 0.02 in 40 ms`; `40 ms, price follows` where no amount is said."""
    return f"{cost} in {took}" if any(each.isdigit() for each in cost) else f"{took}, {cost}"


def headline(
    decision: Decision, retelling: Retelling, models: Sequence[Asked], review: Review | None, cost: str
) -> str:
    """The sentence that says what became of a request: who answered after whom, what it cost, how long it took."""
    took = duration_words(sum(one["latency_ms"] for one in decision.attempts))
    tail = f": {cost_and_time(cost, took)}" if models else ""
    match decision.outcome:
        case Outcome.KEPT:
            return f"{_kept(decision, models)}{tail}"
        case Outcome.PERSON:
            return f"{_person(models, retelling, review, recorded=decision.environment.recorded)}{tail}"
        case Outcome.REFUSED:
            return refused(retelling)
        case _:
            return f"{_failed(models)}{tail}"


def refused(retelling: Retelling) -> str:
    """Why a request was not allowed or not served, in one sentence."""
    if not isinstance(retelling.planned, Refusal):
        return "The request was not allowed"
    text = retelling.planned.text.rstrip(".")
    if retelling.planned.left_out:
        text = f"no model is left on the ladder ({retelling.planned.clause.replace('_', ' ')})"
    return f"{'Not allowed' if retelling.planned.code == 'not_allowed' else 'Not served'}: {text}"


def _kept(decision: Decision, models: Sequence[Asked]) -> str:
    kept = decision.kept_model or "A model"
    others = [one for one in models if one.model != kept]
    if decision.mode == Decision.Mode.OBSERVE:
        return f"{kept} answered, as the request asked; the policy was only watched"
    if not others:
        return f"{kept} answered at once"
    if models[-1].model != kept:
        return f"The answer of {kept} was kept, for what was asked after it gave none"
    return f"{kept} answered after {_others(others)}"


def _others(others: Sequence[Asked]) -> str:
    """`two others were not sure`, `another failed`, `one was not sure and two failed`."""
    unsure = sum(one.answered for one in others)
    failed = len(others) - unsure
    if unsure and failed:
        return f"{number(unsure)} {'was' if unsure == 1 else 'were'} not sure and {number(failed)} failed"
    who = "another" if len(others) == 1 else f"{number(len(others))} others"
    if failed:
        return f"{who} failed"
    return f"{who} {'was' if unsure == 1 else 'were'} not sure"


def _person(models: Sequence[Asked], retelling: Retelling, review: Review | None, *, recorded: bool) -> str:
    if not models:
        return "The same request went to a person before, so no model was asked"
    planned = retelling.planned
    always = isinstance(planned, Plan) and planned.review is not None and planned.review.when == "always"
    before = f"{models[-1].model} proposed an answer" if always else f"{_many(models).capitalize()} not sure"
    if review is None and recorded:
        return f"{before}, and a person decided"
    if review is None or review.status in Review.WAITING:
        return f"{before}, and a person {'has to release it' if always else 'is asked'}"
    if review.status == Status.ANSWERED and review.ended_at is not None:
        waited = duration_words(round((review.ended_at - review.opened_at) / MILLISECOND))
        return f"{before}, and {review.ended_by} answered after {waited}"
    if review.status == Status.EXPIRED:
        return f"{before}, and nobody decided in time"
    return f"{before}, and the case was cancelled"


def _failed(models: Sequence[Asked]) -> str:
    if not models:
        return "The request ended before any model was asked"
    if any(one.answered for one in models):
        return f"The request ended before an answer was kept; {_many(models)} asked"
    return f"No model answered; {_many(models)} asked"


def _many(models: Sequence[Asked]) -> str:
    """`one model was`, `three models were`."""
    return "one model was" if len(models) == 1 else f"{number(len(models))} models were"


def amounts(amounts: Mapping[str, Decimal]) -> str:
    """Amounts by currency as a sentence holds them; empty where there are none."""
    said = [f"{currency}{NBSP}{money_words(amount)}" for currency, amount in amounts.items()]
    return " and ".join(said)
