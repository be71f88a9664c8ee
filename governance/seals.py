"""Sealing the audit log: events become leaves of a Merkle tree in the order of their commits, and its roots are signed.

Sealing runs beside those who write and takes no lock that they need. An event is sealed once no transaction older than
its own can still commit: (xid, id) then orders all that was written, and nothing is passed over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Exists, Min, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from governance import audit, checkpoints
from governance.models import AuditCheckpoint, AuditEpoch, AuditEvent, AuditLeaf, AuditNode, new_id
from governance.models.seals import HEIGHTS
from smallfirst import merkle
from smallfirst.seal import read_key_file

SEALER = audit.Service("sealer of the audit log")
# Events of one transaction.
BATCH = 5_000
# A checkpoint is signed this often where anything was added,
EVERY = timedelta(minutes=1)
# and at once where an event of these was: what became live is proved from then on, and gateways wait for the proof.
AT_ONCE = frozenset({"changes.activate", "rollbacks.go_back", "emergencies.begin", "emergencies.end", "bundles.issue"})

# No transaction writes an entry and stays open for longer.
LONGEST_ACT = timedelta(hours=1)
# Before any entry.
LONG_AGO = Value(datetime(2000, 1, 1, tzinfo=UTC))

# xid and id of an event, its entry hash and its act.
Row = tuple[int, UUID, str, str]

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('governance.seals'))"
_CLUSTER = "SELECT system_identifier::text FROM pg_control_system()"
_OLDEST_RUNNING = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
_HEAD = """
    SELECT e.xid::text, e.id FROM governance_auditleaf l JOIN governance_auditevent e ON e.id = l.event_id
    WHERE l.index >= %s ORDER BY l.index DESC LIMIT 1
"""
_NOT_SEALED = "NOT EXISTS (SELECT FROM governance_auditleaf l WHERE l.event_id = e.id)"
# The events of other clusters keep their xids; where these lie ahead of the cursor, their leaves tell them apart.
_NEXT = f"""
    SELECT e.xid::text, e.id, e.entry_hash, e.action FROM governance_auditevent e
    WHERE (e.xid, e.id) > (%s::xid8, %s) AND e.xid < pg_snapshot_xmin(pg_current_snapshot()) AND {_NOT_SEALED}
    ORDER BY e.xid, e.id LIMIT %s
"""  # noqa: S608
_LEFT_BEHIND = f"""
    SELECT e.xid::text, e.id, e.entry_hash, e.action FROM governance_auditevent e
    WHERE {_NOT_SEALED} ORDER BY e.at, e.id LIMIT %s
"""  # noqa: S608


def seal(*, keys: Path, now: datetime) -> int:
    """Seal all that can be, and sign a checkpoint when one is due. Returns how many events were sealed.

    `keys` is the directory of the key files. While another process seals, this one leaves it to it. Raises
    FileNotFoundError without a key, and SealError for a file that holds none.
    """
    secret = read_key_file(keys / checkpoints.KEY_FILE)
    sealed = 0
    while True:
        added = _seal_some(secret, now)
        sealed += added
        if added < BATCH:
            return sealed


def is_sealed_as(event: AuditEvent, leaf: AuditLeaf) -> bool:
    """Whether an event is what its hash was made of, and that hash what was sealed."""
    sealed = merkle.leaf_of(event.entry_hash, event.xid).hex()
    return audit.entry_hash(event) == event.entry_hash and sealed == leaf.hash


class Stored:
    """The complete subtrees of the log as its tables hold them, read 256 at a time (a merkle.Subtree)."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[int, int], dict[int, bytes]] = {}

    def __call__(self, height: int, index: int) -> bytes:
        """Return a complete subtree's hash. Raises LookupError for one that is not there."""
        level, rest = divmod(height, HEIGHTS)
        begin, end = index << rest, (index + 1) << rest
        tile = self._tile(level, begin >> HEIGHTS)
        try:
            row = [tile[each] for each in range(begin, end)]
        except KeyError as error:
            raise LookupError(f"the log holds no hash {error} at level {level}") from error
        while len(row) > 1:
            row = [merkle.node_hash(*row[at : at + 2]) for at in range(0, len(row), 2)]
        return row[0]

    def _tile(self, level: int, number: int) -> dict[int, bytes]:
        if (level, number) not in self._tiles:
            within = {"index__gte": number << HEIGHTS, "index__lt": (number + 1) << HEIGHTS}
            rows = AuditNode.objects.filter(level=level, **within) if level else AuditLeaf.objects.filter(**within)
            self._tiles[level, number] = {
                index: bytes.fromhex(text) for index, text in rows.values_list("index", "hash")
            }
        return self._tiles[level, number]


@dataclass(frozen=True)
class Standing:
    """How far the log is: its leaves, since when the oldest unsealed event waits, and the last checkpoint."""

    size: int
    waiting_since: datetime | None
    checkpoint: AuditCheckpoint | None


def standing() -> Standing:
    """Return how far the log is; three queries."""
    return Standing(size(), waiting_since(), AuditCheckpoint.objects.order_by("-number").first())


def waiting_since() -> datetime | None:
    """When the oldest event was written that is not sealed yet; None when all are."""
    last = AuditLeaf.objects.order_by("-index").values("event_id")[:1]
    head = Coalesce(Subquery(AuditEvent.objects.filter(pk__in=last).values("at")[:1]), LONG_AGO)
    # So that an index finds them, and not a walk over all that is sealed.
    events = AuditEvent.objects.filter(at__gt=head - LONGEST_ACT)
    left = events.filter(~Exists(AuditLeaf.objects.filter(event_id=OuterRef("pk"))))
    since: datetime | None = left.aggregate(since=Min("at"))["since"]
    return since


def verification_key(keys: Path) -> str | None:
    """The public key that auditors check checkpoints with; None before the log has begun.

    Raises FileNotFoundError without a key, and SealError for a file that holds none.
    """
    epoch = AuditEpoch.objects.order_by("number").first()
    secret = read_key_file(keys / checkpoints.KEY_FILE)
    return None if epoch is None else checkpoints.verification_key(epoch.origin, secret)


def size() -> int:
    """How many leaves the log has."""
    last = AuditLeaf.objects.order_by("-index").values_list("index", flat=True).first()
    return 0 if last is None else last + 1


def _seal_some(secret: bytes, now: datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        if not _one(cursor, _LOCK):
            return 0
        before = size()
        epoch = _epoch(cursor, now)
        rows = _next(cursor, epoch)
        _append(cursor, rows)
        _sign(epoch, secret, now, at_once=any(action in AT_ONCE for *_, action in rows))
        return size() - before


def _epoch(cursor: CursorWrapper, now: datetime) -> AuditEpoch:
    """The epoch of this cluster. Where the log comes from another, or is new, a new one begins."""
    cluster = _one(cursor, _CLUSTER)
    last = AuditEpoch.objects.order_by("-number").first()
    if last is not None and last.system_identifier == cluster:
        return last
    # In this order: what a transaction below it wrote is there for the next statement to see.
    first_xid = int(_one(cursor, _OLDEST_RUNNING))
    while True:
        rows = _read(cursor, _LEFT_BEHIND, [BATCH])
        _append(cursor, rows)
        if len(rows) < BATCH:
            break
    epoch = AuditEpoch.objects.create(
        number=last.number + 1 if last else 1,
        origin=last.origin if last else f"smallfirst/{new_id()}",
        system_identifier=cluster,
        first_xid=first_xid,
        size=size(),
        began_at=now,
    )
    audit.record(
        action="seals.begin_epoch",
        actor=SEALER,
        object=epoch,
        summary=f"Began to seal events of this database cluster, as epoch {epoch.number} of the log",
        after={
            "number": epoch.number,
            "origin": epoch.origin,
            "system_identifier": epoch.system_identifier,
            "first_xid": str(epoch.first_xid),
            "size": str(epoch.size),
            "began_at": epoch.began_at,
        },
    )
    return epoch


def _next(cursor: CursorWrapper, epoch: AuditEpoch) -> list[Row]:
    cursor.execute(_HEAD, [epoch.size])
    head = cursor.fetchone() or (str(epoch.first_xid), UUID(int=0))
    return _read(cursor, _NEXT, [*head, BATCH])


def _append(cursor: CursorWrapper, rows: Sequence[Row]) -> None:
    """Add the leaves of some events, and the nodes that they complete."""
    if not rows:
        return
    frontier = merkle.frontier_of(size(), Stored())
    leaves: list[tuple[Any, ...]] = []
    nodes: list[tuple[Any, ...]] = []
    for xid, event, entry_hash, _action in rows:
        for height, index, value in frontier.append(merkle.leaf_of(entry_hash, xid)):
            if height == 0:
                leaves.append((index, event, value.hex()))
            elif height % HEIGHTS == 0:
                nodes.append((height // HEIGHTS, index, value.hex()))
    _insert(cursor, "governance_auditleaf (index, event_id, hash)", "bigint[], %s::uuid[], %s::text[]", leaves)
    _insert(cursor, "governance_auditnode (level, index, hash)", "smallint[], %s::bigint[], %s::text[]", nodes)


def _sign(epoch: AuditEpoch, secret: bytes, now: datetime, *, at_once: bool) -> None:
    """Sign a checkpoint where the log has grown and the last one is old, or what was added does not wait."""
    last, grown = AuditCheckpoint.objects.order_by("-number").first(), size()
    if grown == (last.size if last else 0) or not (at_once or last is None or now - last.at >= EVERY):
        return
    root = merkle.root_of(grown, Stored())
    AuditCheckpoint.objects.create(
        number=last.number + 1 if last else 1,
        size=grown,
        root=root.hex(),
        at=now,
        note=checkpoints.signed(origin=epoch.origin, size=grown, root=root, at=now, secret=secret),
    )


def _one(cursor: CursorWrapper, statement: str) -> Any:
    cursor.execute(statement)
    return cursor.fetchone()[0]


def _read(cursor: CursorWrapper, statement: str, values: Iterable[Any]) -> list[Row]:
    cursor.execute(statement, list(values))
    return [(int(xid), event, entry_hash, action) for xid, event, entry_hash, action in cursor.fetchall()]


def _insert(cursor: CursorWrapper, into: str, arrays: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """One statement whatever the number of rows: each row of its own would cost the writers beside it their turn."""
    if rows:
        cursor.execute(
            f"INSERT INTO {into} SELECT * FROM unnest(%s::{arrays})",  # noqa: S608 (both are written above)
            [list(column) for column in zip(*rows, strict=True)],
        )
