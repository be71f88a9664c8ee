"""Anchors: places outside the database that are given each checkpoint of the audit log to hold."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx2

from governance.models import Anchor, AuditCheckpoint

FILE_NAME = "checkpoints.txt"
# Checkpoints given to a place at a time: one that was away catches up in several turns.
AT_ONCE = 60
SECONDS = 5
# What a place says of its failure is kept this far.
FAILURE_LENGTH = 300
# A file's end in which a checkpoint is looked for that was written, and whose receipt was lost.
_END = 100_000
_AUTHOR = ("-c", "user.name=Smallfirst", "-c", "user.email=audit@smallfirst.example")


class AnchorError(Exception):
    """A place did not take a checkpoint; the text says why."""


@dataclass(frozen=True)
class Held:
    """How far the anchors are: all of them, and the furthest that is apart from this machine."""

    anchors: list[Anchor]
    apart: Anchor | None


def hold(*, places: Mapping[str, str], clock: Callable[[], datetime]) -> None:
    """Give each place the checkpoints that it has not yet, oldest first. `places` has an address by kind, or none.

    A place that fails is tried again with the next turn, and keeps no other waiting. Runs outside a transaction: one
    that is open while the network is waited for would hold up sealing.
    """
    named = {kind: place for kind, place in places.items() if place}
    Anchor.objects.exclude(kind__in=named).delete()
    for kind, place in named.items():
        anchor, _ = Anchor.objects.get_or_create(kind=kind, defaults={"place": place})
        if anchor.place != place:
            # Another place begins with nothing.
            anchor.place, anchor.held, anchor.held_at = place, 0, None
            anchor.failed_at, anchor.failure = None, ""
            anchor.save()
        _give(anchor, clock)


def standing() -> Held:
    """Return how far the anchors are; one query."""
    anchors = list(Anchor.objects.order_by("kind"))
    apart = [anchor for anchor in anchors if anchor.kind in Anchor.APART and anchor.held]
    return Held(anchors, max(apart, key=lambda anchor: anchor.held, default=None))


def _give(anchor: Anchor, clock: Callable[[], datetime]) -> None:
    waiting = list(AuditCheckpoint.objects.filter(number__gt=anchor.held).order_by("number")[:AT_ONCE])
    if not waiting:
        return
    # Another turn may have gone further meanwhile.
    mine = Anchor.objects.filter(kind=anchor.kind, place=anchor.place, held=anchor.held)
    try:
        _WAYS[anchor.kind](anchor.place, waiting)
    except AnchorError as error:
        mine.update(failed_at=clock(), failure=str(error)[:FAILURE_LENGTH])
    else:
        mine.update(held=waiting[-1].number, held_at=clock(), failed_at=None, failure="")


def _to_file(place: str, waiting: Sequence[AuditCheckpoint]) -> None:
    try:
        _append(Path(place), waiting)
    except OSError as error:
        raise AnchorError(f"The file cannot be written: {error.strerror}") from error


def _append(path: Path, waiting: Sequence[AuditCheckpoint]) -> None:
    """Add what is not there, durable on return."""
    with path.open("ab+") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
        end = file.read()
        notes = (checkpoint.note.encode() for checkpoint in waiting)
        file.writelines(note for note in notes if note not in end)
        file.flush()
        os.fsync(file.fileno())


def _to_git(place: str, waiting: Sequence[AuditCheckpoint]) -> None:
    """Commit them, and push where there is where to."""
    if not (Path(place) / ".git").exists():
        raise AnchorError("There is no git repository at this place.")
    _to_file(str(Path(place) / FILE_NAME), waiting)
    last = waiting[-1]
    _git(place, "add", "--", FILE_NAME)
    if _git(place, "status", "--porcelain", "--", FILE_NAME):
        _git(place, *_AUTHOR, "commit", "--quiet", "-m", f"Checkpoint {last.number} over {last.size}", "--", FILE_NAME)
    if _git(place, "remote"):
        _git(place, "push", "--quiet", "origin", "HEAD")


def _git(place: str, *words: str) -> str:
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-C", place, *words]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS * 6
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AnchorError(f"git did not answer: {type(error).__name__}") from error
    if done.returncode:
        raise AnchorError(f"git refused: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def _to_webhook(place: str, waiting: Sequence[AuditCheckpoint]) -> None:
    """Send one after the other; each is signed, so whoever takes it needs no secret."""
    headers = {"content-type": "text/plain; charset=utf-8"}
    try:
        with httpx2.Client(timeout=SECONDS, trust_env=False) as client:
            for checkpoint in waiting:
                answer = client.post(place, content=checkpoint.note.encode(), headers=headers)
                if not answer.is_success:
                    raise AnchorError(f"It answered {answer.status_code}.")
    except httpx2.HTTPError as error:
        raise AnchorError(f"It did not answer: {type(error).__name__}") from error


_WAYS: dict[str, Callable[[str, Sequence[AuditCheckpoint]], None]] = {
    Anchor.Kind.FILE: _to_file,
    Anchor.Kind.GIT: _to_git,
    Anchor.Kind.WEBHOOK: _to_webhook,
}
