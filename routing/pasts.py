"""Past requests in columns, read from the database very many at once; JSON is read only where something new stands.

What a decision holds is packed in its row (ledger.packed). Its numbers come as bytes and are columns at once. Of facts,
states and the plain parts of attempts, equal ones have equal numbers, so that each is read once and remembered.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import numpy as np
from django.db import connection
from django.db.models import TextField
from django.db.models.functions import Cast
from msgspec import structs
from numpy.typing import NDArray
from psycopg import Cursor

from ledger.models import Decision, Price
from ledger.packed import ATTEMPT, HEAD, NO_CONFIDENCE, NO_TOKENS, SIGNALS
from ledger.partitions import lowest_id
from routing.columns import Columns, Numbers
from smallfirst.engine import AttemptSignals, Facts, State

T = TypeVar("T")

# Amounts are whole numbers of the last decimal that a charge has. Such a large one is left to be told by itself, so
# that the sum of all attempts of a request stays below 2^60.
DECIMALS = 10
MOST_AMOUNT = 10**7
NOT_PRICED, TOO_LARGE = -1, -2
# A request with more attempts is told by itself, and of those that are not packed so many at once.
MOST_ATTEMPTS = 8
MOST_ODD = 5000
# So many facts, states and attempts are remembered.
MOST_KNOWN = 200_000

# PostgreSQL counts microseconds from here.
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

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
CHARGED = """
SELECT
    array_agg(event.decision_id), array_agg(event.attempt::int4),
    array_agg(CASE
        WHEN charge.amount IS NULL THEN %(not_priced)s
        WHEN charge.amount < %(most)s AND known.place IS NOT NULL THEN (charge.amount * %(unit)s)::int8
        ELSE %(too_large)s
    END::int8),
    array_agg(coalesce(known.place, 1)::int4)
FROM ledger_usageevent event
LEFT JOIN ledger_charge charge ON charge.id = event.id
LEFT JOIN unnest(%(currencies)s::text[]) WITH ORDINALITY known (currency, place) ON known.currency = charge.currency
WHERE event.decision_id > %(after)s AND event.decision_id <= %(upto)s AND event.workflow_id = %(workflow)s
"""


class Head(NamedTuple):
    """What a request says of itself, and the policy under which it was decided."""

    step: str
    policy_version: UUID | None
    facts: Facts


class Rest(NamedTuple):
    """What an attempt is but for its numbers."""

    endpoint: str
    outcome: str
    label: str | None
    stop_reason: str | None


@dataclass(frozen=True)
class Pasts:
    """Requests by column, in the order of their ids (16 bytes each); `at` is microseconds since `EPOCH`.

    `head` says which of the `heads` each has, as do `asked.fact` and `asked.state`. The others have a row for each
    request and a column for each attempt: `rest` is one more than the place in `rests`, 0 where no attempt was made;
    `amount` is in units of the tenth decimal, NOT_PRICED where there is none, in a currency by its place.
    """

    ids: NDArray[np.bytes_]
    at: Numbers
    heads: Sequence[Head]
    head: Numbers
    asked: Columns
    rests: Sequence[Rest]
    rest: Numbers
    confidence: NDArray[np.float64]
    latency: Numbers
    tokens: Numbers
    amount: Numbers
    currency: Numbers
    currencies: Sequence[str]

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.ids)

    def key(self, row: int) -> UUID:
        """The id of one request."""
        return UUID(bytes=bytes(self.ids[row]).ljust(16, b"\0"))

    def attempts(self, row: int) -> tuple[AttemptSignals, ...]:
        """The attempts of one request, but for the rung of each, which is another policy's."""
        found = []
        for place, rest in enumerate(self.rest[row].tolist()):
            if rest:
                confidence, tokens = float(self.confidence[row, place]), int(self.tokens[row, place])
                endpoint, outcome, label, stop_reason = self.rests[rest - 1]
                numbers: dict[str, Any] = {"outcome": outcome, "latency_ms": int(self.latency[row, place])}
                numbers["confidence"] = None if confidence == NO_CONFIDENCE else confidence
                numbers["output_tokens"] = None if tokens == NO_TOKENS else tokens
                found.append(AttemptSignals(rung=0, endpoint=endpoint, label=label, stop_reason=stop_reason, **numbers))
        return tuple(found)

    def only(self, rows: NDArray[Any]) -> "Pasts":
        """Some of them, by place or by mask."""
        asked = self.asked
        narrowed = Columns(
            asked.facts,
            asked.states,
            asked.fact[rows],
            asked.state[rows],
            {name: column[rows] for name, column in asked.signals.items()},
        )
        per_row = ("ids", "at", "head", "rest", "confidence", "latency", "tokens", "amount", "currency")
        return Pasts(
            heads=self.heads,
            asked=narrowed,
            rests=self.rests,
            currencies=self.currencies,
            **{name: getattr(self, name)[rows] for name in per_row},
        )


@dataclass(frozen=True)
class Piece:
    """What comes next: requests in columns, those that have to be told by themselves, and up to which id that is."""

    pasts: Pasts | None
    odd: Sequence[UUID]
    upto: UUID


@dataclass
class Reader:
    """Reads the requests that applications sent to a workflow in an environment, piece by piece, oldest first."""

    workflow: UUID
    environment: UUID
    keys: Sequence[UUID]
    since: datetime
    until: datetime
    heads: dict[int, Head] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    rests: dict[int, Rest] = field(default_factory=dict)

    def read(self, after: UUID | None, most: int) -> Piece | None:
        """Return what comes after a request, of `most` decisions of the workflow; None where nothing does."""
        begin = after or UUID(int=max(lowest_id(self.since).int - 1, 0))
        place: dict[str, Any] = {
            "workflow": self.workflow,
            "environment": self.environment,
            "keys": list(self.keys),
            "after": begin,
        }
        end = lowest_id(self.until)
        with connection.cursor() as cursor:
            cursor.execute(UPTO, place | {"end": end, "most": most})
            found = cursor.fetchone()
        # Fewer are left: all of them, up to the end. Then nothing comes after.
        upto = found[0] if found is not None else UUID(int=end.int - 1)
        if begin >= upto:
            return None
        ids, at, heads, attempts, odd = self._read(place | {"upto": upto})
        if len(odd) > MOST_ODD:
            upto = odd[MOST_ODD - 1]
            ids, at, heads, attempts, odd = self._read(place | {"upto": upto})
        if not ids.size:
            return Piece(None, odd, upto)
        pasts, too_many = self._columns(ids, at, heads, attempts)
        pasts, too_large = self._charged(pasts, place | {"upto": upto})
        return Piece(pasts, [*odd, *too_many, *too_large], upto)

    def _read(self, place: Mapping[str, Any]) -> tuple[NDArray[np.bytes_], Numbers, bytes, bytes, list[UUID]]:
        ids, at, heads, attempts, odd = _raw(READ, place)
        unpacked = np.sort(_array(odd, "S16"))
        return (
            _array(ids, "S16"),
            _array(at, ">i8").astype(np.int64),
            heads or b"",
            attempts or b"",
            [UUID(bytes=bytes(each).ljust(16, b"\0")) for each in unpacked],
        )

    def _columns(self, ids: NDArray[np.bytes_], at: Numbers, heads: bytes, attempts: bytes) -> tuple[Pasts, list[UUID]]:
        """The requests as columns, without those that have too many attempts, and the ids of these."""
        told, flat = np.frombuffer(heads, dtype=HEAD), np.frombuffer(attempts, dtype=ATTEMPT)
        counts = told["attempts"].astype(np.int64)
        row = np.repeat(np.arange(ids.size), counts)
        slot = np.arange(flat.size) - np.repeat(np.cumsum(counts) - counts, counts)
        fits = slot < MOST_ATTEMPTS
        row, slot, flat = row[fits], slot[fits], flat[fits]
        shape = (ids.size, max(int(slot.max(initial=0)) + 1, 1))

        def spread(values: NDArray[Any], nothing: float, kind: type) -> NDArray[Any]:
            found: NDArray[Any] = np.full(shape, nothing, dtype=kind)
            found[row, slot] = values
            return found

        known, head = self._known(self.heads, told["facts"], ids, self._find_heads)
        states, state = self._known(self.states, told["state"], ids, self._find_states)
        rests, rest = self._known(self.rests, flat["rest"], ids[row], self._find_rests, slot)
        facts = [each.facts for each in known]
        asked = Columns(facts, states, head, state, {name: told[name].astype(np.int64) for name in SIGNALS})
        pasts = Pasts(
            ids=ids,
            at=at,
            heads=known,
            head=head,
            asked=asked,
            rests=rests,
            rest=spread(rest + 1, 0, np.int64),
            confidence=spread(flat["confidence"], NO_CONFIDENCE, np.float64),
            latency=spread(flat["latency_ms"], 0, np.int64),
            tokens=spread(flat["output_tokens"], NO_TOKENS, np.int64),
            amount=np.full(shape, NOT_PRICED, dtype=np.int64),
            currency=np.zeros(shape, dtype=np.int64),
            currencies=(),
        )
        if (ids[1:] < ids[:-1]).any():
            order = np.argsort(ids, kind="stable")
            pasts, counts = pasts.only(order), counts[order]
        return _without(pasts, counts > MOST_ATTEMPTS)

    def _charged(self, pasts: Pasts, place: Mapping[str, Any]) -> tuple[Pasts, list[UUID]]:
        """The same with what the attempts cost, without those whose amounts are too large, and the ids of these."""
        currencies = sorted(set(Price.objects.values_list("currency", flat=True)))
        numbers = {"not_priced": NOT_PRICED, "too_large": TOO_LARGE, "most": MOST_AMOUNT, "unit": 10**DECIMALS}
        decisions, attempts, amounts, places = _raw(CHARGED, {**place, **numbers, "currencies": currencies})
        of, attempt = _array(decisions, "S16"), _array(attempts, ">i4").astype(np.int64)
        amount, currency = _array(amounts, ">i8").astype(np.int64), _array(places, ">i4").astype(np.int64) - 1
        row = np.minimum(np.searchsorted(pasts.ids, of), max(len(pasts) - 1, 0))
        here = np.flatnonzero(attempt < pasts.amount.shape[1])
        here = here[pasts.ids[row[here]] == of[here]] if len(pasts) else here[:0]
        pasts.amount[row[here], attempt[here]] = amount[here]
        pasts.currency[row[here], attempt[here]] = currency[here]
        large = (pasts.amount == TOO_LARGE).any(axis=1)
        priced = Pasts(**{**{name: getattr(pasts, name) for name in PASTS}, "currencies": currencies})
        return _without(priced, large)

    def _known(
        self,
        memory: dict[int, T],
        numbers: Numbers,
        ids: NDArray[np.bytes_],
        find: Callable[[Mapping[UUID, Sequence[tuple[int, int]]]], Iterable[tuple[int, T]]],
        slots: Numbers | None = None,
    ) -> tuple[list[T], Numbers]:
        """What numbers stand for, each once, and which of these each of them is; what is new is read."""
        different, first, which = np.unique(numbers, return_index=True, return_inverse=True)
        if len(memory) > MOST_KNOWN:
            memory.clear()
        new: dict[UUID, list[tuple[int, int]]] = {}
        for number, row in zip(different.tolist(), first.tolist(), strict=True):
            if number not in memory:
                key = UUID(bytes=bytes(ids[row]).ljust(16, b"\0"))
                new.setdefault(key, []).append((number, 0 if slots is None else int(slots[row])))
        if new:
            memory.update(find(new))
        return [memory[number] for number in different.tolist()], which.astype(np.int64)

    def _find_heads(self, wanted: Mapping[UUID, Sequence[tuple[int, int]]]) -> Iterable[tuple[int, Head]]:
        fields = ("step", "policy_version", "facts_text")
        for key, step, version, facts in _texts("facts", wanted).values_list("pk", *fields):
            for number, _ in wanted[key]:
                # The run's name is no part of what the number stands for: it is that of one request alone.
                yield number, Head(step, version, structs.replace(msgspec.json.decode(facts, type=Facts), run=None))

    def _find_states(self, wanted: Mapping[UUID, Sequence[tuple[int, int]]]) -> Iterable[tuple[int, State]]:
        for key, state in _texts("state", wanted).values_list("pk", "state_text"):
            for number, _ in wanted[key]:
                yield number, structs.replace(msgspec.json.decode(state, type=State), at=0)

    def _find_rests(self, wanted: Mapping[UUID, Sequence[tuple[int, int]]]) -> Iterable[tuple[int, Rest]]:
        for key, text in _texts("attempts", wanted).values_list("pk", "attempts_text"):
            attempts = msgspec.json.decode(text, type=list[AttemptSignals])
            for number, slot in wanted[key]:
                one = attempts[slot]
                yield number, Rest(one.endpoint, one.outcome, one.label, one.stop_reason)


PASTS = tuple(Pasts.__dataclass_fields__)


def _without(pasts: Pasts, odd: NDArray[np.bool_]) -> tuple[Pasts, list[UUID]]:
    """The same requests without some, and the ids of these."""
    if not odd.any():
        return pasts, []
    return pasts.only(~odd), [pasts.key(each) for each in np.flatnonzero(odd).tolist()]


def _texts(name: str, wanted: Mapping[UUID, object]) -> Any:
    return Decision.objects.filter(pk__in=list(wanted)).annotate(**{f"{name}_text": Cast(name, TextField())})


def _raw(query: str, place: Mapping[str, Any]) -> list[bytes | None]:
    """The one row of a query, each value as the server sends it in binary."""
    connection.ensure_connection()
    # Django's own cursors bind at the client, for which the server answers in text alone.
    with Cursor(connection.connection) as cursor:
        cursor.execute(query, place, binary=True)
        result = cursor.pgresult
        return [result.get_value(0, column) for column in range(result.nfields)] if result else []


def _array(sent: bytes | None, kind: str) -> NDArray[Any]:
    """An array of values of one length, none of them null, as PostgreSQL sends it: a head, then length and value."""
    if sent is None:
        return np.empty(0, dtype=kind)
    return np.frombuffer(sent, dtype=[("length", ">i4"), ("value", kind)], offset=20)["value"]
