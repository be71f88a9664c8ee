"""What came of a step's newest requests, one by one: who answered, what it cost, how long it took."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any
from uuid import UUID

from django.db import connection

# So many are looked at, the newest first: enough for two digits, and a bound on the time it takes.
MOST = 5_000

# Measuring models is no traffic of theirs. Keys carry the time, so that only the partitions of the period are read.
REQUESTS = """
WITH asked AS (
    SELECT newest.* FROM unnest(%(steps)s::text[]) AS wanted(name) CROSS JOIN LATERAL (
        SELECT id, step, outcome, kept_model FROM ledger_decision
        WHERE workflow_id = %(workflow)s AND environment_id = %(environment)s AND step = wanted.name
            AND id >= ledger_floor(%(since)s)
            AND key_id <> ALL (ARRAY(SELECT id FROM governance_apikey WHERE purpose = 'evaluation'))
        ORDER BY id DESC LIMIT %(most)s
    ) newest
)
SELECT asked.step, asked.outcome, asked.kept_model,
    coalesce(sum(event.latency_ms), 0),
    sum(charge.amount),
    count(event.id) FILTER (WHERE charge.amount IS NULL),
    CASE WHEN min(charge.currency) = max(charge.currency) THEN min(charge.currency) END
FROM asked
LEFT JOIN ledger_usageevent event ON event.decision_id = asked.id AND event.id >= ledger_floor(%(since)s)
LEFT JOIN ledger_charge charge ON charge.id = event.id AND charge.id >= ledger_floor(%(since)s)
GROUP BY asked.id, asked.step, asked.outcome, asked.kept_model
"""


@dataclass(frozen=True)
class Recent:
    """What came of `n` requests, all of the period unless they are `bounded`.

    `kept` counts the answers of each model, `person` those that went to a person, `failed` those without any answer.
    `cost_per_request` is that of requests whose attempts are all priced, in one currency, all attempts included.
    """

    n: int
    bounded: bool
    kept: Counter[str]
    person: int
    failed: int
    cost_per_request: Decimal | None
    currency: str | None
    latency_p50_ms: int
    latency_p95_ms: int

    def share(self, count: int) -> float:
        """A count as a share of all."""
        return count / self.n if self.n else 0.0


def of_steps(
    workflow: UUID, steps: Iterable[str], environment: UUID, *, since: datetime, most: int = MOST
) -> dict[str, Recent]:
    """Return what came of each step's newest requests since a moment, at most `most` of each; one query."""
    asked: dict[str, Any] = {"workflow": workflow, "environment": environment, "steps": list(dict.fromkeys(steps))}
    asked |= {"since": since, "most": most}
    found: dict[str, list[tuple[Any, ...]]] = {step: [] for step in asked["steps"]}
    with connection.cursor() as cursor:
        cursor.execute(REQUESTS, asked)
        for step, *row in cursor.fetchall():
            found[step].append(tuple(row))
    return {step: _summed(rows, most) for step, rows in found.items()}


def _summed(rows: Sequence[tuple[Any, ...]], most: int) -> Recent:
    outcomes = Counter(outcome for outcome, *_ in rows)
    waited = sorted(int(latency) for _, _, latency, *_ in rows)
    priced = [(amount, currency) for *_, amount, unpriced, currency in rows if amount is not None and not unpriced]
    currencies = {currency for _, currency in priced}
    currency = currencies.pop() if len(currencies) == 1 else None
    return Recent(
        n=len(rows),
        bounded=len(rows) == most,
        kept=Counter(model for outcome, model, *_ in rows if outcome == "kept"),
        person=outcomes["person"],
        failed=outcomes["failed"] + outcomes["refused"],
        cost_per_request=sum((amount for amount, _ in priced), Decimal(0)) / len(priced) if currency else None,
        currency=currency,
        latency_p50_ms=quantile(waited, 0.5),
        latency_p95_ms=quantile(waited, 0.95),
    )


def quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of some ordered values do not exceed; 0 of none."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1] if ordered else 0
