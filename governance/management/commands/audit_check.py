"""`manage.py audit_check`: compares every entry of the audit log with its own digests."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from governance import audit
from governance.models import AuditEvent

LIMITS = (
    "Compared was each entry with its own hash, and each body with the digest its entry names. An entry that was taken "
    "out, or rewritten together with its hash, cannot be seen by this."
)


class Command(BaseCommand):
    """Reads all entries once; changes nothing."""

    help = "Compare every entry of the audit log with its own digests; the code is 1 where one differs."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Name each entry that differs. Raises CommandError where one does."""
        found = 0
        for event, text in audit.faults():
            found += 1
            self.stdout.write(f"{event.pk}  {event.at:%Y-%m-%d %H:%M:%S} UTC  {event.action}: {text}")
        self.stdout.write(LIMITS)
        if found:
            raise CommandError(f"{found} of {AuditEvent.objects.count():,} entries are not what their digests say")
        self.stdout.write(f"{AuditEvent.objects.count():,} entries are what their digests say")
