#!/usr/bin/env python3
"""Django's commands. `migrate` connects as the role that owns the tables; every other command as the application."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

from config import state


def main() -> None:
    """Run the command named in the arguments."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["migrate"]:
        embedded = state.database_url(state.state_path(), state.MIGRATOR_ROLE)
        migrator = os.environ.get("MIGRATION_DATABASE_URL") or os.environ.get("DATABASE_URL") or embedded
        os.environ["DATABASE_URL"] = migrator
    if sys.argv[1:2] and sys.argv[1].startswith("demo_") and (state.state_path() / "demo-password").exists():
        # The commands of the demo, where `up` made one.
        os.environ.setdefault("SMALLFIRST_DEMO", "1")
    try:
        execute_from_command_line(sys.argv)
    except OperationalError:
        if os.environ.get("DATABASE_URL") or state.postgres_socket(state.state_path()).exists():
            raise
        sys.exit(
            f"No database runs for the installation in {state.state_path()}. Start it with ./run up, "
            "or name the directory of another one in SMALLFIRST_STATE."
        )


if __name__ == "__main__":
    main()
