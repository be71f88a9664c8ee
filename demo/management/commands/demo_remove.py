"""`manage.py demo_remove`: takes the demo's organisation out of use, so that an installation becomes one's own."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from demo import removal
from demo.removal import NotRemovableError
from governance import audit

STAYS = (
    "Audit log, ledger and decisions stay: they are the record of what happened. Now stop ./run up and start it again."
)


class Command(BaseCommand):
    """Once; the next start of `up` brings no demo along."""

    help = "Retire the demo’s workflows and models, revoke its keys, deactivate its accounts. The record stays."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Remove it and say what was done. Raises CommandError."""
        if not settings.DEMO:
            raise CommandError("There is no demo here.")
        try:
            with audit.during(auth_method="command"):
                done = removal.remove(state=settings.STATE, now=timezone.now())
        except NotRemovableError as error:
            raise CommandError(str(error)) from error
        for line in (*done, STAYS):
            self.stdout.write(line)
