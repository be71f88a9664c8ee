"""Requests as people find them: one stored decision each, with its attempts and what came of it.

Lists go by the ids of decisions, which rise with time: the database never counts or skips through millions.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, F, Func, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum, TextChoices, TextField
from django.db.models.expressions import RawSQL
from django.db.models.lookups import GreaterThan

from governance import readers
from governance.figures import TIERS, Rung
from governance.models import ApiKey, Review, User, Workflow
from ledger import attempts as made
from ledger.attempts import Attempt, Cost
from ledger.models import Charge, Decision, UsageEvent
from ledger.models.decisions import DecisionQuerySet
from routing import ladders, words

ROWS = 50
# More are only said to be more: counting them would take longer than all else.
MOST_COUNTED = 10_000
# In order of cost or time are put so many: the attempts and charges of each are read for it.
MOST_RANKED = 2_000
HOUR = timedelta(hours=1)
PERSON = TIERS[-1]
# What a selection may name beside each outcome: those of which nobody was to answer.
UNANSWERED = "unanswered"
NO_ANSWER = (Decision.Outcome.FAILED, Decision.Outcome.REFUSED)
# Milliseconds of all attempts of a decision.
LATENCY = RawSQL(
    "(SELECT sum((one ->> 'latency_ms')::bigint) FROM jsonb_array_elements(ledger_decision.attempts) one)", []
)
# The currency of all attempts of a decision; null where one has no charge or another currency, or where the tokens of
# the answer that was kept are not known.
PAID_IN = RawSQL(
    """(
        SELECT CASE WHEN count(*) FILTER (WHERE charge.amount IS NULL) = 0
            AND min(charge.currency) = max(charge.currency)
            AND sum(event.input_tokens + event.cache_read_tokens + event.cache_write_tokens) FILTER (WHERE event.kept)
                IS NOT NULL
            AND sum(event.output_tokens) FILTER (WHERE event.kept) IS NOT NULL
        THEN min(charge.currency) END
        FROM ledger_usageevent event LEFT JOIN ledger_charge charge ON charge.id = event.id
        WHERE event.decision_id = ledger_decision.id
    )""",
    [],
    output_field=TextField(),
)


class Kind(TextChoices):
    """What requests are made for."""

    WORK = "work", "Work"
    EVALUATION = "evaluation", "Evaluations"


class Watching(TextChoices):
    """What can be told of a request whose policy was only watched: as observing says it."""

    REFUSED = "refused", "The policy would have refused it"
    WHOLE = "whole", "Its answer, tokens and cost are known"
    OPEN = "open", "Its answer, tokens or cost are not known"


class Reader(readers.Reader):
    """Whose requests a person may read."""

    @property
    def decisions(self) -> DecisionQuerySet:
        """The decisions of his workflows."""
        return Decision.objects.all() if self.keys is None else Decision.objects.filter(workflow__in=self.keys)


@dataclass(frozen=True)
class Begun:
    """A ladder on which a policy would have begun, at one step or, without one, at any."""

    models: tuple[str, ...]
    step: str = ""

    @property
    def condition(self) -> Q:
        """What holds of the decisions that began so."""
        begun = Q(observed_ladder=list(self.models))
        return begun & Q(step=self.step) if self.step else begun


@dataclass(frozen=True)
class Selection:
    """What is looked at; empty is all.

    `outcome` is one of Decision.Outcome or UNANSWERED, `recorded` leaves what was measured elsewhere and imported.
    `tier` is who answered and `model` the model that did, `key` a key's name or first letters; `several` leaves those
    with more than one attempt, `hour` those of the hour before it, `ahead` those dated after now by a gateway whose
    clock is ahead, which no other selection holds; the days are those of the reporting zone, both included. `asked` is
    the model that was named; of requests whose policy was only watched `watched` says what can be told of them,
    `ladders` on which of these it would have begun, of one step each or of any; `paid` is the currency of all that was
    charged.
    """

    workflow: Workflow | None = None
    step: str = ""
    environment: str = ""
    outcome: str = ""
    tier: str = ""
    model: str = ""
    mode: str = ""
    key: str = ""
    run: str = ""
    recorded: bool = False
    kind: Kind | None = None
    several: bool = False
    ahead: bool = False
    hour: datetime | None = None
    asked: str = ""
    watched: Watching | None = None
    ladders: tuple[Begun, ...] = ()
    paid: str = ""
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class Place:
    """Where in a list one is: behind the request of this id, or in front of it; at its start without either."""

    after: UUID | None = None
    before: UUID | None = None


@dataclass(frozen=True)
class Page:
    """Some decisions of a list; more stand in front of `before` and behind `after`, where that is set."""

    decisions: list[Decision]
    before: UUID | None = None
    after: UUID | None = None


@dataclass(frozen=True)
class Row:
    """A request in a list: its ladder, what it cost, and the state of its review."""

    decision: Decision
    attempts: list[Attempt]
    cost: Cost
    review: str | None
    tier_of: Mapping[str, str]

    @property
    def rungs(self) -> list[Rung]:
        """Its ladder, small."""
        return ladders.small(self.decision, self.attempts, self.review, self.tier_of)

    @property
    def milliseconds(self) -> int:
        """How long all its attempts took."""
        return sum(one["latency_ms"] for one in self.decision.attempts)

    @property
    def confidence(self) -> float | None:
        """How sure the last answer was, which is the one that was kept or proposed."""
        return self.decision.attempts[-1].get("confidence") if self.decision.attempts else None

    @property
    def standing(self) -> words.Standing:
        """What came of it."""
        return words.standing(self.decision, self.review)

    @property
    def mark(self) -> str:
        """What tells whether a page that was drawn before shows the same."""
        return mark(self.decision, self.cost, len(self.attempts), self.review)


@dataclass(frozen=True)
class Hour:
    """What came in the hour before `until`: how many requests, who answered them, what they cost by currency.

    `more`: there are more than MOST_COUNTED, and what is counted is that of the newest.
    """

    until: datetime
    requests: int
    more: bool
    answered: Mapping[str, int]
    failed: int
    refused: int
    amounts: Mapping[str, Decimal]


def reader(user: User) -> Reader:
    """Return whose requests a person may read; one query. Raises NotPermitted where they are nobody's."""
    return Reader.of(user, "requests.view")


def mark(decision: Decision, cost: Cost, attempts: int, review: str | None) -> str:
    """A text that changes with all that may still come of a decision: its attempts, their charges, its review."""
    return f"{decision.id}:{attempts}:{cost.pending}:{review or ''}"


def find(reader: Reader, selection: Selection, *, zone: ZoneInfo, now: datetime) -> DecisionQuerySet:
    """Return the decisions of a selection, in no order.

    Lists go by the time in the ids: one that has not come yet would stand before all that ever comes.
    """
    found = reader.decisions.on_days(selection.first, selection.last, zone=zone)
    found = found.to_come(now) if selection.ahead else found.come(now)
    if selection.workflow is not None:
        found = found.filter(workflow=selection.workflow)
    if selection.tier == PERSON:
        found = found.filter(outcome=Decision.Outcome.PERSON)
    elif selection.tier:
        found = found.filter(tier=selection.tier)
    if selection.key:
        found = found.filter(Q(key__name=selection.key) | Q(key__prefix=selection.key.removeprefix("sf_")))
    if selection.kind is not None:
        found = made_for(found, selection.kind)
    if selection.hour is not None:
        found = in_hour(found, selection.hour)
    if selection.several:
        tried = Func("attempts", function="jsonb_array_length", output_field=IntegerField())
        found = found.filter(GreaterThan(tried, 1))
    if selection.recorded:
        found = found.filter(environment__recorded=True)
    if selection.outcome:
        found = found.filter(outcome__in=NO_ANSWER if selection.outcome == UNANSWERED else [selection.outcome])
    same = {
        "step": selection.step,
        "environment__name": selection.environment,
        "kept_model": selection.model,
        "mode": selection.mode,
        "run": selection.run,
        "facts__model": selection.asked,
    }
    return watched(found.filter(**{name: value for name, value in same.items() if value}), selection)


def made_for(found: DecisionQuerySet, kind: Kind) -> DecisionQuerySet:
    """Return those of some decisions that were made for work, which trials are too, or to measure models."""
    measured = {"key__purpose": ApiKey.Purpose.EVALUATION}
    return found.filter(**measured) if kind is Kind.EVALUATION else found.exclude(**measured)


def watched(found: DecisionQuerySet, selection: Selection) -> DecisionQuerySet:
    """Return those of some decisions that a selection leaves by what a policy that was only watched would have done."""
    if selection.ladders:
        found = found.filter(reduce(or_, (each.condition for each in selection.ladders)))
    if selection.paid:
        found = found.alias(paid_in=PAID_IN).filter(paid_in=selection.paid)
    if selection.watched is None:
        return found
    if selection.watched is Watching.REFUSED:
        return found.filter(observed_clause__isnull=False)
    would = found.filter(mode=Decision.Mode.OBSERVE, observed_clause=None).alias(paid_in=PAID_IN)
    whole = Q(outcome=Decision.Outcome.KEPT, paid_in__isnull=False)
    return would.filter(whole) if selection.watched is Watching.WHOLE else would.exclude(whole)


def in_hour(found: DecisionQuerySet, until: datetime) -> DecisionQuerySet:
    """Return those of some decisions that were made in the hour before a moment."""
    return found.since(until - HOUR).before(until)


def counts(found: DecisionQuerySet) -> dict[Decision.Outcome, int]:
    """Return how many there are of each outcome, at most MOST_COUNTED + 1 in all; one query."""
    of = {each.value: Count("id", filter=Q(outcome=each)) for each in Decision.Outcome}
    counted = found.order_by().values("id", "outcome")[: MOST_COUNTED + 1].aggregate(**of)
    return {each: counted[each.value] for each in Decision.Outcome}


def page(found: DecisionQuerySet, place: Place, *, newest_first: bool = True, size: int | None = None) -> Page:
    """Return the decisions at a place, by time, ROWS of them unless said; one query."""
    size = size or ROWS
    forward = place.before is None
    cursor = place.after if forward else place.before
    # Going on in a list of the newest first, and going back in one of the oldest first, leads to smaller ids.
    falling = forward is newest_first
    if cursor is not None:
        found = found.filter(id__lt=cursor) if falling else found.filter(id__gt=cursor)
    read = list(shown(found).order_by("-id" if falling else "id")[: size + 1])
    more, decisions = len(read) > size, read[:size]
    if not forward:
        decisions.reverse()
    if not decisions:
        return Page([])
    earlier = more if not forward else place.after is not None
    later = more if forward else True
    return Page(decisions, decisions[0].id if earlier else None, decisions[-1].id if later else None)


def ranked(found: DecisionQuerySet, by: str, *, falling: bool) -> list[UUID]:
    """Return the ids of at most MOST_RANKED decisions by what they cost (`cost`) or took (`time`), then by time.

    One query. What was charged in another currency than the organisation's, or not at all, counts as nothing.
    """
    value = LATENCY if by == "time" else Subquery(_cost_of_one())
    ordered = F("value").desc(nulls_last=True) if falling else F("value").asc(nulls_first=True)
    return list(found.annotate(value=value).order_by(ordered, "-id").values_list("id", flat=True)[:MOST_RANKED])


def _cost_of_one() -> QuerySet[Any, Any]:
    charges = Charge.objects.filter(currency=settings.CURRENCY, id=OuterRef("id")).values("amount")
    events = UsageEvent.objects.filter(decision_id=OuterRef("id")).order_by()
    return events.values("decision_id").annotate(total=Sum(Subquery(charges))).values("total")


def shown(found: DecisionQuerySet) -> DecisionQuerySet:
    """With all that a row shows of each but its attempts."""
    status = Review.objects.filter(pk=OuterRef("review_id")).values("status")
    return found.for_list().annotate(review_status=Subquery(status))


def rows(
    decisions: Iterable[Decision],
    tier_of: Mapping[str, str],
    attempts: Mapping[UUID, list[Attempt]] | None = None,
) -> list[Row]:
    """Return the rows of decisions that `shown` read, in their order; one query, none where the attempts are known."""
    decisions = list(decisions)
    if attempts is None:
        attempts = made.of([each.id for each in decisions])
    return [row(each, attempts.get(each.id, []), tier_of) for each in decisions]


def row(decision: Decision, attempts: list[Attempt], tier_of: Mapping[str, str]) -> Row:
    """Return the row of a decision that `shown` read."""
    review: str | None = getattr(decision, "review_status", None)
    return Row(decision, attempts, made.cost(attempts, of=len(decision.attempts)), review, tier_of)


def every_page(found: DecisionQuerySet, *, size: int = 2_000) -> Iterator[list[Decision]]:
    """Yield all of a list, newest first, in parts of this size, each read when it is wanted; one query a part."""
    place = Place()
    while (part := page(found, place, size=size)).decisions:
        yield part.decisions
        if part.after is None:
            return
        place = Place(after=part.after)


def every_row(found: DecisionQuerySet, tier_of: Mapping[str, str]) -> Iterator[Row]:
    """Yield the row of each decision, newest first, read while it goes on."""
    # A policy's document alone is larger than the row.
    for decisions in every_page(found.defer("facts", "signals", "state", "policy_version__document")):
        yield from rows(decisions, tier_of)


def last_hour(found: DecisionQuerySet, *, now: datetime) -> Hour:
    """Return what came of these decisions in the hour that ends with the second of a moment, in two queries."""
    until = now.replace(microsecond=0) + timedelta(seconds=1)
    newest = in_hour(found, until).order_by("-id")
    slim = newest.values("id", "outcome", "tier")[: MOST_COUNTED + 1]
    outcome = Decision.Outcome
    of = {tier: Count("id", filter=Q(tier=tier, outcome=outcome.KEPT)) for tier in TIERS[:-1]}
    of |= {each.value: Count("id", filter=Q(outcome=each)) for each in outcome if each is not outcome.KEPT}
    # Counted as they are found: looking the newest up once more by their ids would read every decision there is.
    counted = slim.aggregate(total=Count("id"), **of)
    total, failed, refused = (counted.pop(name) for name in ("total", outcome.FAILED.value, outcome.REFUSED.value))
    answered = {who: number for who, number in counted.items() if number}
    amounts = made.amounts_of(Decision.objects.filter(id__in=slim.values("id")))
    return Hour(until, total, total > MOST_COUNTED, answered, failed, refused, amounts)
