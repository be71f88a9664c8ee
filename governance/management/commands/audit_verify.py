"""`manage.py audit_verify`: verifies the whole audit log, as it stands in the database."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from governance import audit_lines, audit_verifier
from governance.audit_lines import NoLogError
from smallfirst.seal import SealError

FOUND, UNKNOWN = 1, 2


class Command(BaseCommand):
    """Reads all of the log once, in order; changes nothing."""

    help = (
        "Verify the audit log: entries, bodies, leaves, nodes, roots, signatures. "
        "The code is 0 where all holds, 1 where something does not, 2 where this could not be found out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What to begin with, and what to compare with."""
        parser.add_argument("--since", type=int, metavar="CHECKPOINT", help="begin after the checkpoint of this number")
        parser.add_argument(
            "--against", action="append", default=[], type=Path, metavar="FILE", help="checkpoints held elsewhere"
        )
        parser.add_argument(
            "--key", action="append", default=[], help="a public key of the log, as audit_key prints it"
        )

    def handle(self, *_args: Any, **given: Any) -> None:
        """Name each row that does not hold. Raises CommandError with the code."""
        found = 0
        try:
            texts = [path.read_text(encoding="utf-8") for path in given["against"]]
            held = [note for text in texts for note in audit_verifier.notes_in(text)]
            check = audit_verifier.Check(keys=given["key"], held=held)
            lines = audit_lines.whole(keys=Path(settings.KEYS), now=timezone.now(), since=given["since"])
            for fault in check.faults(lines):
                found += 1
                self.stdout.write(str(fault))
        except (OSError, NoLogError, SealError, audit_verifier.UnreadableError) as error:
            raise CommandError(f"Could not verify: {error}", returncode=UNKNOWN) from error
        if found:
            raise CommandError(audit_verifier.summary(check, found), returncode=FOUND)
        self.stdout.write(audit_verifier.summary(check, found))
