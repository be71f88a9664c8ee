"""Past requests and their charges as PostgreSQL sends them, a piece at a time, the next one while one is worked on.

One connection does both: who asks it for something else in the meantime waits until the piece is there.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, Cursor

from ledger.partitions import lowest_id

Numbers = NDArray[np.int64]

# Amounts are whole numbers of the last decimal that a charge has. Such a large one is left to be told by itself, so
# that the sum of all attempts of a request stays below 2^60.
DECIMALS = 10
MOST_AMOUNT = 10**7
NOT_PRICED, TOO_LARGE = -1, -2
# Of requests that are not packed, and are told by themselves, so many at once.
MOST_ODD = 5000

MINE = """
FROM ledger_decision
WHERE workflow_id = %(workflow)s AND environment_id = %(environment)s AND key_id = ANY(%(keys)s)
    AND id > %(after)s AND id <= %(upto)s
"""
UPTO = """
SELECT id FROM ledger_decision WHERE workflow_id = %(workflow)s AND id > %(after)s AND id < %(end)s
ORDER BY id OFFSET %(most)s - 1 LIMIT 1
"""
READ = f"""
SELECT
    array_agg(id) FILTER (WHERE packed IS NOT NULL),
    array_agg(occurred_at) FILTER (WHERE packed IS NOT NULL),
    string_agg(packed, ''), string_agg(packed_attempts, ''),
    array_agg(id) FILTER (WHERE packed IS NULL)
{MINE}
"""
# PostgreSQL before 18 knows no least UUID; in the order of their texts it is the same one.
BOUNDS = """
SELECT min(id::text COLLATE "C")::uuid, max(id::text COLLATE "C")::uuid
FROM ledger_usageevent
WHERE decision_id > %(after)s AND decision_id <= %(upto)s AND workflow_id = %(workflow)s
"""
# Within bounds, or all charges that there are would be looked through for each piece.
CHARGED = """
SELECT
    array_agg(event.decision_id), array_agg(event.attempt::int4),
    array_agg(CASE
        WHEN charge.amount IS NULL THEN %(not_priced)s
        WHEN charge.amount < %(large)s AND known.place IS NOT NULL THEN (charge.amount * %(unit)s)::int8
        ELSE %(too_large)s
    END::int8),
    array_agg(coalesce(known.place, 1)::int4)
FROM ledger_usageevent event
LEFT JOIN ledger_charge charge ON charge.id = event.id AND charge.id >= %(lowest)s AND charge.id <= %(highest)s
LEFT JOIN unnest(%(currencies)s::text[]) WITH ORDINALITY known (currency, place) ON known.currency = charge.currency
WHERE event.decision_id > %(after)s AND event.decision_id <= %(upto)s AND event.workflow_id = %(workflow)s
"""


@dataclass(frozen=True)
class Charges:
    """What attempts cost: of which decision and which attempt of it, in units of the tenth decimal, in which currency.

    `amount` is NOT_PRICED where there is none and TOO_LARGE where it does not fit; `place` is that of the currency.
    """

    decision: NDArray[np.bytes_]
    attempt: Numbers
    amount: Numbers
    place: Numbers


@dataclass(frozen=True)
class Sent:
    """Decisions as they are packed (ledger.packed), those that are not, and up to which id that is."""

    ids: NDArray[np.bytes_]
    at: Numbers
    heads: bytes
    attempts: bytes
    odd: Sequence[UUID]
    charges: Charges
    upto: UUID


@dataclass
class Pieces:
    """Reads the decisions of some keys of a workflow in an environment up to a moment, oldest first."""

    connection: Connection[Any]
    workflow: UUID
    environment: UUID
    keys: Sequence[UUID]
    until: datetime
    currencies: Sequence[str]
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "pieces"))
    _ahead: tuple[UUID, int, Future[Sent | None]] | None = None

    def take(self, after: UUID, most: int) -> Sent | None:
        """Return what comes after an id, of `most` decisions of the workflow; None where nothing does."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[:2] == (after, most):
            return ahead[2].result()
        return self._fetch(after, most)

    def fetch_ahead(self, after: UUID, most: int) -> None:
        """Begin to fetch what will be taken next."""
        self._ahead = (after, most, self._thread.submit(self._fetch, after, most))

    def close(self) -> None:
        """Wait for what is being fetched, and forget it."""
        self._ahead = None
        self._thread.shutdown()

    def _fetch(self, after: UUID, most: int) -> Sent | None:
        end = lowest_id(self.until)
        place: dict[str, Any] = {"workflow": self.workflow, "environment": self.environment, "keys": list(self.keys)}
        with Cursor(self.connection) as cursor:
            found = cursor.execute(UPTO, place | {"after": after, "end": end, "most": most}).fetchone()
        # Fewer are left: all of them, up to the end. Then nothing comes after.
        upto = found[0] if found is not None else UUID(int=end.int - 1)
        if after >= upto:
            return None
        place |= {"after": after, "upto": upto}
        ids, at, heads, attempts, odd = self._raw(READ, place)
        unpacked = np.sort(_array(odd, "S16"))
        if unpacked.size > MOST_ODD:
            upto = place["upto"] = key_of(unpacked[MOST_ODD - 1])
            ids, at, heads, attempts, odd = self._raw(READ, place)
            unpacked = np.sort(_array(odd, "S16"))
        return Sent(
            ids=_array(ids, "S16"),
            at=_array(at, ">i8").astype(np.int64),
            heads=heads or b"",
            attempts=attempts or b"",
            odd=[key_of(each) for each in unpacked],
            charges=self._charges(place),
            upto=upto,
        )

    def _charges(self, place: Mapping[str, Any]) -> Charges:
        with Cursor(self.connection) as cursor:
            lowest, highest = cursor.execute(BOUNDS, place).fetchone() or (None, None)
        bounds = {"lowest": lowest, "highest": highest, "currencies": list(self.currencies)}
        numbers = {"not_priced": NOT_PRICED, "too_large": TOO_LARGE, "large": MOST_AMOUNT, "unit": 10**DECIMALS}
        decision, attempt, amount, currency = self._raw(CHARGED, {**place, **bounds, **numbers})
        return Charges(
            decision=_array(decision, "S16"),
            attempt=_array(attempt, ">i4").astype(np.int64),
            amount=_array(amount, ">i8").astype(np.int64),
            place=_array(currency, ">i4").astype(np.int64) - 1,
        )

    def _raw(self, query: str, place: Mapping[str, Any]) -> list[bytes | None]:
        """The one row of a query, each value as the server sends it in binary."""
        # Django's own cursors bind at the client, for which the server answers in text alone.
        with Cursor(self.connection) as cursor:
            cursor.execute(query, place, binary=True)
            result = cursor.pgresult
            return [result.get_value(0, column) for column in range(result.nfields)] if result else []


def key_of(sent: np.bytes_) -> UUID:
    """The id of 16 bytes, of which numpy leaves out zeros at the end."""
    return UUID(bytes=bytes(sent).ljust(16, b"\0"))


def _array(sent: bytes | None, kind: str) -> NDArray[Any]:
    """An array of values of one length, none of them null, as PostgreSQL sends it: a head, then length and value."""
    if sent is None:
        return np.empty(0, dtype=kind)
    return np.frombuffer(sent, dtype=[("length", ">i4"), ("value", kind)], offset=20)["value"]
