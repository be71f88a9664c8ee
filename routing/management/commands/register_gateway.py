"""Registers a gateway and prints its credential, once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from governance import audit, gateways, registry
from governance.errors import GovernanceError
from governance.models import Environment
from routing.bootstrap import BOOTSTRAP, PRODUCTION


class Command(BaseCommand):
    """`manage.py register_gateway NAME --environment production --url https://…`."""

    help = "Register a gateway and print its credential, which is never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name, environment, and where it is reached."""
        parser.add_argument("name", help="what the gateway is called in lists")
        parser.add_argument("--environment", default=PRODUCTION, help="whose bundles it gets (%(default)s)")
        parser.add_argument(
            "--url", help="where applications, and the pages, reach the environment’s gateways from now on"
        )

    def handle(self, *_args: Any, name: str, environment: str, url: str | None, **_options: Any) -> None:
        """Print the credential alone, so that it can go straight to a file. Raises CommandError."""
        place = Environment.objects.filter(name=environment).first()
        if place is None:
            known = ", ".join(Environment.objects.values_list("name", flat=True)) or "none yet; run bootstrap first"
            raise CommandError(f"environment: there is no {environment}; there is {known}")
        try:
            with audit.during(auth_method="command"), transaction.atomic():
                if url is not None:
                    registry.set_gateway_url(environment=place, url=url.rstrip("/"), by=BOOTSTRAP)
                _, credential = gateways.register(name=name, environment=place, by=BOOTSTRAP)
        except GovernanceError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(credential)
