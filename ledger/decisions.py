"""Decisions as gateways report them: stored once, whatever is repeated."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from governance.models import Gateway
from ledger import batches, packed
from ledger.models import Decision
from smallfirst import records

COLUMNS = (
    ("id", "uuid"),
    ("occurred_at", "timestamptz"),
    ("recorded_at", "timestamptz"),
    ("gateway_id", "uuid"),
    ("workflow_id", "uuid"),
    ("environment_id", "uuid"),
    ("key_id", "uuid"),
    ("step", "text"),
    ("run", "text"),
    ("facts", "jsonb"),
    ("signals", "jsonb"),
    ("state", "jsonb"),
    ("snapshot", "text"),
    ("policy_version_id", "uuid"),
    ("attempts", "jsonb"),
    ("outcome", "text"),
    ("kept_model", "text"),
    ("tier", "text"),
    ("review_id", "uuid"),
    ("triage", "text"),
    ("mode", "text"),
    ("observed_model", "text"),
    ("observed_tier", "text"),
    ("observed_ladder", "jsonb"),
    ("observed_clause", "text"),
    ("packed", "bytea"),
    ("packed_attempts", "bytea"),
)

# What a row holds under the same name and in the same form as the record.
SAME = (
    "step",
    "run",
    "facts",
    "signals",
    "state",
    "snapshot",
    "attempts",
    "outcome",
    "kept_model",
    "tier",
    "triage",
)

INSERT = """
INSERT INTO ledger_decision ({columns})
SELECT {columns} FROM incoming ORDER BY id
ON CONFLICT (id) DO NOTHING
"""


def record(*, batch: Sequence[msgspec.Raw], gateway: Gateway, now: datetime) -> records.Receipt:
    """Store the decisions of a batch that are not stored yet.

    A decision is known by its id alone: repeated in the same batch, later, or by two at once, it stands once. A faulty
    record is left out and named; the rest is stored in one transaction. `now` is the time of arrival.
    """
    decisions, refused = batches.decode(batch, records.Decision)
    known = batches.Known.of(gateway, keys=(decision.key for decision in decisions))
    rows = []
    for decision in decisions:
        fault = known.fault(decision) or _fault(decision, gateway)
        if fault:
            refused.append(records.RefusedRecord(id=decision.id, field=fault[0], message=fault[1]))
        else:
            rows.append(_row(decision, gateway, now))
    accepted = batches.store(table="ledger_decision", columns=COLUMNS, rows=rows, insert=INSERT) if rows else 0
    return records.Receipt(accepted=accepted, repeated=len(rows) - accepted, refused=tuple(refused))


def wire(row: Decision) -> records.Decision:
    """Return a stored decision as its gateway reported it: all that a replay needs, and what must come out of it."""
    observed = None
    if row.mode == Decision.Mode.OBSERVE:
        observed = {
            "model": row.observed_model,
            "tier": row.observed_tier,
            "ladder": row.observed_ladder,
            "clause": row.observed_clause,
        }
    fields = {
        "id": str(row.id),
        "at": records.moment_text(row.occurred_at),
        "workflow": str(row.workflow_id),
        "environment": str(row.environment_id),
        "key": str(row.key_id),
        "policy_version": str(row.policy_version_id) if row.policy_version_id else None,
        "review": str(row.review_id) if row.review_id else None,
        "observed": observed,
        **{name: getattr(row, name) for name in SAME},
    }
    return msgspec.convert(fields, records.Decision)


def _fault(decision: records.Decision, gateway: Gateway) -> tuple[str, str] | None:
    if UUID(decision.id).version != 7:
        return "id", "A decision’s id is a UUIDv7: the ledger keeps decisions by it."
    if decision.facts.workflow != decision.workflow:
        return "facts.workflow", "The facts name another workflow than the decision."
    try:
        datetime.fromisoformat(decision.at)
    except ValueError:
        return "at", "There is no such day or time."
    if gateway.key_id and decision.facts.purpose != "application":
        return "facts.purpose", "An application’s API key is for its work alone."
    return records.observed_fault(decision)


def _row(decision: records.Decision, gateway: Gateway, now: datetime) -> tuple[Any, ...]:
    observed = decision.observed
    return (
        UUID(decision.id),
        datetime.fromisoformat(decision.at),
        now,
        gateway.id,
        UUID(decision.workflow),
        UUID(decision.environment),
        UUID(decision.key),
        decision.step,
        decision.run,
        _json(decision.facts),
        _json(decision.signals),
        _json(decision.state),
        decision.snapshot,
        UUID(decision.policy_version) if decision.policy_version else None,
        _json(decision.attempts),
        decision.outcome,
        decision.kept_model,
        decision.tier,
        UUID(decision.review) if decision.review else None,
        decision.triage,
        Decision.Mode.ENFORCE.value if observed is None else Decision.Mode.OBSERVE.value,
        observed.model if observed else None,
        observed.tier if observed else None,
        _json(observed.ladder) if observed else None,
        observed.clause if observed else None,
        packed.head(decision),
        packed.attempts(decision),
    )


def _json(value: msgspec.Struct | tuple[msgspec.Struct | str, ...]) -> Jsonb:
    return Jsonb(value, msgspec.json.encode)
