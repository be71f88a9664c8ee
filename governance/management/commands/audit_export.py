"""`manage.py audit_export`: writes the whole audit log into a zip, with the program that verifies it elsewhere."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from governance import audit, audit_exports
from governance.audit_lines import NoLogError
from smallfirst.seal import SealError

COMMAND = audit.Service("audit_export")


class Command(BaseCommand):
    """For auditors; what it did is an entry itself."""

    help = "Export the audit log as a zip that is verified without Smallfirst."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and whether personal parts go along."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--bodies", action="store_true", help="with the personal parts of entries")

    def handle(self, *_args: Any, file: Path, bodies: bool, **_options: Any) -> None:
        """Write the file and say what is in it. Raises CommandError."""
        if file.exists():
            raise CommandError(f"{file} is there already")
        draft = file.with_name(f".{file.name}.new")
        try:
            with draft.open("wb") as opened, audit.during(auth_method="command"):
                made = audit_exports.make(
                    file=opened, keys=Path(settings.KEYS), now=timezone.now(), bodies=bodies, by=COMMAND
                )
            draft.replace(file)
        except (OSError, NoLogError, SealError) as error:
            draft.unlink(missing_ok=True)
            raise CommandError(str(error)) from error
        self.stdout.write(f"Wrote {file}, up to checkpoint {made.number} over {made.size:,} entries")
