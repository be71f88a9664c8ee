"""Ladders of requests as pages draw them: what each rung answered, cost and took; who was left out or not asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from governance.figures import Rung, RungState, duration_words
from governance.models import Review
from ledger.attempts import Attempt, cost
from ledger.models import Decision, UsageEvent
from routing import words
from routing.retellings import Retelling
from smallfirst import engine
from smallfirst.engine import AttemptSignals, Keep, LeftOut, Plan, PlannedRung, Refusal, Snapshot

Outcome = UsageEvent.Outcome
# What came of an attempt without an answer, as a clause.
FAILED = {
    Outcome.ERROR: "error",
    Outcome.TIMEOUT: "no answer in time",
    Outcome.REFUSED: "refused the request",
    Outcome.ABORTED: "cut off",
}


@dataclass(frozen=True)
class Made:
    """One attempt as the decision knows it, with its usage event where that has arrived."""

    signals: AttemptSignals
    attempt: Attempt | None


@dataclass(frozen=True)
class Told:
    """A decision whose retelling has a plan, with the attempts that were made."""

    record: engine.Decision
    snapshot: Snapshot
    made: list[Made]

    def at(self, rung: int) -> list[Made]:
        """The attempts of one rung."""
        return [one for one in self.made if one.signals.rung == rung]


def made(record: engine.Decision, attempts: Sequence[Attempt]) -> list[Made]:
    """Pair the attempts of a decision with their usage events."""
    by_number = {attempt.event.attempt: attempt for attempt in attempts}
    return [Made(signals, by_number.get(number)) for number, signals in enumerate(record.attempts)]


def whole(retelling: Retelling, attempts: Sequence[Attempt], review: Review | None) -> list[Rung]:
    """The ladder of one request as its retelling shows it, cheapest first, with who was left out and who not asked."""
    planned = retelling.planned
    if retelling.record is None or retelling.snapshot is None or planned is None:
        return []
    told = Told(retelling.record, retelling.snapshot, made(retelling.record, attempts))
    if isinstance(planned, Refusal):
        return [_left_out(one, told) for one in planned.left_out]
    drawn = {rung.model: _rung(number, planned, told) for number, rung in enumerate(planned.rungs)}
    drawn |= {one.model: _left_out(one, told) for one in planned.left_out}
    rungs = [drawn.pop(name) for name in _order(planned, told) if name in drawn]
    return [*rungs, *drawn.values(), *_person(planned, told, review)]


def would_be(retelling: Retelling, attempts: Sequence[Attempt]) -> list[Rung]:
    """The ladder that a policy which was only watched would have entered, from where it would have started."""
    would = retelling.would
    if retelling.record is None or retelling.snapshot is None or would is None:
        return []
    told = Told(retelling.record, retelling.snapshot, made(retelling.record, attempts))
    if isinstance(would, Refusal):
        return [_left_out(one, told) for one in would.left_out]
    served = {one.signals.endpoint for one in told.made}
    rungs = []
    for place, rung in enumerate(would.rungs[would.start :]):
        word = "would be asked first" if place == 0 else "then, if not sure"
        was = any(endpoint.id in served for endpoint in rung.endpoints)
        rungs.append(replace(_unasked(rung, told, "was served" if was else ""), state="planned", word=word))
    if would.review is not None:
        word = "then releases it" if would.review.when == "always" else "if still not sure"
        rungs.append(Rung(tier="person", model=would.review.role, state="planned", word=word))
    return rungs


def small(row: Decision, attempts: Sequence[Attempt], review: str | None, tier_of: Mapping[str, str]) -> list[Rung]:
    """The ladder of a request for a row in a list: the policy's own, with what is known to have happened on it.

    It is not replayed, so who was left out stands there as not asked. `review` is the state of its review.
    """
    document = row.policy_version.document if row.policy_version else {}
    steps = {step["name"]: step for step in document.get("steps", [])}
    step = steps.get(row.step) or steps.get("*") or {}
    names = [rung["model"] for rung in step.get("ladder", [])] if row.mode == Decision.Mode.ENFORCE else []
    asked: dict[str, Rung] = {}
    for attempt in attempts:
        state: RungState = "kept" if attempt.event.kept else "climbed"
        if attempt.event.outcome != Outcome.OK:
            state = "failed"
        asked[attempt.event.model] = Rung(attempt.event.tier, attempt.event.model, state)
    if row.kept_model and row.kept_model not in asked:
        # Its usage event is still on its way.
        asked[row.kept_model] = Rung(row.tier or "", row.kept_model, "kept")
    unasked = {name: Rung(tier_of.get(name, ""), name, "not_asked") for name in names}
    # In the order of the policy, then what it does not list: a model that the request named.
    rungs = [*(unasked | asked).values()]
    if row.outcome == Decision.Outcome.PERSON:
        word = words.REVIEWS[Review.Status(review)].words if review else "asked"
        rungs.append(Rung("person", "a person", "person", word=word))
    elif step.get("review") and row.mode == Decision.Mode.ENFORCE:
        rungs.append(Rung("person", "a person", "not_asked"))
    return rungs


def failure(outcome: str, event: UsageEvent | None, after: str = "") -> str:
    """What came of an attempt without an answer, with the status and error that its usage event knows."""
    details = [str(each) for each in (event.http_status, event.error) if each] if event else []
    return f"{FAILED[Outcome(outcome)]}{after}" + (f" ({', '.join(details)})" if details else "")


def review_word(review: Review | None) -> str:
    """How a review stands, in words."""
    if review is None:
        return "asked a person"
    status = Review.Status(review.status)
    if status == Review.Status.ANSWERED:
        return f"{review.ended_by} answered"
    return "waiting for a person" if status == Review.Status.OPEN else words.REVIEWS[status].words


def waited(review: Review | None) -> timedelta | None:
    """How long a person took, or time itself."""
    return None if review is None or review.ended_at is None else review.ended_at - review.opened_at


def _rung(number: int, planned: Plan, told: Told) -> Rung:
    rung, asked = planned.rungs[number], told.at(number)
    if not asked:
        return _unasked(rung, told, "the ladder started above it" if number < planned.start else "")
    move = engine.next(planned, told.record.attempts)
    kept = isinstance(move, Keep) and move.rung == number
    last = asked[-1].signals
    amount, currency, priced, about = _cost(asked, told)
    return Rung(
        tier=rung.tier,
        model=rung.model,
        state="kept" if kept else "climbed" if last.outcome == "ok" else "failed",
        confidence=last.confidence,
        threshold=rung.keep_from,
        cost=amount,
        currency=currency,
        priced=priced,
        about=about,
        milliseconds=sum(one.signals.latency_ms for one in asked),
        word=_word(planned, told.record, last, kept=kept),
        why=_why(planned, asked),
    )


def _unasked(rung: PlannedRung, told: Told, why: str) -> Rung:
    """A rung that was not asked, with what it would about have cost by the tokens of the last answer."""
    answered = [one for one in told.made if one.signals.output_tokens is not None]
    guessed = None
    if answered:
        event = answered[-1].attempt.event if answered[-1].attempt else None
        guessed = engine.cost(
            told.snapshot,
            rung.endpoints[0].id,
            input_tokens=event.input_tokens if event else told.record.signals.input_tokens,
            output_tokens=answered[-1].signals.output_tokens,
        )
    return Rung(
        tier=rung.tier,
        model=rung.model,
        state="not_asked",
        threshold=rung.keep_from,
        cost=guessed.amount if guessed else None,
        currency=guessed.currency if guessed else "",
        why=why,
    )


def _word(planned: Plan, record: engine.Decision, last: AttemptSignals, *, kept: bool) -> str:
    """The state of a rung that was asked, where the state's own words would say too much."""
    unsure = last.outcome == "ok" and engine.doubt(planned, last) is not None
    if kept:
        return "kept, nothing else was left" if unsure else ""
    if last.rung != record.attempts[-1].rung:
        return ""
    if last.outcome != "ok":
        return "failed"
    return "proposed" if record.outcome == "person" and not unsure else "not sure"


def _why(planned: Plan, asked: Sequence[Made]) -> str:
    """What the numbers of a rung do not say by themselves: each failure, and a doubt that is not the confidence's."""
    said = [_failed(one) for one in asked if one.signals.outcome != "ok"]
    last = asked[-1].signals
    doubt = engine.doubt(planned, last) if last.outcome == "ok" else None
    if doubt is not None and doubt.code != "confidence":
        said.append(doubt.sentence)
    return "; ".join(said)


def _failed(one: Made) -> str:
    after = f" after {duration_words(one.signals.latency_ms)}"
    return failure(one.signals.outcome, one.attempt.event if one.attempt else None, after)


def _cost(asked: Sequence[Made], told: Told) -> tuple[Decimal | None, str, bool, bool]:
    """What a rung cost, its currency, whether that is known, and whether it is only what the snapshot's prices say."""
    attempts = [one.attempt for one in asked if one.attempt is not None]
    charged = cost(attempts, of=len(asked))
    if not charged.pending:
        if charged.unpriced or len(charged.amounts) != 1:
            return None, "", False, False
        ((currency, amount),) = charged.amounts.items()
        return amount, currency, True, False
    guesses = [_at_snapshot_prices(attempt.event, told) for attempt in attempts]
    known = [one for one in guesses if one is not None]
    if not known or len(known) < len(asked) or len({one.currency for one in known}) > 1:
        return None, "", True, False
    return sum((one.amount for one in known), Decimal(0)), known[0].currency, True, True


def _at_snapshot_prices(event: UsageEvent, told: Told) -> engine.Amount | None:
    return engine.cost(
        told.snapshot,
        str(event.endpoint_id),
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        cache_read_tokens=event.cache_read_tokens,
        cache_write_tokens=event.cache_write_tokens,
    )


def _left_out(one: LeftOut, told: Told) -> Rung:
    known = told.snapshot.models.get(one.model)
    return Rung(tier=known.tier if known else "", model=one.model, state="left_out", why=one.text)


def _order(planned: Plan, told: Told) -> list[str]:
    """The names of the ladder as the policy lists them."""
    step = told.snapshot.workflows[told.record.workflow].steps.get(planned.step)
    return [rung.model for rung in step.step.ladder] if step else []


def _person(planned: Plan, told: Told, review: Review | None) -> list[Rung]:
    if planned.review is None:
        return []
    role = planned.review.role
    if told.record.outcome != "person":
        return [Rung(tier="person", model=role, state="not_asked")]
    took = waited(review)
    whys = ["releases every answer of this step"] if planned.review.when == "always" else []
    if took is not None:
        whys.append(f"after {duration_words(round(took / timedelta(milliseconds=1)))}")
    return [Rung(tier="person", model=role, state="person", word=review_word(review), why=", ".join(whys))]
