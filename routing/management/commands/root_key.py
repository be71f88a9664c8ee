"""Prints the public half of the root key, which every gateway pins."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from routing import keys


class Command(BaseCommand):
    """`manage.py root_key`."""

    help = "Print the public root key: a gateway’s SMALLFIRST_ROOT_KEY."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print the key alone. Raises CommandError."""
        try:
            self.stdout.write(keys.root_public_key(Path(settings.KEYS)))
        except keys.KeysMissingError as error:
            raise CommandError(str(error)) from error
