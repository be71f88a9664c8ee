"""Who owns the audit tables, whoever runs the migrations."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from config.up.services import Postgres

OWNERS = """
    SELECT c.relname, o.rolname,
        has_table_privilege('smallfirst_app', c.oid, 'SELECT'), has_table_privilege('smallfirst_app', c.oid, 'INSERT'),
        has_table_privilege('smallfirst_app', c.oid, 'UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'),
        (SELECT bool_and(tgenabled = 'A') FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
    FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner WHERE c.relname LIKE 'governance_audit%' AND c.relkind = 'r'
    ORDER BY c.relname
"""


@pytest.fixture
def superusers_database(django_db_setup: None, postgres: Postgres, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database with the documented roles, migrated by a plain superuser; its name."""
    name = "smallfirst_superuser"
    postgres.bootstrap(name)
    before = {key: connection.settings_dict[key] for key in ("NAME", "USER")}
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict.update(NAME=name, USER="postgres")
        call_command("migrate", "governance", verbosity=0, interactive=False)
        connection.close()
        connection.settings_dict.update(before)
    yield name
    with postgres.connect() as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_the_audit_role_owns_its_tables_whoever_migrates(postgres: Postgres, superusers_database: str) -> None:
    for database in ("smallfirst_template", superusers_database):
        with postgres.connect(database) as server:
            found = server.execute(OWNERS).fetchall()
        assert found == [
            (f"governance_audit{noun}", "smallfirst_audit", True, True, False, True)
            for noun in ("body", "checkpoint", "epoch", "event", "leaf", "node", "sample")
        ], database
