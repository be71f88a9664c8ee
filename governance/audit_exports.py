"""Exports of the audit log and of samples: zips verified on an auditor's machine, with the program that does it."""

import io
import json
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from django.db import transaction

from governance import audit, audit_lines, audit_verifier, seals
from governance.audit import Actor
from governance.audit_lines import Line, NoLogError
from governance.models import AuditCheckpoint, AuditSample

README = """\
The audit log of {origin},
exported {at}, up to checkpoint {number} over {size} entries{bodies}.

log.jsonl          all entries with their place in the log, its tree and its checkpoints, a line each
checkpoint.txt     the last checkpoint: keep it, and compare the next export with it
key.txt            the public key: compare it with the one that you were given otherwise
audit_verifier.py  reads this file; Python 3.11 or newer, and the package cryptography

    python3 audit_verifier.py THIS.zip --key "$(cat your-own-copy-of-key.txt)" --against your-earlier-checkpoint.txt

What it shows: that no entry was changed, left out or put in since it was sealed, and that the log is the one that every
checkpoint you hold was signed about. Not that what an entry says was true when it was written.
"""


README_OF_SAMPLE = """\
A sample of {drawn} of {population} entries, drawn from the audit log of {origin}
by {actor}, {at}; exported {made}, without the personal parts of entries.

sample.json        population, period, seed, checkpoint and draws; the draws are numbers of leaves
log.jsonl          every entry of the population with the proof that leads to the checkpoint, then, once it was signed
                   too, the entry that tells of the draw
checkpoint.txt     the checkpoint that it was drawn under: compare it with the one that you keep
key.txt            the public key: compare it with the one that you were given otherwise
audit_verifier.py  reads this file; Python 3.11 or newer, and the package cryptography

    python3 audit_verifier.py THIS.zip --key "$(cat your-own-copy-of-key.txt)"
    python3 audit_verifier.py WHOLE-LOG.zip --sample THIS.zip --key "$(cat your-own-copy-of-key.txt)"

The first shows that each entry is unchanged since it was sealed, and that the draws are those which the seed gives. The
second, with an export of the whole log, that the population is all of it: no entry was left out.
"""


def make_of_sample(*, file: IO[bytes], sample: AuditSample, keys: Path, now: datetime, by: Actor) -> None:
    """Write a sample with its population and what proves it into a zip. That it was exported is itself an entry.

    Raises FileNotFoundError without a key, SealError for a file that holds none, LookupError for a tree with gaps.
    """
    key = seals.verification_key(keys)
    checkpoint = AuditCheckpoint.objects.get(number=sample.checkpoint)
    with transaction.atomic():
        audit.record(
            action="audit_exports.make_of_sample",
            actor=by,
            object=sample,
            summary=f"Exported a sample of {len(sample.draws):,} entries of the audit log",
        )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        row = json.dumps(audit_lines.sample_line(sample), ensure_ascii=False, indent=2)
        content.writestr(audit_verifier.SAMPLE, f"{row}\n")
        _write_lines(content, audit_lines.of_sample(sample, keys=keys, now=now))
        _write_rest(
            content,
            checkpoint,
            str(key),
            README_OF_SAMPLE.format(
                origin=str(key).partition("+")[0],
                drawn=f"{len(sample.draws):,}",
                population=f"{sample.population:,}",
                actor=sample.actor_name,
                at=_said(sample.created_at),
                made=_said(now),
            ),
        )


def make(*, file: IO[bytes], keys: Path, now: datetime, bodies: bool, by: Actor) -> AuditCheckpoint:
    """Write the whole log into a zip; return the last checkpoint in it. That it was exported is itself an entry.

    With `bodies` the personal parts of entries go along. Raises NoLogError before the first checkpoint,
    FileNotFoundError without a key, and SealError for a file that holds none.
    """
    key = seals.verification_key(keys)
    checkpoint = AuditCheckpoint.objects.order_by("-number").first()
    if key is None or checkpoint is None:
        raise NoLogError("Nothing is sealed yet: the worker does so once it runs.")
    with transaction.atomic():
        audit.record(
            action="audit_exports.make",
            actor=by,
            object=checkpoint,
            summary=f"Exported the audit log{'' if bodies else ' without its bodies'}",
            after={"checkpoint": checkpoint.number, "bodies": bodies},
        )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        _write_lines(content, audit_lines.whole(keys=keys, now=now, masked=not bodies))
        _write_rest(
            content,
            checkpoint,
            key,
            README.format(
                origin=key.partition("+")[0],
                at=_said(now),
                number=checkpoint.number,
                size=f"{checkpoint.size:,}",
                bodies="" if bodies else ",\nwithout the personal parts of entries",
            ),
        )
    return checkpoint


def _write_rest(content: zipfile.ZipFile, checkpoint: AuditCheckpoint, key: str, readme: str) -> None:
    """What stands beside the lines in every export."""
    content.writestr("checkpoint.txt", checkpoint.note)
    content.writestr("key.txt", f"{key}\n")
    content.writestr("audit_verifier.py", Path(audit_verifier.__file__).read_text(encoding="utf-8"))
    content.writestr("README.txt", readme)


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _write_lines(content: zipfile.ZipFile, lines: Iterable[Line]) -> None:
    with content.open(audit_verifier.LOG, "w", force_zip64=True) as raw, io.TextIOWrapper(raw, "utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
