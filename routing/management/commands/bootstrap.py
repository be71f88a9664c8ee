"""The first keys and rows of an installation. Safe to run at every start."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from governance import audit, audit_guards
from routing import bootstrap
from routing.keys import KeysMissingError

HOW_TO_REGISTER = "no gateway runs here; register one with: ./run manage register_gateway NAME --environment production"


class Command(BaseCommand):
    """Keys, environments, list prices, and the gateway of `./run up`."""

    help = "Make the keys, environments and list prices that are missing. Safe to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether somebody has to be able to sign in."""
        parser.add_argument(
            "--first-person",
            action="store_true",
            help="where nobody is there yet, add one person and write his sign-in to the state directory",
        )

    def handle(self, *_args: Any, first_person: bool = False, **_options: Any) -> None:
        """Make what is missing and say what was made. Raises CommandError."""
        state = Path(settings.STATE)
        # The lock of `./run up`, which starts a gateway with the credential in this directory.
        runs_gateway = (state / "up.lock").exists()
        try:
            audit_guards.require()
            with audit.during(auth_method="command"):
                made = bootstrap.run(directory=Path(settings.KEYS), now=timezone.now())
                if runs_gateway:
                    made += bootstrap.ensure_embedded_gateway(state / bootstrap.CREDENTIAL, settings.GATEWAY_URL)
                    made += bootstrap.ensure_development_gateway(state, settings.DEVELOPMENT_GATEWAY_URL)
                if first_person:
                    made += bootstrap.ensure_first_person(state / bootstrap.FIRST_PERSON)
        except KeysMissingError as error:
            raise CommandError(str(error)) from error
        except audit_guards.UnguardedError as error:
            raise CommandError(f"The audit log is not guarded as it has to be.\n{error}") from error
        for line in made or ["nothing was missing"]:
            self.stdout.write(line)
        if not runs_gateway:
            self.stdout.write(HOW_TO_REGISTER)
