"""`manage.py demo_fill`: what fills the demo while it serves already: its sample sets, and its recorded past."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from demo import samplesets
from demo.recorded import imports
from governance.models import Environment


class Command(BaseCommand):
    """Idempotent; `up` runs it beside what serves, at every start."""

    help = "Bring sample sets and the recorded days of Harbour & Vale in. Safe to run again."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Import what is missing and say how much that was."""
        now, production = timezone.now(), Environment.objects.get(name="production")
        directory = settings.STATE / "models"
        made = samplesets.make(directory=directory, environment=production, now=now, say=self.stdout.write)
        if made:
            self.stdout.write(f"made {made} sample sets; their first evaluations run")
        stored = imports.run(now=now, say=self.stdout.write)
        self.stdout.write(f"recorded {stored:,} requests" if stored else "all recorded requests are there")
