"""Bringing spooled records to the control plane: what to send, and what its answers mean. Whoever sends drives it."""

from collections.abc import Callable, Generator, Sequence
from typing import Final

import msgspec

from smallfirst.held import Answer, Unreachable
from smallfirst.records import Receipt, RefusedRecord
from smallfirst.spool import Batch, Kind, Record

# The control plane cannot read the batch: one of its records is to blame, and halving finds it.
UNREADABLE: Final = frozenset({400, 413, 422})

# Reviews first: a person is waited for.
_PATHS: Final[tuple[tuple[str, dict[Kind, str]], ...]] = (
    ("/api/v1/reviews", {"review": "reviews", "delivered": "delivered"}),
    ("/api/v1/decisions", {"decision": "decisions"}),
    ("/api/v1/usage", {"usage": "events"}),
)

_encode = msgspec.json.Encoder().encode

# Told of each record that was refused, or (None) of a refusal that names no record sent.
Refuse = Callable[[Record | None, RefusedRecord], None]
Sending = Generator[tuple[str, bytes], Answer, None]


def sending(batch: Batch, refuse: Refuse) -> Sending:
    """Yield path and body of each POST that delivers a batch, and be sent its answer; ends when all is delivered.

    Raises Unreachable where an answer is none: nothing then counts as delivered, and all is sent again.
    """
    for path, names in _PATHS:
        records = [record for record in batch.records if record.kind in names]
        if records:
            yield from _sending(path, names, records, refuse)


def _sending(path: str, names: dict[Kind, str], records: Sequence[Record], refuse: Refuse) -> Sending:
    body = {name: [record.data for record in records if record.kind == kind] for kind, name in names.items()}
    answer = yield path, _encode(body)
    if answer.status in UNREADABLE:
        if len(records) == 1:
            said = f"HTTP {answer.status} without a receipt"
            refuse(records[0], RefusedRecord(id=records[0].id, field="", message=said))
            return
        middle = len(records) // 2
        yield from _sending(path, names, records[:middle], refuse)
        yield from _sending(path, names, records[middle:], refuse)
        return
    if answer.status not in (200, 201, 202):
        raise Unreachable(f"http_{answer.status}")
    try:
        receipt = msgspec.json.decode(answer.body, type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unreachable("bad_receipt") from None
    by_id = {record.id: record for record in records} if receipt.refused else {}
    for refused in receipt.refused:
        refuse(by_id.get(refused.id or ""), refused)


def following(sending: Sending, answer: Answer | None) -> tuple[str, bytes] | None:
    """Return the next request of a delivery, after the answer to the last one (None at first); None at its end."""
    try:
        return next(sending) if answer is None else sending.send(answer)
    except StopIteration:
        return None
