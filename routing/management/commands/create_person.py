"""Adds a person from a shell: the way to the first one of an installation."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from governance import audit
from governance.errors import GovernanceError
from governance.models import Role
from routing import bootstrap


class Command(BaseCommand):
    """`manage.py create_person EMAIL NAME [--role ROLE …]`."""

    help = "Add a person with roles for the whole organisation and print the password, which is never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, and what he may do."""
        parser.add_argument("email")
        parser.add_argument("name")
        parser.add_argument(
            "--role",
            action="append",
            choices=Role.values,
            help=f"may be given several times; without it: {', '.join(bootstrap.FOUNDER)}",
        )

    def handle(self, *_args: Any, email: str, name: str, role: list[str] | None, **_options: Any) -> None:
        """Print the password alone. Raises CommandError."""
        try:
            with audit.during(auth_method="command"):
                _, password = bootstrap.create_person(email=email, name=name, roles=role or bootstrap.FOUNDER)
        except GovernanceError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(password)
