"""Verifications: the log read whole and compared by itself, again and again, and what was found kept in it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction

from governance import anchors, audiences, audit, audit_guards, audit_lines, audit_verifier, notifications
from governance.models import AuditCheckpoint, AuditEvent
from governance.models.audit import AuditEventQuerySet

VERIFIER = audit.Service("verifier of the audit log")
ACTION = "verifications.run"
# What was found is written down when it is something else than before, and this often anyway.
EVERY = timedelta(days=1)
# So many faults are told in full.
TOLD = 10


def run(*, keys: Path, places: Iterable[str], now: datetime) -> list[str]:
    """Verify the whole log, also against the checkpoints in the files of its anchors; return what does not hold.

    What PostgreSQL no longer refuses by itself does not hold either.

    `places` are the anchors' files and git clones; what is not there is left out. Raises NoLogError before anything is
    sealed, FileNotFoundError without a key, and SealError for a file that holds none.
    """
    held = [note for file in map(_file_of, places) if file.exists() for note in _notes_in(file)]
    check = audit_verifier.Check(held=held)
    lines = audit_lines.whole(keys=keys, now=now)
    faults = [*audit_guards.faults(), *(str(fault) for fault in check.faults(lines))]
    last = latest()
    if last is None or now - last.at >= EVERY or (last.after or {}).get("told") != faults[:TOLD]:
        _record(check, faults)
    return faults


def runs() -> AuditEventQuerySet:
    """The entries of verifications, newest first."""
    about = AuditEvent.objects.filter(object_type=AuditCheckpoint._meta.model_name, action=ACTION)
    return about.newest_first()


def latest() -> AuditEvent | None:
    """The entry of the last verification that was written down."""
    return runs().first()


@transaction.atomic
def _record(check: audit_verifier.Check, faults: list[str]) -> None:
    checkpoint = AuditCheckpoint.objects.order_by("-number").first()
    if checkpoint is None:
        return
    found = f"found {len(faults):,} {'fault' if len(faults) == 1 else 'faults'}" if faults else "all of it holds"
    audit.record(
        action=ACTION,
        actor=VERIFIER,
        object=checkpoint,
        summary=f"Verified {check.entries:,} entries of the audit log: {found}",
        after={
            "entries": check.entries,
            "checkpoints": check.checkpoints,
            "faults": len(faults),
            "told": faults[:TOLD],
        },
    )
    if faults:
        told = audiences.holders("audit.view", team=None)
        notifications.tell_of_faults(checkpoint=checkpoint.pk, to=told, faults=len(faults))


def _file_of(place: str) -> Path:
    path = Path(place)
    return path / anchors.FILE_NAME if path.is_dir() else path


def _notes_in(file: Path) -> list[audit_verifier.Note]:
    text = file.read_text(encoding="utf-8")
    return audit_verifier.notes_in(text) if text.strip() else []
