"""What came of requests: which tier answered, how many climbed, how many a person decided; of workflows over days."""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from ledger.models.decisions import ASTRAY

# Measuring models is no traffic of theirs. A day is that of the decision's own time; its id, made within moments of it,
# lets only the partitions of the period be read.
COUNTED = """
SELECT {by}
    count(*),
    count(*) FILTER (WHERE outcome = 'kept' AND tier = 'small'),
    count(*) FILTER (WHERE outcome = 'kept' AND tier = 'mid'),
    count(*) FILTER (WHERE outcome = 'kept' AND tier = 'frontier'),
    count(*) FILTER (WHERE outcome = 'person'),
    count(*) FILTER (WHERE outcome = 'failed'),
    count(*) FILTER (WHERE outcome = 'refused'),
    count(*) FILTER (WHERE jsonb_array_length(attempts) > 1),
    count(*) FILTER (WHERE environment_id = ANY (recordings.ids)),
    count(*) FILTER (WHERE environment_id = ANY (recordings.ids) AND outcome = 'person')
FROM ledger_decision,
    (SELECT ARRAY(SELECT id FROM governance_environment WHERE recorded) AS ids) AS recordings
WHERE (%(workflows)s::uuid[] IS NULL OR workflow_id = ANY(%(workflows)s::uuid[]))
    AND occurred_at >= %(start)s AND occurred_at < %(end)s
    AND id >= ledger_floor(%(start)s - %(astray)s) AND id < ledger_floor(%(end)s + %(astray)s)
    AND key_id <> ALL (ARRAY(SELECT id FROM governance_apikey WHERE purpose = 'evaluation'))
GROUP BY {group}
"""


@dataclass(frozen=True)
class Outcomes:
    """How many requests there were and what came of them; `climbed` needed more than one attempt.

    `recorded` and `recorded_person` are the part of all, and of what people decided, that was measured elsewhere.
    """

    requests: int = 0
    small: int = 0
    mid: int = 0
    frontier: int = 0
    person: int = 0
    failed: int = 0
    refused: int = 0
    climbed: int = 0
    recorded: int = 0
    recorded_person: int = 0

    @classmethod
    def together(cls, parts: "Iterable[Outcomes]") -> "Outcomes":
        """The sum of several."""
        return cls(*(sum(each) for each in zip(*(astuple(part) for part in parts), strict=True)))

    @property
    def answered(self) -> dict[str, int]:
        """Who answered, by tier; people last."""
        return {"small": self.small, "mid": self.mid, "frontier": self.frontier, "person": self.person}

    @property
    def kept(self) -> int:
        """Requests that a model answered."""
        return self.small + self.mid + self.frontier

    @property
    def climbed_share(self) -> float | None:
        """The share of requests that needed more than one attempt; None of none."""
        return self.climbed / self.requests if self.requests else None

    @property
    def person_share(self) -> float | None:
        """The share of requests that a person decided; None of none."""
        return self.person / self.requests if self.requests else None


def by_workflow(workflows: Iterable[UUID] | None, first: date, last: date, *, zone: ZoneInfo) -> dict[UUID, Outcomes]:
    """Return the outcomes of each workflow over days of a zone, both included; one query. Who had none is absent.

    None is all workflows, here and below. Which of them a person may ask for is for the caller to say.
    """
    return dict(_counted("workflow_id,", "workflow_id", workflows, first, last, zone))


def together(workflows: Iterable[UUID] | None, first: date, last: date, *, zone: ZoneInfo) -> Outcomes:
    """Return the outcomes of workflows over days of a zone, both included, in one sum; one query."""
    return next((every for _, every in _counted("NULL,", "()", workflows, first, last, zone)), Outcomes())


def by_day(workflow: UUID, first: date, last: date, *, zone: ZoneInfo) -> list[tuple[date, Outcomes]]:
    """Return the outcomes of every day of a period, the days without a request included; one query."""
    day = "(occurred_at AT TIME ZONE %(zone)s)::date"
    found = dict(_counted(f"{day},", "1", [workflow], first, last, zone))
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return [(each, found.get(each, Outcomes())) for each in days]


def _counted(
    by: str, group: str, workflows: Iterable[UUID] | None, first: date, last: date, zone: ZoneInfo
) -> Iterator[tuple[Any, Outcomes]]:
    start = datetime.combine(first, time.min, tzinfo=zone)
    end = datetime.combine(last + timedelta(days=1), time.min, tzinfo=zone)
    asked: dict[str, Any] = {"start": start, "end": end, "zone": zone.key}
    asked["workflows"] = None if workflows is None else list(workflows)
    with connection.cursor() as cursor:
        cursor.execute(COUNTED.format(by=by, group=group), asked | {"astray": ASTRAY})
        for named, *counts in cursor.fetchall():
            yield named, Outcomes(*counts)
