"""What AI cost: the day sums of a period, by workflow, step, model or day, as far as a person may read them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import BooleanField, DateTimeField, Exists, Max, OuterRef, Q, QuerySet, Sum, TextChoices
from django.db.models.expressions import RawSQL
from django.db.models.functions import Extract

from governance.figures import TIERS
from governance.models import ApiKey, Workflow
from governance.readers import Reader
from ledger import savings
from ledger.models import Charge, Rollup, UsageEvent, UsageQueue
from ledger.models.charges import RollupQuerySet
from ledger.models.usage import UsageEventQuerySet

MODEL = "endpoint__version__model"
RECORDED = "endpoint__environment__recorded"
PURPOSE = "key__purpose"
# An answer that was only measured served nobody: it costs, but is no task.
EVALUATED = Q(**{PURPOSE: ApiKey.Purpose.EVALUATION})
IMPORTED = Q(**{RECORDED: True})
COUNTS = ("events", "kept", "unpriced", "late")
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
Rows = TypeVar("Rows", bound="QuerySet[Any]")
# A longer queue is only said to be longer: counting it would take as long as draining it.
QUEUE_COUNTED = 10_000


class By(TextChoices):
    """What the sums are shown by."""

    WORKFLOW = "workflow", "Workflow"
    STEP = "step", "Step"
    MODEL = "model", "Model"
    DAY = "day", "Day"


class Show(TextChoices):
    """Which attempts a list holds."""

    ALL = "all", "All attempts"
    KEPT = "kept", "Kept answers"
    UNPRICED = "unpriced", "Not priced"
    EVALUATED = "evaluated", "Of evaluations"
    RECORDED = "recorded", "Recorded elsewhere"
    LATE = "late", "Came late"
    COMPARED = "compared", "Kept, in a saving"
    COMPARED_RECORDED = "compared_recorded", "Kept, in a saving, recorded elsewhere"
    UNCOMPARED = "uncompared", "Kept, in no saving"


# The columns that name a row: what it is called, then what tells it from others of that name.
NAMED_BY: dict[By, dict[str, str]] = {
    By.WORKFLOW: {"workflow": "workflow__name", "workflow_slug": "workflow__slug"},
    By.STEP: {"step": "step", "workflow": "workflow__name", "workflow_slug": "workflow__slug"},
    By.MODEL: {"model": f"{MODEL}__title", "model_name": f"{MODEL}__name"},
    By.DAY: {"day": "day"},
}
# The columns by which the day sums of one row are found.
GROUPED_BY: dict[By, tuple[str, ...]] = {
    By.WORKFLOW: ("workflow_id",),
    By.STEP: ("step", "workflow_id"),
    By.MODEL: tuple(NAMED_BY[By.MODEL].values()),
    By.DAY: ("day",),
}
# What a list's attempts are counted by: the column of the day sums, and which of them.
COUNTED_BY = {
    Show.ALL: ("events", Q()),
    Show.KEPT: ("kept", ~EVALUATED),
    Show.UNPRICED: ("unpriced", Q()),
    Show.EVALUATED: ("events", EVALUATED),
    Show.RECORDED: ("events", IMPORTED),
    Show.LATE: ("late", ~IMPORTED),
    Show.COMPARED: ("kept", ~EVALUATED),
    Show.COMPARED_RECORDED: ("kept", ~EVALUATED & IMPORTED),
    Show.UNCOMPARED: ("kept", ~EVALUATED),
}
BY_SAVINGS = (Show.COMPARED, Show.COMPARED_RECORDED, Show.UNCOMPARED)
# Whether a workflow has one of these stretches of days on a row's day.
IN_STRETCH = """EXISTS (
    SELECT FROM unnest(%s::uuid[], %s::date[], %s::date[]) AS stretch(workflow_id, first, last)
    WHERE stretch.workflow_id = {table}.workflow_id AND {day} BETWEEN stretch.first AND stretch.last
)"""


@dataclass(frozen=True)
class Selection:
    """What is looked at: days of the reporting zone, both included, and what they are narrowed to; empty is all."""

    first: date
    last: date
    workflow: str = ""
    step: str = ""
    model: str = ""
    outcome: str = ""
    environment: str = ""

    def lookups(self) -> dict[str, str]:
        """What it is narrowed to, as lookups that day sums and attempts share."""
        said = {
            "workflow__slug": self.workflow,
            "step": self.step,
            f"{MODEL}__name": self.model,
            "outcome": self.outcome,
            "endpoint__environment__name": self.environment,
        }
        return {lookup: value for lookup, value in said.items() if value}


@dataclass(frozen=True)
class Line:
    """One sum: what it is of (`names`, as NAMED_BY has them), the tier, the currency or None for unpriced attempts.

    `recorded`: measured elsewhere and imported. `purpose` is that of the API key it came by.
    """

    names: tuple[Any, ...]
    tier: str
    currency: str | None
    recorded: bool
    purpose: str
    events: int
    kept: int
    unpriced: int
    late: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    amount: Decimal | None
    last_at: datetime

    @property
    def tasks(self) -> int:
        """Its kept answers, none of an evaluation: those served nobody."""
        return 0 if self.purpose == ApiKey.Purpose.EVALUATION else self.kept


class Sums(NamedTuple):
    """The sums of one thing in one currency, as SUMS adds them up; an amount of nothing is None."""

    attempts: int
    unpriced: int
    late: int
    recorded_attempts: int
    evaluated_attempts: int
    small: int
    mid: int
    frontier: int
    amount: Decimal | None
    recorded: Decimal | None
    evaluated: Decimal | None
    last: Decimal


# What was only imported came late of necessity; only of what was served here does that say something.
SUMS: dict[str, Sum | Extract] = {
    "attempts": Sum("events"),
    "unpriced": Sum("unpriced"),
    "late": Sum("late", filter=~IMPORTED, default=0),
    "recorded_attempts": Sum("events", filter=IMPORTED, default=0),
    "evaluated_attempts": Sum("events", filter=EVALUATED, default=0),
    **{tier: Sum("kept", filter=~EVALUATED & Q(**{f"{MODEL}__tier": tier}), default=0) for tier in TIERS[:-1]},
    "amount": Sum("amount"),
    "recorded": Sum("amount", filter=IMPORTED),
    "evaluated": Sum("amount", filter=EVALUATED),
    # A number: thousands of times are slow to read, and only the newest is wanted.
    "last": Extract(Max("last_at"), "epoch", tzinfo=UTC),
}


@dataclass
class Row:
    """The sums of one thing: amounts by currency, tasks also by the tier that answered them.

    `recorded` and `recorded_attempts` are the part of both that was measured elsewhere and imported. `evaluated` and
    `evaluated_attempts` are the part that evaluations took, which is in no cost of a task; `served` is the rest.
    """

    names: tuple[Any, ...]
    attempts: int = 0
    tasks: int = 0
    unpriced: int = 0
    late: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)
    recorded: dict[str, Decimal] = field(default_factory=dict)
    recorded_attempts: int = 0
    evaluated: dict[str, Decimal] = field(default_factory=dict)
    evaluated_attempts: int = 0
    served: dict[str, Decimal] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TIERS[:-1], 0))
    last: Decimal = Decimal(0)

    def add(self, currency: str | None, sums: Sums) -> None:
        """Count sums of this thing in."""
        self.attempts += sums.attempts
        self.unpriced += sums.unpriced
        self.late += sums.late
        self.recorded_attempts += sums.recorded_attempts
        self.evaluated_attempts += sums.evaluated_attempts
        self.tasks += sums.small + sums.mid + sums.frontier
        self.answered["small"] += sums.small
        self.answered["mid"] += sums.mid
        self.answered["frontier"] += sums.frontier
        self.last = max(self.last, sums.last)
        if currency:
            _add(self.amounts, currency, sums.amount)
            _add(self.recorded, currency, sums.recorded)
            _add(self.evaluated, currency, sums.evaluated)
            if sums.attempts > sums.evaluated_attempts:
                _add(self.served, currency, (sums.amount or Decimal(0)) - (sums.evaluated or Decimal(0)))

    @property
    def last_at(self) -> datetime | None:
        """When the last attempt of it was made; None without any."""
        return datetime.fromtimestamp(float(self.last), UTC) if self.attempts else None

    @property
    def all_recorded(self) -> bool:
        """Whether nothing of it was served here."""
        return 0 < self.attempts == self.recorded_attempts

    @property
    def per_task(self) -> dict[str, Decimal]:
        """All amounts but those of evaluations, also of attempts that were not kept, for each task; empty of none."""
        return {currency: amount / self.tasks for currency, amount in self.served.items()} if self.tasks else {}


def _add(amounts: dict[str, Decimal], currency: str, amount: Decimal | None) -> None:
    if amount is not None:
        amounts[currency] = amounts.get(currency, Decimal(0)) + amount


def lines(reader: Reader, selection: Selection, by: By) -> list[Line]:
    """Return the sums of a selection, cut by tier, currency and purpose, in one query. They add up to the whole."""
    cut = (*NAMED_BY[by].values(), f"{MODEL}__tier", "currency", RECORDED, PURPOSE)
    sums = (
        _rollups(reader, selection)
        .values_list(*cut)
        .annotate(*(Sum(column) for column in (*COUNTS, *TOKENS, "amount")), Max("last_at"))
        .order_by(*cut)
    )
    width = len(NAMED_BY[by])
    return [Line(row[:width], *row[width:]) for row in sums]


def rows(
    reader: Reader, selection: Selection, by: By | None, *, workflows: Mapping[UUID, Workflow] | None = None
) -> tuple[list[Row], Row]:
    """Return one row for each thing that was used, in no order, and the sum of all; one query. By None only the sum.

    `workflows` leaves those of some, by their keys, where a page shows no more. Things are told apart by keys, and
    named afterwards: the database need not carry names through all day sums.
    """
    grouped = GROUPED_BY[by] if by else ()
    some = {} if workflows is None else {"workflow__in": list(workflows)}
    sums = (
        _rollups(reader, selection)
        .filter(**some)
        .order_by()
        .values_list(*grouped, "currency")
        .annotate(**{f"sum_{name}": each for name, each in SUMS.items()})
    )
    width, total = len(grouped), Row(())
    found: dict[tuple[Any, ...], Row] = {}
    for row in sums:
        keys, currency, summed = row[:width], row[width], Sums(*row[width + 1 :])
        if keys not in found:
            found[keys] = Row(keys)
        found[keys].add(currency, summed)
        total.add(currency, summed)
    if by in (By.WORKFLOW, By.STEP):
        _name_workflows(found.values(), workflows or {each.pk: each for each in reader.workflows})
    return list(found.values()) if by else [], total


def _name_workflows(found: Collection[Row], workflows: Mapping[UUID, Workflow]) -> None:
    """Put in the place of a workflow's key, the last of a row's names, its name and its slug."""
    known = dict(workflows)
    # One that was made since these were read.
    known |= Workflow.objects.in_bulk({row.names[-1] for row in found} - known.keys())
    for row in found:
        workflow = known[row.names[-1]]
        row.names = (*row.names[:-1], workflow.name, workflow.slug)


def _rollups(reader: Reader, selection: Selection) -> RollupQuerySet:
    return _read_by(reader, Rollup.objects.between(selection.first, selection.last).filter(**selection.lookups()))


def _read_by(reader: Reader, found: Rows) -> Rows:
    """Keep what a person may read."""
    return found if reader.keys is None else found.filter(workflow__in=reader.keys)


def queued() -> int:
    """How many attempts wait to be priced and counted, at most QUEUE_COUNTED + 1."""
    return UsageQueue.objects.all()[: QUEUE_COUNTED + 1].count()


def attempts(reader: Reader, selection: Selection, show: Show, *, zone: ZoneInfo) -> tuple[UsageEventQuerySet, int]:
    """Return the attempts that the sums of a selection count, newest first, and how many they are."""
    events = (
        _read_by(reader, UsageEvent.objects.all())
        .booked_between(selection.first, selection.last, zone=zone)
        .filter(**selection.lookups())
        .folded()
        .newest_first()
    )
    column, which = COUNTED_BY[show]
    events = events.filter(which)
    if show is Show.KEPT or show in BY_SAVINGS:
        events = events.filter(kept=True)
    elif show is Show.UNPRICED:
        events = events.filter(Exists(Charge.objects.filter(id=OuterRef("id"), state=Charge.State.UNPRICED)))
    elif show is Show.LATE:
        # More than an hour after midnight of the day after, as the fold counts them.
        ended = RawSQL(
            "((ledger_usageevent.booked_at AT TIME ZONE %s)::date + 1)::timestamp AT TIME ZONE %s",
            [zone.key, zone.key],
            output_field=DateTimeField(),
        )
        events = events.filter(recorded_at__gt=ended + timedelta(hours=1))
    rollups = _rollups(reader, selection).filter(which)
    if show in BY_SAVINGS:
        events, rollups = _by_savings(reader, selection, show, events, rollups, zone=zone)
    return events, rollups.aggregate(count=Sum(column))["count"] or 0


def spent_on(reader: Reader, selection: Selection, show: Show) -> dict[str, Decimal]:
    """Return what those attempts cost by currency; nothing where the day sums tell them from others by counts alone."""
    column, which = COUNTED_BY[show]
    if column != "events":
        return {}
    sums = _rollups(reader, selection).filter(which, amount__isnull=False).order_by().values_list("currency")
    return dict(sums.annotate(Sum("amount")).order_by("currency"))


def _by_savings(
    reader: Reader,
    selection: Selection,
    show: Show,
    events: UsageEventQuerySet,
    rollups: RollupQuerySet,
    *,
    zone: ZoneInfo,
) -> tuple[UsageEventQuerySet, RollupQuerySet]:
    """Keep the attempts, and the day sums, of tasks that stand in a saving of these days, or in none."""
    workflow = reader.workflow(selection.workflow)
    asked = reader.keys if workflow is None else [workflow.pk]
    found = savings.stretches(asked, selection.first, selection.last, zone=zone)
    said: list[Any] = [list(column) for column in zip(*found, strict=True)] or [[], [], []]
    day = "(ledger_usageevent.booked_at AT TIME ZONE %s)::date"
    of_event = RawSQL(  # noqa: S611 (written here)
        IN_STRETCH.format(table="ledger_usageevent", day=day), [*said, zone.key], output_field=BooleanField()
    )
    of_sum = RawSQL(  # noqa: S611 (written here)
        IN_STRETCH.format(table="ledger_rollup", day="ledger_rollup.day"), said, output_field=BooleanField()
    )
    stands = Q(compared=show is not Show.UNCOMPARED)
    return events.alias(compared=of_event).filter(stands), rollups.alias(compared=of_sum).filter(stands)


def with_charges(events: Iterable[UsageEvent], chunk: int = 2_000) -> Iterator[tuple[UsageEvent, Charge]]:
    """Yield each attempt with its charge, a query for every chunk of them."""
    left = iter(events)
    while part := list(islice(left, chunk)):
        charges = Charge.objects.in_bulk([event.id for event in part])
        yield from ((event, charges[event.id]) for event in part)
