"""What AI cost: the day sums of a period, by workflow, step, model or day, as far as a person may read them."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, Max, OuterRef, Q, Sum, TextChoices

from governance.models import ApiKey, User
from ledger.models import Charge, Rollup, UsageEvent, UsageQueue
from ledger.models.usage import UsageEventQuerySet

MODEL = "endpoint__version__model"
RECORDED = "endpoint__environment__recorded"
PURPOSE = "key__purpose"
# An answer that was only measured served nobody: it costs, but is no task.
SERVED = ~Q(**{PURPOSE: ApiKey.Purpose.EVALUATION})
COUNTS = ("events", "kept", "unpriced", "late")
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
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


# The columns that name a row: what it is called, then what tells it from others of that name.
NAMED_BY: dict[By, dict[str, str]] = {
    By.WORKFLOW: {"workflow": "workflow__name", "workflow_slug": "workflow__slug"},
    By.STEP: {"step": "step", "workflow": "workflow__name", "workflow_slug": "workflow__slug"},
    By.MODEL: {"model": f"{MODEL}__title", "model_name": f"{MODEL}__name"},
    By.DAY: {"day": "day"},
}
COUNTED_BY = {Show.ALL: "events", Show.KEPT: "kept", Show.UNPRICED: "unpriced"}


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
    answered: dict[str, int] = field(default_factory=dict)
    last_at: datetime | None = None

    def add(self, line: Line) -> None:
        """Count a line in."""
        self.attempts += line.events
        self.tasks += line.tasks
        self.unpriced += line.unpriced
        # Whatever is imported comes late; only of what was served here does that say something.
        self.late += 0 if line.recorded else line.late
        self.last_at = max(self.last_at or line.last_at, line.last_at)
        self.answered[line.tier] = self.answered.get(line.tier, 0) + line.tasks
        _add(self.amounts, line)
        if line.recorded:
            self.recorded_attempts += line.events
            _add(self.recorded, line)
        if line.purpose == ApiKey.Purpose.EVALUATION:
            self.evaluated_attempts += line.events
            _add(self.evaluated, line)
        else:
            _add(self.served, line)

    @property
    def all_recorded(self) -> bool:
        """Whether nothing of it was served here."""
        return 0 < self.attempts == self.recorded_attempts

    @property
    def per_task(self) -> dict[str, Decimal]:
        """All amounts but those of evaluations, also of attempts that were not kept, for each task; empty of none."""
        return {currency: amount / self.tasks for currency, amount in self.served.items()} if self.tasks else {}


def _add(amounts: dict[str, Decimal], line: Line) -> None:
    if line.currency and line.amount is not None:
        amounts[line.currency] = amounts.get(line.currency, Decimal(0)) + line.amount


def lines(
    user: User | AnonymousUser, selection: Selection, by: By, *, workflows: Collection[UUID] | None = None
) -> list[Line]:
    """Return the sums of a selection, cut by tier, currency and purpose, in one query. They add up to the whole.

    `workflows` leaves those of some of them, where a page shows no more.
    """
    cut = (*NAMED_BY[by].values(), f"{MODEL}__tier", "currency", RECORDED, PURPOSE)
    some = {} if workflows is None else {"workflow__in": list(workflows)}
    sums = (
        Rollup.objects.visible_to(user)
        .between(selection.first, selection.last)
        .filter(**selection.lookups(), **some)
        .values_list(*cut)
        .annotate(*(Sum(column) for column in (*COUNTS, *TOKENS, "amount")), Max("last_at"))
        .order_by(*cut)
    )
    width = len(NAMED_BY[by])
    return [Line(row[:width], *row[width:]) for row in sums]


def rows(found: Iterable[Line]) -> tuple[list[Row], Row]:
    """Return one row for each thing that lines name, in their order, and the sum of all."""
    by_name: dict[tuple[Any, ...], Row] = {}
    total = Row(())
    for line in found:
        by_name.setdefault(line.names, Row(line.names)).add(line)
        total.add(line)
    return list(by_name.values()), total


def queued() -> int:
    """How many attempts wait to be priced and counted, at most QUEUE_COUNTED + 1."""
    return UsageQueue.objects.all()[: QUEUE_COUNTED + 1].count()


def attempts(
    user: User | AnonymousUser, selection: Selection, show: Show, *, zone: ZoneInfo
) -> tuple[UsageEventQuerySet, int]:
    """Return the attempts that the sums of a selection count, newest first, and how many they are."""
    events = (
        UsageEvent.objects.visible_to(user)
        .booked_between(selection.first, selection.last, zone=zone)
        .filter(**selection.lookups())
        .folded()
        .newest_first()
    )
    if show is Show.KEPT:
        events = events.filter(SERVED, kept=True)
    elif show is Show.UNPRICED:
        events = events.filter(Exists(Charge.objects.filter(id=OuterRef("id"), state=Charge.State.UNPRICED)))
    sums = Rollup.objects.visible_to(user).between(selection.first, selection.last).filter(**selection.lookups())
    counted = sums.filter(SERVED if show is Show.KEPT else Q()).aggregate(count=Sum(COUNTED_BY[show]))["count"]
    return events, counted or 0


def with_charges(events: Iterable[UsageEvent], chunk: int = 2_000) -> Iterator[tuple[UsageEvent, Charge]]:
    """Yield each attempt with its charge, a query for every chunk of them."""
    left = iter(events)
    while part := list(islice(left, chunk)):
        charges = Charge.objects.in_bulk([event.id for event in part])
        yield from ((event, charges[event.id]) for event in part)
