"""Proofs: where an audit event stands in the log, and what leads from it to a root that was signed."""

from dataclasses import dataclass

from governance import audit, seals
from governance.models import AuditCheckpoint, AuditEvent, AuditLeaf
from smallfirst import merkle


@dataclass(frozen=True)
class Proof:
    """What there is to an event; `checkpoint` is the last one above its leaf, `path` leads to its root."""

    unchanged: bool
    leaf: AuditLeaf | None
    checkpoint: AuditCheckpoint | None
    path: tuple[str, ...]
    holds: bool


def of(event: AuditEvent) -> Proof:
    """Find the proof of an event, in a few queries; without a leaf, or a checkpoint above it, there is none yet."""
    unchanged = audit.entry_hash(event) == event.entry_hash
    leaf = AuditLeaf.objects.filter(event_id=event.pk).first()
    above = AuditCheckpoint.objects.order_by("-number").first()
    if leaf is None or above is None or leaf.index >= above.size:
        return Proof(unchanged, leaf, None, (), holds=False)
    try:
        path = merkle.inclusion_proof(leaf.index, above.size, seals.Stored())
    except LookupError:
        return Proof(unchanged, leaf, above, (), holds=False)
    holds = merkle.included(
        index=leaf.index,
        size=above.size,
        leaf=merkle.leaf_of(event.entry_hash, event.xid),
        proof=path,
        root=bytes.fromhex(above.root),
    )
    return Proof(unchanged, leaf, above, tuple(each.hex() for each in path), holds)
