"""`manage.py demo_tamper`: forges one entry of the demo's audit log, to show what finds it."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import state as places
from demo import tampering
from demo.tampering import NothingToForgeError


class Command(BaseCommand):
    """For the demo's embedded database alone. It is not undone: a log that could be would prove nothing."""

    help = "Forge the reason of the newest vote in the demo’s audit log, behind the product’s back."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Forge it and say which and how. Raises CommandError outside the demo, and where there is no vote."""
        if not settings.DEMO or not (settings.STATE / "demo-password").exists():
            raise CommandError("This forges an audit log, so it serves the demo alone: here is none.")
        url = os.environ.get("MIGRATION_DATABASE_URL") or places.database_url(settings.STATE, places.MIGRATOR_ROLE)
        try:
            entry, before = tampering.tamper(url)
        except NothingToForgeError as error:
            raise CommandError("Nobody has voted yet whose reason is not forged already.") from error
        self.stdout.write(f"Forged the reason of entry {entry}, as the owner of the database could.")
        self.stdout.write(f"  before  {before}")
        self.stdout.write(f"  now     {tampering.FORGED}")
        self.stdout.write("See what finds it:  ./run manage audit_verify")
