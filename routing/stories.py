"""One request told from triage to the person: what came of it, why, for how much, and whether its record holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from governance.figures import NBSP, Rung, duration_words
from governance.models import Change, Endpoint, Review
from ledger import attempts as made
from ledger.attempts import Attempt, Cost
from ledger.models import Decision, Price
from routing import ladders, requests, retellings, words
from routing.retellings import Retelling
from smallfirst import engine
from smallfirst.engine import Plan, Refusal
from smallfirst.engine.triage import cuts_reached
from smallfirst.engine.words import listed, share

MILLISECOND = timedelta(milliseconds=1)
# What the numbers of a text are called.
SIGNALS = {
    "input_tokens": "tokens in, estimated",
    "characters": "characters",
    "words": "words",
    "sentences": "sentences",
    "questions": "questions",
    "digits": "digits",
    "code": "lines like code",
}


class Stage(NamedTuple):
    """A station of a request on its way: its name, what it came to in a word, and more of it."""

    name: str
    word: str
    text: str


@dataclass(frozen=True)
class Line:
    """One attempt in the table of a request: what the engine was told, what was charged, by which price and where.

    `began` is in milliseconds after the first attempt began. `attempt` is None until its usage event has arrived.
    """

    number: int
    model: str
    tier: str
    signals: engine.AttemptSignals
    attempt: Attempt | None
    endpoint: Endpoint | None
    price: Price | None
    began: int | None


@dataclass(frozen=True)
class Story:
    """A request as its page tells it."""

    decision: Decision
    retelling: Retelling
    attempts: list[Attempt]
    cost: Cost
    review: Review | None
    rungs: list[Rung]
    would: list[Rung]
    headline: str

    @property
    def standing(self) -> words.Standing:
        """What came of it."""
        return words.standing(self.decision, self.review.status if self.review else None)

    @property
    def mark(self) -> str:
        """What tells whether a page that was drawn before shows the same."""
        return requests.mark(self.decision, self.cost, len(self.attempts), self.review.status if self.review else None)

    @property
    def settled(self) -> bool:
        """Whether nothing more will come of it: its attempts are charged and no person is waited for."""
        ended = self.decision.review_id is None or (self.review is not None and self.review.ended_at is not None)
        return ended and not self.cost.pending and len(self.attempts) == len(self.decision.attempts)


def tell(decision: Decision, tier_of: Mapping[str, str]) -> Story:
    """Return the story of a decision that `for_list` read; three queries."""
    retelling = retellings.retell(decision)
    attempts = made.of([decision.id]).get(decision.id, [])
    review = None
    if decision.review_id is not None:
        review = Review.objects.for_list().filter(pk=decision.review_id).first()
    rungs = ladders.whole(retelling, attempts, review)
    if retelling.planned is None:
        rungs = ladders.small(decision, attempts, review.status if review else None, tier_of)
    cost = made.cost(attempts, of=len(decision.attempts))
    asked = words.asked(retelling, attempts)
    return Story(
        decision=decision,
        retelling=retelling,
        attempts=attempts,
        cost=cost,
        review=review,
        rungs=rungs,
        would=ladders.would_be(retelling, attempts),
        headline=words.headline(decision, retelling, asked, review, words.cost(cost, rungs)),
    )


def lines(story: Story) -> list[Line]:
    """Return the attempts of a request as a table shows them; two queries."""
    by_number = {one.event.attempt: one for one in story.attempts}
    told = [engine.AttemptSignals(**one) for one in story.decision.attempts]
    places = Endpoint.objects.select_related("version__model", "provider").in_bulk([UUID(one.endpoint) for one in told])
    prices = Price.objects.in_bulk([one.price for one in story.attempts if one.price is not None])
    first = min((one.event.occurred_at for one in story.attempts), default=None)
    found = []
    for number, signals in enumerate(told):
        attempt, place = by_number.get(number), places.get(UUID(signals.endpoint))
        model = place.version.model if place else None
        found.append(
            Line(
                number=number + 1,
                model=attempt.event.model if attempt else model.name if model else "",
                tier=attempt.event.tier if attempt else str(model.tier) if model else "",
                signals=signals,
                attempt=attempt,
                endpoint=place,
                price=prices.get(attempt.price) if attempt and attempt.price else None,
                began=round((attempt.event.occurred_at - first) / MILLISECOND) if attempt and first else None,
            )
        )
    return found


def stages(story: Story) -> list[Stage]:
    """Return the stations of a request: triage, attempts, gate, person. Empty where it could not be decided again."""
    record, planned = story.retelling.record, story.retelling.planned
    if record is None or planned is None:
        return []
    return [_triage(record, planned), _attempts(story, planned), _gate(story, planned), _person(story, planned)]


def live_by(decision: Decision) -> Change | None:
    """Return the change that made the policy version of a decision live in its environment; one query."""
    if decision.policy_version_id is None:
        return None
    applied = Change.objects.filter(state=Change.State.APPLIED, environment=decision.environment_id)
    return applied.filter(revision__version=decision.policy_version_id).order_by("-applied_at").first()


def numbers(signals: engine.Signals) -> list[tuple[str, int]]:
    """Return what was counted in the text, each number under its name."""
    return [(words, getattr(signals, name)) for name, words in SIGNALS.items()]


def _triage(record: engine.Decision, planned: Plan | Refusal) -> Stage:
    seen = listed([cut.words for cut in cuts_reached(record.signals)])
    text = seen or "short and plain"
    if isinstance(planned, Plan) and planned.start > 0:
        by = f"rule “{planned.start_rule}”" if planned.start_rule else "so"
        text = f"{text}; {by} it started at {planned.rungs[planned.start].model}"
    return Stage("Triage", planned.triage, text)


def _attempts(story: Story, planned: Plan | Refusal) -> Stage:
    count = len(story.decision.attempts)
    if isinstance(planned, Refusal):
        return Stage("Attempts", "none", "refused before any model was asked")
    if not count:
        return Stage("Attempts", "none", "no model was asked")
    took = duration_words(sum(one["latency_ms"] for one in story.decision.attempts))
    text = words.cost_and_time(words.cost(story.cost, story.rungs), took)
    left = len(planned.left_out)
    if left:
        text = f"{text}; {words.number(left)} left out"
    return Stage("Attempts", f"{count}{NBSP}{'attempt' if count == 1 else 'attempts'}", text)


def _gate(story: Story, planned: Plan | Refusal) -> Stage:
    if isinstance(planned, Refusal):
        return Stage("Gate", "not reached", f"{planned.clause.replace('_', ' ')} refused it before")
    gate = planned.gate
    if gate is None:
        return Stage("Gate", "none", "the first answer is kept")
    asks = [] if gate.keep_from is None else [f"from {share(gate.keep_from)}"]
    asks += [] if gate.labels is None else [listed(gate.labels, "or")]
    passed = story.decision.kept_model
    last = story.retelling.record.attempts[-1] if story.retelling.record and story.retelling.record.attempts else None
    doubt = engine.doubt(planned, last) if last is not None and last.outcome == "ok" else None
    if passed and doubt is None:
        return Stage("Gate", "passed", f"{passed} was sure enough: kept {', '.join(asks)}")
    return Stage("Gate", "not passed", f"kept {', '.join(asks)}" if asks else "")


def _person(story: Story, planned: Plan | Refusal) -> Stage:
    if isinstance(planned, Refusal) or planned.review is None:
        return Stage("Person", "none", "this policy asks no person here")
    if story.decision.outcome != Decision.Outcome.PERSON:
        then = "releases every answer" if planned.review.when == "always" else "would decide if no model were sure"
        return Stage("Person", "not asked", f"a {planned.review.role} {then}")
    took = ladders.waited(story.review)
    text = f"after {duration_words(round(took / MILLISECOND))}" if took is not None else ""
    return Stage("Person", ladders.review_word(story.review), text)


def tags(decision: Decision) -> Sequence[tuple[str, str]]:
    """Return what the application said beside the facts."""
    return [(name, value) for name, value in decision.facts.get("tags", [])]
