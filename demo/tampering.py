"""Changes one entry of the demo's audit log behind the product's back: to show somebody what notices it."""

from uuid import UUID

import psycopg
from psycopg import sql

TABLE = "governance_auditevent"
OWNER = "smallfirst_audit"
ACT = "changes.vote"
FORGED = "Approved by telephone."
# Whoever holds the table longer than this is not kept waiting.
LOCK_MS = 5_000


class NothingToForgeError(Exception):
    """The log has no vote yet whose reason could be forged."""


def tamper(database_url: str) -> tuple[UUID, str]:
    """Forge the reason of the newest vote, as the owner of the table; return the entry's id and the reason before.

    `database_url` is the migrator's: nobody else may take on the owner's role. He switches the table's guards off and
    on again around the forgery, in one transaction. Raises NothingToForgeError.
    """
    table = sql.Identifier(TABLE)
    with psycopg.connect(database_url) as server:
        server.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_MS))
        server.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        found = server.execute(
            sql.SQL("SELECT id, reason FROM {} WHERE action = %s AND reason <> %s ORDER BY at DESC LIMIT 1").format(
                table
            ),
            [ACT, FORGED],
        ).fetchone()
        if found is None:
            raise NothingToForgeError
        guards = server.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [TABLE]
        ).fetchall()
        _switch(server, guards, "DISABLE")
        server.execute(sql.SQL("UPDATE {} SET reason = %s WHERE id = %s").format(table), [FORGED, found[0]])
        _switch(server, guards, "ENABLE ALWAYS")
    return found[0], found[1]


def _switch(server: "psycopg.Connection[tuple[str, ...]]", guards: list[tuple[str, ...]], how: str) -> None:
    for (name,) in guards:
        server.execute(
            sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(sql.Identifier(TABLE), sql.SQL(how), sql.Identifier(name))
        )
