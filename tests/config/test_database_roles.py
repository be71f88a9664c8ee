"""docs/database_roles.sql, as a real connection of each role meets it."""

from collections.abc import Iterator

import psycopg
import pytest

from config import state as places
from config.up import services


@pytest.fixture(scope="module")
def database(postgres: services.Postgres) -> Iterator[str]:
    """A database of its own on the session's cluster, with one table of each owner."""
    name = "roles"
    postgres.bootstrap(name)
    postgres.bootstrap(name)
    with psycopg.connect(places.database_url(postgres.state, places.MIGRATOR_ROLE, name)) as migrator:
        migrator.execute("CREATE TABLE plain (id int)")
        migrator.execute("CREATE TABLE audited (id int)")
        migrator.execute("REVOKE UPDATE, DELETE ON audited FROM smallfirst_app")
        migrator.execute("ALTER TABLE audited OWNER TO smallfirst_audit")
    yield name
    with postgres.connect() as server:
        server.execute("DROP DATABASE roles WITH (FORCE)")


@pytest.fixture
def app(postgres: services.Postgres, database: str) -> Iterator[psycopg.Connection]:
    """The application's own connection."""
    with psycopg.connect(places.database_url(postgres.state, places.APP_ROLE, database)) as connection:
        yield connection


def test_app_reads_and_writes_rows(app: psycopg.Connection) -> None:
    """All four verbs on a plain table, two on an audited one."""
    app.execute("INSERT INTO plain VALUES (1); UPDATE plain SET id = 2; DELETE FROM plain")
    app.execute("INSERT INTO audited VALUES (1)")
    assert app.execute("SELECT id FROM audited").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "TRUNCATE plain",
        "DROP TABLE plain",
        "ALTER TABLE plain ADD COLUMN more int",
        "CREATE TRIGGER t BEFORE INSERT ON plain EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "UPDATE audited SET id = 2",
        "DELETE FROM audited",
        "TRUNCATE audited",
        "ALTER TABLE audited OWNER TO smallfirst_app",
        "SET ROLE smallfirst_audit",
        "SET ROLE smallfirst_migrator",
        "CREATE ROLE another",
    ],
)
def test_app_may_no_more(app: psycopg.Connection, statement: str) -> None:
    """Whatever would change a table, or an audit row, is refused by the database itself."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


def test_migrator_carries_no_rights_of_the_audit_owner(postgres: services.Postgres, database: str) -> None:
    """It has to become that role on purpose."""
    with psycopg.connect(places.database_url(postgres.state, places.MIGRATOR_ROLE, database)) as migrator:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            migrator.execute("DELETE FROM audited")
        migrator.rollback()
        migrator.execute("SET ROLE smallfirst_audit")
        migrator.execute("DELETE FROM audited")
