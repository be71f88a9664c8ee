"""Usage as gateways report it: stored once, whatever is repeated, and queued to be priced."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from governance.models import Gateway
from ledger import batches
from ledger.models.usage import booked
from smallfirst import records

# Times that Python and PostgreSQL both read back, in every zone.
YEARS = range(1970, 9000)

COLUMNS = (
    ("id", "uuid"),
    ("decision_id", "uuid"),
    ("attempt", "int2"),
    ("occurred_at", "timestamptz"),
    ("recorded_at", "timestamptz"),
    ("booked_at", "timestamptz"),
    ("clock", "text"),
    ("gateway_id", "uuid"),
    ("workflow_id", "uuid"),
    ("environment_id", "uuid"),
    ("key_id", "uuid"),
    ("step", "text"),
    ("run", "text"),
    ("endpoint_id", "uuid"),
    ("model", "text"),
    ("tier", "text"),
    ("model_requested", "text"),
    ("model_served", "text"),
    ("outcome", "text"),
    ("kept", "bool"),
    ("http_status", "int2"),
    ("error", "text"),
    ("input_tokens", "int4"),
    ("cache_read_tokens", "int4"),
    ("cache_write_tokens", "int4"),
    ("output_tokens", "int4"),
    ("usage_quality", "text"),
    ("latency_ms", "int4"),
    ("first_byte_ms", "int4"),
    ("provider_request_id", "text"),
    ("tags", "jsonb"),
)

# In the order of the key, so that two batches with the same events wait for each other and never in a circle.
INSERT = """
WITH fresh AS (
    INSERT INTO ledger_usageevent ({columns})
    SELECT {columns} FROM incoming ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id, recorded_at
)
INSERT INTO ledger_usagequeue (event_id, recorded_at) SELECT id, recorded_at FROM fresh
"""


def record(*, batch: Sequence[msgspec.Raw], gateway: Gateway, now: datetime) -> records.Receipt:
    """Store the usage events of a batch that are not stored yet, and queue them for the fold.

    An event is known by its id alone: repeated in the same batch, later, or by two at once, it counts once. A faulty
    record is left out and named; the rest is stored in one transaction. `now` is the time of arrival.
    """
    events, refused = batches.decode(batch, records.UsageEvent)
    known = batches.Known.of(
        gateway, keys=(event.key for event in events), endpoints=(event.endpoint for event in events)
    )
    # Attempts share few keys, workflows and endpoints: each id is read once.
    ids: dict[str, UUID] = {}
    rows = []
    for event in events:
        fault = known.fault(event) or _fault(event, known)
        if fault:
            refused.append(records.RefusedRecord(id=event.id, field=fault[0], message=fault[1]))
        else:
            rows.append(_row(event, gateway, now, ids))
    accepted = batches.store(table="ledger_usageevent", columns=COLUMNS, rows=rows, insert=INSERT) if rows else 0
    return records.Receipt(accepted=accepted, repeated=len(rows) - accepted, refused=tuple(refused))


def _fault(event: records.UsageEvent, known: batches.Known) -> tuple[str, str] | None:
    if event.endpoint not in known.endpoints:
        return "endpoint", "No endpoint of this environment has this id."
    if event.occurred_at.year not in YEARS:
        return "occurred_at", f"The year is not between {YEARS.start} and {YEARS.stop - 1}."
    return None


def _row(event: records.UsageEvent, gateway: Gateway, now: datetime, ids: dict[str, UUID]) -> tuple[Any, ...]:
    def known(text: str) -> UUID:
        if text not in ids:
            ids[text] = UUID(text)
        return ids[text]

    booked_at, clock = booked(event.occurred_at, now=now)
    return (
        UUID(event.id),
        UUID(event.decision),
        event.attempt,
        event.occurred_at,
        now,
        booked_at,
        clock.value,
        gateway.id,
        known(event.workflow),
        known(event.environment),
        known(event.key),
        event.step,
        event.run,
        known(event.endpoint),
        event.model,
        event.tier,
        event.model_requested,
        event.model_served,
        event.outcome,
        event.kept,
        event.http_status,
        event.error,
        event.input_tokens,
        event.cache_read_tokens,
        event.cache_write_tokens,
        event.output_tokens,
        event.usage_quality,
        event.latency_ms,
        event.first_byte_ms,
        event.provider_request_id,
        Jsonb(event.tags, msgspec.json.encode),
    )
