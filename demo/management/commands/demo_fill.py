"""`manage.py demo_fill`: what fills the demo while it serves already: its recorded past."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from demo.recorded import imports


class Command(BaseCommand):
    """Idempotent; `up` runs it beside what serves, at every start."""

    help = "Bring the recorded days of Harbour & Vale into the ledger. Safe to run again."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Import what is missing and say how much that was."""
        stored = imports.run(now=timezone.now(), say=self.stdout.write)
        self.stdout.write(f"recorded {stored:,} requests" if stored else "all recorded requests are there")
