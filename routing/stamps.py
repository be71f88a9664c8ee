"""Tells by one cheap query whether the rows behind a document were written to, and reads them while they hold still.

Every write of a row in PostgreSQL leaves a new version of it, known by its place (ctid) and by the transaction that
wrote it (xmin). A digest over those changes with every insert, update and delete that has committed, whoever made it,
and never comes back to an earlier value. Rows that were merely moved cost one rebuilding, nothing else.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TypeVar

from django.db import connection, models
from psycopg import sql

T = TypeVar("T")

# A condition on rows that hold for a time.
IN_FORCE = "valid_from <= %(now)s AND (valid_until IS NULL OR valid_until > %(now)s)"
TRIES = 8


class UnsettledError(Exception):
    """The rows were written to each time they were read; ask again."""


def read(tables: Mapping[type[models.Model], str], *, now: datetime, also: str = "SELECT ''", **named: date) -> str:
    """Return the stamp of tables in one query; the values are SQL conditions on the rows that count, or empty.

    `also` is a query for what moves without a row being written; both may use `now` and what else is named.
    """
    parts = sql.SQL(", ").join(
        sql.SQL(
            "(SELECT coalesce(string_agg(ctid::text || xmin::text, ',' ORDER BY ctid), '') FROM {} WHERE {})"
        ).format(sql.Identifier(table._meta.db_table), sql.SQL(condition or "true"))
        for table, condition in tables.items()
    )
    with connection.cursor() as cursor:
        query = sql.SQL("SELECT encode(sha256(concat_ws('|', {}, ({}))::bytea), 'hex')").format(parts, sql.SQL(also))
        cursor.execute(query.as_string(cursor.connection), {"now": now, **named})
        found: tuple[str] = cursor.fetchone()
        return found[0]


def settled(make: Callable[[], T], stamp: Callable[[], str]) -> tuple[T, str]:
    """Return what `make` reads from the rows, and their stamp at that moment. Raises UnsettledError.

    Each query of `make` may see a later state of the database than the one before; an equal stamp before and after says
    that all saw the same.
    """
    before = stamp()
    for _ in range(TRIES):
        made = make()
        after = stamp()
        if after == before:
            return made, after
        before = after
    raise UnsettledError("The registers are being written to; try again.")
