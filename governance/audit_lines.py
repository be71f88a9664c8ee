"""The audit log as lines for governance.audit_verifier: every column of every audit table, read once, in its order."""

import base64
import heapq
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef

from governance import audit, audit_samples, seals
from governance.canonical import moment
from governance.models import AuditBody, AuditCheckpoint, AuditEpoch, AuditEvent, AuditLeaf, AuditNode, AuditSample
from smallfirst import merkle

Line = dict[str, Any]
# A line with its place: lines of one place stand in the order of these.
_ENTRY, _NODE, _CHECKPOINT = range(3)
_Placed = tuple[int, int, int, Line]
CHUNK = 2_000


class NoLogError(Exception):
    """Nothing is sealed yet, or not what was asked for; the text says so."""


def whole(*, keys: Path, now: datetime, since: int | None = None, masked: bool = False) -> Iterator[Line]:
    """Yield the whole log, or what came after checkpoint number `since`; memory does not grow with it.

    Without bodies where it is `masked`. Raises NoLogError before anything is sealed and for a checkpoint that is not
    there, FileNotFoundError without a key, and SealError for a file that holds none.
    """
    with _snapshot():
        begin = _begin(since)
        yield _head(keys, now) | {"masked": masked} | ({"begin": begin} if begin else {})
        yield from map(epoch_line, AuditEpoch.objects.order_by("number"))
        # From the middle on, none can be drawn again.
        yield from map(sample_line, AuditSample.objects.order_by("created_at", "id") if begin is None else ())
        size = begin["size"] if begin else 0
        sources: list[Iterator[_Placed]] = [_entries(size), _checkpoints(size, since or 0)]
        levels = AuditNode.objects.order_by("level").values_list("level", flat=True).distinct()
        sources += [_nodes(level, size) for level in levels]
        merged = (line for *_, line in heapq.merge(*sources, key=lambda placed: placed[:3]))
        for line in itertools.chain(merged, _unsealed()):
            yield line | {"body": None} if masked and line["kind"] == "entry" else line
        yield from _stray_bodies()
        yield {"kind": "end"}


def of_sample(sample: AuditSample, *, keys: Path, now: datetime) -> Iterator[Line]:
    """Yield a sample's whole population with proofs to its checkpoint, then the entry that tells of the draw, once one
    was signed over that as well. Without bodies.

    Raises FileNotFoundError without a key, SealError for a file that holds none, LookupError for a tree with gaps.
    """
    with _snapshot():
        yield _head(keys, now) | {"masked": True, "whole": False}
        signed = AuditCheckpoint.objects.get(number=sample.checkpoint)
        yield checkpoint_line(signed)
        last, population = -1, audit_samples.population(sample)
        while leaves := list(population.filter(index__gt=last).order_by("index")[:CHUNK]):
            yield from _proved(leaves, signed)
            last = leaves[-1].index
        own = AuditEvent.objects.about(sample).values("pk")
        leaf = AuditLeaf.objects.filter(event_id__in=own).first()
        above = AuditCheckpoint.objects.filter(size__gt=leaf.index).order_by("number").first() if leaf else None
        if leaf is not None and above is not None:
            yield checkpoint_line(above)
            yield from _proved([leaf], above)
        yield {"kind": "end"}


def _proved(leaves: Sequence[AuditLeaf], signed: AuditCheckpoint) -> Iterator[Line]:
    """Each leaf with its event, and with what leads to a checkpoint's root."""
    stored = seals.Stored()
    for leaf, line in zip(leaves, entry_lines(leaves), strict=True):
        proof = merkle.inclusion_proof(leaf.index, signed.size, stored)
        yield line | {"body": None, "proof": [each.hex() for each in proof]}


@contextmanager
def _snapshot() -> Iterator[None]:
    """One view of the database for all that is read, while others write; inside a transaction, what that one sees."""
    begun = connection.in_atomic_block
    with transaction.atomic():
        if not begun:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def epoch_line(epoch: AuditEpoch) -> Line:
    """An epoch as its own entry tells it."""
    return {
        "kind": "epoch",
        "number": epoch.number,
        "origin": epoch.origin,
        "system_identifier": epoch.system_identifier,
        "first_xid": str(epoch.first_xid),
        "size": str(epoch.size),
        "began_at": moment(epoch.began_at),
    }


def sample_line(sample: AuditSample) -> Line:
    """A sample as its own entry tells it."""
    said: Line = audit.plain(audit_samples.facts(sample))
    return {"kind": "sample", "id": str(sample.pk), **said}


def event_line(event: AuditEvent) -> Line:
    """Every column of an event."""
    return _columns(event) | {"id": str(event.id), "team": str(event.team) if event.team else None}


def body_line(body: AuditBody) -> Line:
    """Every column of a body."""
    return {
        "event_id": str(body.event_id),
        "salt": base64.b64encode(bytes(body.salt)).decode() if body.salt is not None else None,
        "content": body.content,
        "erased_at": moment(body.erased_at) if body.erased_at else None,
    }


def checkpoint_line(checkpoint: AuditCheckpoint) -> Line:
    """Every column of a checkpoint."""
    return {"kind": "checkpoint"} | _columns(checkpoint)


def _columns(row: models.Model) -> Line:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return {name: _value(name, value) for name, value in values.items()}


def _value(name: str, value: Any) -> Any:
    # A number of a transaction may be longer than what every reader of JSON holds exactly.
    return moment(value) if isinstance(value, datetime) else str(value) if name == "xid" else value


def _head(keys: Path, now: datetime) -> Line:
    key = seals.verification_key(keys)
    epoch = AuditEpoch.objects.order_by("number").first()
    if key is None or epoch is None:
        raise NoLogError("Nothing is sealed yet: the worker does so once it runs.")
    return {
        "kind": "log",
        "format": 1,
        "origin": epoch.origin,
        "made_at": moment(now),
        "whole": True,
        "keys": [key],
    }


def _begin(since: int | None) -> Line | None:
    if since is None:
        return None
    checkpoint = AuditCheckpoint.objects.filter(number=since).first()
    if checkpoint is None:
        raise NoLogError(f"There is no checkpoint {since}.")
    try:
        peaks = merkle.frontier_of(checkpoint.size, seals.Stored()).peaks
    except LookupError as error:
        raise NoLogError(f"The tree below checkpoint {since} is not whole: {error}. Verify the whole log.") from error
    return {"size": checkpoint.size, "peaks": [peak.hex() for peak in peaks]}


def _entries(begin: int) -> Iterator[_Placed]:
    last = begin - 1
    while leaves := list(AuditLeaf.objects.filter(index__gt=last).order_by("index")[:CHUNK]):
        for leaf, line in zip(leaves, entry_lines(leaves), strict=True):
            yield leaf.index + 1, _ENTRY, 0, line
        last = leaves[-1].index


def entry_lines(leaves: Sequence[AuditLeaf]) -> Iterator[Line]:
    """Yield each leaf with its event and its body."""
    ids = [leaf.event_id for leaf in leaves]
    events = AuditEvent.objects.in_bulk(ids)
    bodies = AuditBody.objects.in_bulk(ids)
    for leaf in leaves:
        event, place = events.get(leaf.event_id), {"index": leaf.index, "hash": leaf.hash}
        yield _entry(event, bodies.get(leaf.event_id), place | {"event_id": str(leaf.event_id)})


def _entry(event: AuditEvent | None, body: AuditBody | None, leaf: Line | None) -> Line:
    return {
        "kind": "entry",
        "leaf": leaf,
        "event": event_line(event) if event else None,
        "body": body_line(body) if body else None,
    }


def _nodes(level: int, begin: int) -> Iterator[_Placed]:
    width = 256**level
    for node in AuditNode.objects.filter(level=level, index__gte=begin // width).order_by("index").iterator():
        line = {"kind": "node", "level": node.level, "index": node.index, "hash": node.hash}
        yield (node.index + 1) * width, _NODE, level, line


def _checkpoints(begin: int, since: int) -> Iterator[_Placed]:
    rows = AuditCheckpoint.objects.filter(size__gte=begin, number__gte=since).order_by("size", "number")
    for checkpoint in rows.iterator():
        yield checkpoint.size, _CHECKPOINT, checkpoint.number, checkpoint_line(checkpoint)


def _unsealed() -> Iterator[Line]:
    events = AuditEvent.objects.filter(~Exists(AuditLeaf.objects.filter(event_id=OuterRef("pk"))))
    for event in events.order_by("at", "id").select_related("body").iterator():
        yield _entry(event, getattr(event, "body", None), None)


def _stray_bodies() -> Iterator[Line]:
    bodies = AuditBody.objects.filter(~Exists(AuditEvent.objects.filter(pk=OuterRef("event_id"))))
    for event in bodies.values_list("event_id", flat=True).iterator():
        yield {"kind": "body", "event_id": str(event)}
