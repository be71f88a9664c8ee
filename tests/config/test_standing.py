"""A start migrates and collects again unless all that both read, and what the database has, is as they left it."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from config.up import standing


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with a migration and a static file."""
    for name in ("governance/migrations/0001_tables.py", "static/app.css", "config/settings.py"):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(name)
    monkeypatch.setattr(standing, "ROOT", tmp_path / "code")
    return tmp_path / "code"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state whose static files were collected."""
    (tmp_path / "state" / "static").mkdir(parents=True)
    return tmp_path / "state"


@pytest.fixture
def database(db: None) -> psycopg.Connection:
    """The migrated database of the tests."""
    connection.ensure_connection()
    inside: psycopg.Connection = connection.connection
    return inside


def test_what_was_done_stands_until_then_nothing_does(state: Path, code: Path, database: psycopg.Connection) -> None:
    assert not standing.stands(state, database, demo=True)
    standing.remember(state, database, demo=True)
    assert standing.stands(state, database, demo=True)
    assert not standing.stands(state, database, demo=False)


@pytest.mark.parametrize(
    "changed",
    [
        lambda code: (code / "governance/migrations/0002_more.py").write_text(""),
        lambda code: (code / "governance/migrations/0001_tables.py").write_text("other"),
        lambda code: (code / "governance/migrations/0001_tables.py").unlink(),
        lambda code: (code / "static/app.css").write_text("body {}"),
        lambda code: (code / "static/sub").mkdir() or (code / "static/sub/app.js").write_text(""),
    ],
)
def test_other_code_is_brought_in(
    changed: Callable[[Path], object], state: Path, code: Path, database: psycopg.Connection
) -> None:
    standing.remember(state, database, demo=True)
    changed(code)
    assert not standing.stands(state, database, demo=True)


def test_a_database_that_was_migrated_back_is_migrated(state: Path, code: Path, database: psycopg.Connection) -> None:
    """So is one that another copy was put in the place of."""
    standing.remember(state, database, demo=True)
    database.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    assert not standing.stands(state, database, demo=True)


def test_static_files_that_are_gone_are_collected(state: Path, code: Path, database: psycopg.Connection) -> None:
    standing.remember(state, database, demo=True)
    (state / "static").rmdir()
    assert not standing.stands(state, database, demo=True)
