"""What an earlier start did to this state and this one need not do again: migrate the database, collect static files.

To find out by Django itself that there is nothing to do takes a process with the whole product in it each, more than
two seconds of a processor at every start. What decides is compared instead: the migrations and static files of this
code, the installed packages, and which migrations the database says it has.
"""

import hashlib
from pathlib import Path
from sysconfig import get_path

from psycopg import Connection, errors

MARK = "stands"
ROOT = Path(__file__).parents[2]
OURS = ("*/migrations/*.py", "static/**/*", "config/settings.py")


def code(*, demo: bool) -> str:
    """A digest of what migrating and collecting read: our files, and the names and versions of all packages."""
    digest = hashlib.sha256(b"demo" if demo else b"own")
    for path in sorted(path for pattern in OURS for path in ROOT.glob(pattern) if path.is_file()):
        digest.update(f"\n{path.relative_to(ROOT)}\n".encode())
        digest.update(path.read_bytes())
    packages = {path.name for place in ("purelib", "platlib") for path in Path(get_path(place)).glob("*.dist-info")}
    digest.update("\n".join(sorted(packages)).encode())
    return digest.hexdigest()


def applied(database: Connection) -> str:
    """A digest of the migrations that a database has; of none where it has not even their table."""
    try:
        rows = database.execute("SELECT app, name FROM django_migrations ORDER BY app, name").fetchall()
    except errors.UndefinedTable:
        rows = []
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def stands(state: Path, database: Connection, *, demo: bool) -> bool:
    """Whether an earlier start of this very code migrated this database, as it is now, and collected the files."""
    try:
        said = (state / MARK).read_text()
    except FileNotFoundError:
        return False
    return (state / "static").is_dir() and said == _said(database, demo=demo)


def remember(state: Path, database: Connection, *, demo: bool) -> None:
    """Keep that all of it is done now, for the next start."""
    (state / MARK).write_text(_said(database, demo=demo))


def _said(database: Connection, *, demo: bool) -> str:
    return f"{code(demo=demo)}\n{applied(database)}\n"
