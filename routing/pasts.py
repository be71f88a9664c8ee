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

from ledger.models import Decision, Price
from ledger.packed import ATTEMPT, HEAD, NO_CONFIDENCE, NO_TOKENS, SIGNALS
from ledger.partitions import lowest_id
from routing.columns import Columns, Numbers
from routing.pieces import NOT_PRICED, TOO_LARGE, Charges, Pieces, key_of
from smallfirst.engine import AttemptSignals, Facts, State

T = TypeVar("T")

# A request with more attempts is told by itself.
MOST_ATTEMPTS = 8
# So many facts, states and attempts are remembered.
MOST_KNOWN = 200_000

# PostgreSQL counts microseconds from here.
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


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
        return key_of(self.ids[row])

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
    pieces: Pieces | None = None

    def read(self, after: UUID | None, most: int, then: int | None = None) -> Piece | None:
        """Return what comes after a request, of `most` decisions of the workflow; None where nothing does.

        Of `then` decisions the next piece is fetched while this one is worked on, until `close`.
        """
        if self.pieces is None:
            connection.ensure_connection()
            currencies = sorted(set(Price.objects.values_list("currency", flat=True)))
            place = (self.workflow, self.environment, self.keys, self.until)
            self.pieces = Pieces(connection.connection, *place, currencies)
        sent = self.pieces.take(after or UUID(int=max(lowest_id(self.since).int - 1, 0)), most)
        if sent is None:
            return None
        if not sent.ids.size:
            return Piece(None, sent.odd, sent.upto)
        pasts, too_many = self._columns(sent.ids, sent.at, sent.heads, sent.attempts)
        if then is not None:
            # Not before: what is new in this piece is read by the same connection.
            self.pieces.fetch_ahead(sent.upto, then)
        pasts, too_large = _charged(pasts, sent.charges, self.pieces.currencies)
        return Piece(pasts, [*sent.odd, *too_many, *too_large], sent.upto)

    def close(self) -> None:
        """Let go of what is read ahead. It can be read on afterwards."""
        if self.pieces is not None:
            self.pieces.close()
            self.pieces = None

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
                new.setdefault(key_of(ids[row]), []).append((number, 0 if slots is None else int(slots[row])))
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


def _charged(pasts: Pasts, charges: Charges, currencies: Sequence[str]) -> tuple[Pasts, list[UUID]]:
    """The same with what the attempts cost, without those whose amounts are too large, and the ids of these."""
    row = np.minimum(np.searchsorted(pasts.ids, charges.decision), max(len(pasts) - 1, 0))
    here = np.flatnonzero(charges.attempt < pasts.amount.shape[1])
    here = here[pasts.ids[row[here]] == charges.decision[here]] if len(pasts) else here[:0]
    pasts.amount[row[here], charges.attempt[here]] = charges.amount[here]
    pasts.currency[row[here], charges.attempt[here]] = charges.place[here]
    large = (pasts.amount == TOO_LARGE).any(axis=1)
    priced = Pasts(**{**{name: getattr(pasts, name) for name in PASTS}, "currencies": currencies})
    return _without(priced, large)


def _without(pasts: Pasts, odd: NDArray[np.bool_]) -> tuple[Pasts, list[UUID]]:
    """The same requests without some, and the ids of these."""
    if not odd.any():
        return pasts, []
    return pasts.only(~odd), [pasts.key(each) for each in np.flatnonzero(odd).tolist()]


def _texts(name: str, wanted: Mapping[UUID, object]) -> Any:
    return Decision.objects.filter(pk__in=list(wanted)).annotate(**{f"{name}_text": Cast(name, TextField())})
