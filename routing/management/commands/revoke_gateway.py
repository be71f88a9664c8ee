"""Shuts a gateway out."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from governance import audit, gateways
from governance.errors import GovernanceError
from governance.models import Gateway
from routing.bootstrap import BOOTSTRAP


class Command(BaseCommand):
    """`manage.py revoke_gateway NAME --reason TEXT`."""

    help = "Accept a gateway’s credential no longer."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which, and why."""
        parser.add_argument("name", help="what the gateway is called in lists")
        parser.add_argument("--reason", default="", help="for the audit log")

    def handle(self, *_args: Any, name: str, reason: str, **_options: Any) -> None:
        """Say that it is done. Raises CommandError."""
        gateway = Gateway.objects.filter(name=name).first()
        if gateway is None:
            raise CommandError(f"name: there is no gateway {name}")
        try:
            with audit.during(auth_method="command"):
                gateways.revoke(gateway=gateway, by=BOOTSTRAP, reason=reason)
        except GovernanceError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"revoked the gateway {name}")
