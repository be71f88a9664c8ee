"""Exports of the audit log: a zip that an auditor verifies on a machine of his own, with the program that does it."""

import io
import json
import zipfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import IO

from django.db import transaction

from governance import audit, audit_lines, audit_verifier, seals
from governance.audit import Actor
from governance.audit_lines import Line, NoLogError
from governance.models import AuditCheckpoint

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
        content.writestr("checkpoint.txt", checkpoint.note)
        content.writestr("key.txt", f"{key}\n")
        content.writestr("audit_verifier.py", Path(audit_verifier.__file__).read_text(encoding="utf-8"))
        content.writestr(
            "README.txt",
            README.format(
                origin=key.partition("+")[0],
                at=f"{now:%Y-%m-%d %H:%M} UTC",
                number=checkpoint.number,
                size=f"{checkpoint.size:,}",
                bodies="" if bodies else ",\nwithout the personal parts of entries",
            ),
        )
    return checkpoint


def _write_lines(content: zipfile.ZipFile, lines: Iterable[Line]) -> None:
    with content.open(audit_verifier.LOG, "w", force_zip64=True) as raw, io.TextIOWrapper(raw, "utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
