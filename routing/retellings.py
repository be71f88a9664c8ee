"""Stored decisions, decided again from what is stored with them: their plan and reasons, and whether they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import msgspec

from ledger import decisions
from ledger.models import Decision
from routing.models import Snapshot as StoredSnapshot
from smallfirst import engine
from smallfirst.engine import Plan, Reason, Refusal, Snapshot, SnapshotDocument

# What a replay cannot change: it is handed over, not decided.
GIVEN = ("id", "at", "environment", "key", "facts", "signals", "state", "attempts")


@dataclass(frozen=True)
class Retelling:
    """What came of deciding a stored decision again.

    `fault` says in a sentence where the record does not hold: it, or what it was decided under, is not what it was.
    `missing` says why it could not be decided again at all. Where either stands there may be no plan and no reasons.
    `would` is the plan of a policy that was only watched.
    """

    record: engine.Decision | None = None
    snapshot: Snapshot | None = None
    planned: Plan | Refusal | None = None
    would: Plan | Refusal | None = None
    reasons: tuple[Reason, ...] = ()
    fault: str = ""
    missing: str = ""

    @property
    def agrees(self) -> bool:
        """Whether it came out with the same bytes."""
        return not self.fault and not self.missing

    @property
    def json(self) -> str:
        """The record's one byte form; empty where the row holds none."""
        return "" if self.record is None else engine.encode(self.record).decode()


def retell(row: Decision) -> Retelling:
    """Decide a stored decision again; one query, for its snapshot."""
    (told,) = retell_all([row])
    return told


def retell_all(rows: Sequence[Decision]) -> list[Retelling]:
    """Decide stored decisions again, in their order; one query, for all their snapshots."""
    stored = StoredSnapshot.objects.filter(digest__in={row.snapshot for row in rows})
    texts = {each.digest: each.text.encode() for each in stored}
    # What is decided under one snapshot is read from it once.
    read: dict[tuple[str, str], Snapshot | Retelling] = {}
    return [_retold(row, texts, read) for row in rows]


def _retold(row: Decision, texts: Mapping[str, bytes], read: dict[tuple[str, str], Snapshot | Retelling]) -> Retelling:
    try:
        record = decisions.wire(row)
    except msgspec.ValidationError as error:
        return Retelling(fault=f"What is stored is no decision: {error}.")
    place = (row.snapshot, record.workflow)
    if place not in read:
        read[place] = _read(texts.get(row.snapshot), record.workflow, digest=row.snapshot)
    snapshot = read[place]
    if isinstance(snapshot, Retelling):
        return replace(snapshot, record=record)
    return _decided_again(record, snapshot)


def _read(text: bytes | None, workflow: str, *, digest: str) -> Snapshot | Retelling:
    """The snapshot of one workflow, or what there is to say where it cannot be had."""
    if text is None:
        return Retelling(missing=f"The snapshot {digest[:12]} that it was made under is not kept here.")
    if sha256(text).hexdigest() != digest:
        return Retelling(fault="The snapshot that it was made under was changed since: its digest does not match.")
    try:
        return _of_one_workflow(text, workflow, digest=digest)
    except (msgspec.MsgspecError, engine.SnapshotError) as error:
        return Retelling(missing=f"The snapshot that it was made under cannot be read by this release: {error}.")


def _decided_again(record: engine.Decision, snapshot: Snapshot) -> Retelling:
    try:
        planned = engine.replan(record, snapshot)
        again = engine.replay(record, snapshot)
        reasons = tuple(engine.explain(record, snapshot))
    except ValueError as error:
        # ReplayError is one; so is a person without a review.
        return Retelling(record, snapshot, fault=f"It does not follow from what is stored with it: {error}.")
    would = engine.would_have(record, snapshot) if record.observed is not None else None
    fault = ""
    if engine.encode(again) != engine.encode(record):
        names = [name for name in record.__struct_fields__ if name not in GIVEN]
        parted = [name for name in names if getattr(again, name) != getattr(record, name)]
        fault = f"Decided again, it comes out otherwise in {', '.join(parted)}."
    return Retelling(record, snapshot, planned, would, reasons, fault)


def _of_one_workflow(text: bytes, workflow: str, *, digest: str) -> Snapshot:
    """Compile of a snapshot what decides one workflow's requests: the register and that workflow.

    No workflow's policy looks at another's, so the plans are those of the whole.
    """
    document = msgspec.json.decode(text, type=SnapshotDocument)
    alone = tuple(one for one in document.workflows if one.id == workflow)
    return engine.compile_snapshot(msgspec.structs.replace(document, workflows=alone), digest=digest)
