"""Prints the public key with which auditors check the checkpoints of the audit log."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from governance import seals
from smallfirst.seal import SealError


class Command(BaseCommand):
    """`manage.py audit_key`."""

    help = "Print the public key of the audit log, for auditors to keep."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print the key alone. Raises CommandError."""
        try:
            key = seals.verification_key(Path(settings.KEYS))
        except (FileNotFoundError, SealError) as error:
            raise CommandError(f"{error}: run `./run manage bootstrap`") from error
        if key is None:
            raise CommandError("Nothing is sealed yet: the worker does so once it runs.")
        self.stdout.write(key)
