"""Runs: passes of an application through the steps of a workflow, each known by its workflow and its name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from governance.models import ApiKey, Review, Workflow
from ledger.models import Decision
from ledger.models.decisions import DecisionQuerySet
from routing.requests import Kind, Reader, made_for
from routing.words import Standing

# A run of few requests is drawn in its row; an evaluation of thousands is only summed.
MOST_DRAWN = 6
WAITING = tuple(status.value for status in Review.WAITING)
UNANSWERED = (Review.Status.EXPIRED.value, Review.Status.CANCELLED.value)


@dataclass(frozen=True)
class Run:
    """A run and its sums. Of a step that was asked again, the last request counts as what came of it.

    `milliseconds` is what all attempts took together, `requests` counts each request, `steps` each step once.
    """

    workflow: Workflow
    name: str
    kind: Kind
    recorded: bool
    began_at: datetime
    ended_at: datetime
    requests: int
    milliseconds: int
    steps: int
    failed: int
    waiting: int
    unanswered: int
    answered: int
    amounts: Mapping[str, Decimal]
    unpriced: int

    @property
    def standing(self) -> Standing:
        """What came of the run as a whole."""
        if self.kind is Kind.EVALUATION:
            return Standing("quiet", "measured")
        if self.failed:
            return Standing("bad", "failed")
        if self.waiting and not self.recorded:
            return Standing("warn", "waits for a person")
        if self.unanswered:
            return Standing("bad", "nobody decided")
        return Standing("quiet", "all answered" if self.answered else "all kept")

    @property
    def drawn(self) -> bool:
        """Whether its requests are few enough to be drawn in a row."""
        return self.requests <= MOST_DRAWN


# For each run, named by any decision of it: the sums of its requests, what became of each step at last, its cost.
SUMS = """
SELECT
    head.id, total.began_at, total.ended_at, total.requests, total.milliseconds,
    last.steps, last.failed, last.waiting, last.unanswered, last.answered, cost.amounts, cost.unpriced
FROM ledger_decision head
CROSS JOIN LATERAL (
    SELECT
        min(occurred_at) AS began_at, max(occurred_at) AS ended_at, count(*) AS requests,
        coalesce(sum((SELECT sum((one ->> 'latency_ms')::bigint) FROM jsonb_array_elements(attempts) one)), 0)
            ::bigint AS milliseconds
    FROM ledger_decision WHERE workflow_id = head.workflow_id AND run = head.run
) total
CROSS JOIN LATERAL (
    SELECT
        count(*) AS steps,
        count(*) FILTER (WHERE newest.outcome IN ('failed', 'refused')) AS failed,
        count(*) FILTER (WHERE newest.outcome = 'person' AND coalesce(review.status, 'open') = ANY(%(waiting)s))
            AS waiting,
        count(*) FILTER (WHERE review.status = ANY(%(unanswered)s)) AS unanswered,
        count(*) FILTER (WHERE review.status = 'answered') AS answered
    FROM (
        SELECT DISTINCT ON (step) outcome, review_id FROM ledger_decision
        WHERE workflow_id = head.workflow_id AND run = head.run ORDER BY step, id DESC
    ) newest
    LEFT JOIN governance_review review ON review.id = newest.review_id
) last
CROSS JOIN LATERAL (
    SELECT
        coalesce(jsonb_object_agg(currency, amount) FILTER (WHERE currency IS NOT NULL), '{}')::text AS amounts,
        coalesce(sum(unpriced), 0)::bigint AS unpriced
    FROM (
        SELECT c.currency, sum(c.amount)::text AS amount, count(*) FILTER (WHERE c.state = 'unpriced') AS unpriced
        FROM ledger_decision d
        JOIN ledger_usageevent e ON e.decision_id = d.id
        JOIN ledger_charge c ON c.id = e.id
        WHERE d.workflow_id = head.workflow_id AND d.run = head.run
        GROUP BY c.currency
    ) by_currency
) cost
WHERE head.id = ANY(%(heads)s)
"""


def find(reader: Reader, *, workflow: Workflow | None = None, kind: Kind | None = None) -> DecisionQuerySet:
    """Return the newest decision of each run that a person may read, in no order: what a list of runs goes by."""
    newer = Decision.objects.filter(workflow=OuterRef("workflow"), run=OuterRef("run"), id__gt=OuterRef("id"))
    found = reader.decisions.filter(~Exists(newer), run__isnull=False)
    if workflow is not None:
        found = found.filter(workflow=workflow)
    if kind is not None:
        found = made_for(found, kind)
    return found


def summed(heads: Sequence[Decision]) -> list[Run]:
    """Return the runs of these decisions, which `for_list` read, in their order; one query."""
    with connection.cursor() as cursor:
        heads_of = [head.id for head in heads]
        cursor.execute(SUMS, {"heads": heads_of, "waiting": [*WAITING], "unanswered": [*UNANSWERED]})
        sums: dict[UUID, Any] = {row[0]: row[1:] for row in cursor.fetchall()}
    return [_run(head, sums[head.id]) for head in heads]


def of(workflow: Workflow, name: str) -> DecisionQuerySet:
    """Return the decisions of one run, in no order."""
    return Decision.objects.filter(workflow=workflow, run=name)


def drawn(runs: Sequence[Run]) -> DecisionQuerySet:
    """Return the decisions of those runs that are drawn in their rows, in no order."""
    few = [Q(workflow=run.workflow, run=run.name) for run in runs if run.drawn]
    return Decision.objects.filter(reduce(or_, few)) if few else Decision.objects.none()


def _run(head: Decision, sums: Sequence[Any]) -> Run:
    began_at, ended_at, requests, milliseconds, steps, failed, waiting, unanswered, answered, amounts, unpriced = sums
    evaluation = head.key.purpose == ApiKey.Purpose.EVALUATION
    return Run(
        workflow=head.workflow,
        name=head.run or "",
        kind=Kind.EVALUATION if evaluation else Kind.WORK,
        recorded=head.environment.recorded,
        began_at=began_at,
        ended_at=ended_at,
        requests=requests,
        milliseconds=milliseconds,
        steps=steps,
        failed=failed,
        waiting=waiting,
        unanswered=unanswered,
        answered=answered,
        amounts={currency: Decimal(amount) for currency, amount in json.loads(amounts).items()},
        unpriced=unpriced,
    )
