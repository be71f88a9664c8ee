"""Whether PostgreSQL still refuses by itself what it has to: owners, rights and triggers, as they are declared."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import connection

from governance.models import (
    AuditBody,
    AuditCheckpoint,
    AuditEpoch,
    AuditEvent,
    AuditLeaf,
    AuditNode,
    AuditSample,
)

TABLES = (AuditEvent, AuditBody, AuditLeaf, AuditNode, AuditCheckpoint, AuditEpoch, AuditSample)
OWNER = "smallfirst_audit"
HELP = "docs/operations.md says under Retention what to do."

_RIGHTS = """
    SELECT c.relname, pg_get_userbyid(c.relowner),
        has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
            OR has_any_column_privilege(c.oid, 'UPDATE') OR pg_has_role(c.relowner, 'SET')
    FROM pg_class c WHERE c.oid = ANY (%s::regclass[])
"""
_TRIGGERS = """
    SELECT c.relname, t.tgname, t.tgenabled::text, p.prosrc
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgname LIKE 'pgtrigger_%%' AND c.relnamespace = 'public'::regnamespace
"""


class UnguardedError(Exception):
    """The database no longer refuses what it has to; the text says what stands open."""


@dataclass(frozen=True)
class Standing:
    """A trigger as the database has it: how it is switched on, and its source without regard to white space."""

    enabled: str
    source: str


def require() -> None:
    """Raise UnguardedError unless everything stands as it is declared."""
    found = faults()
    if found:
        raise UnguardedError("\n".join([*found, HELP]))


def faults() -> list[str]:
    """What stands open, in sentences: of the audit tables owner, rights and triggers, of all others the triggers."""
    return [*_of_rights(), *_of_triggers()]


def _of_rights() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(_RIGHTS, [[model._meta.db_table for model in TABLES]])
        rows = sorted(cursor.fetchall())
    for table, owner, open_to_us in rows:
        if owner != OWNER:
            yield f"{table}: it belongs to {owner}, and not to {OWNER}"
        if open_to_us:
            yield f"{table}: the role that Smallfirst signs in with may change it, or become its owner"


def _of_triggers() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(_TRIGGERS)
        found = {(table, name): Standing(on, _plain(source)) for table, name, on, source in cursor.fetchall()}
    for model in apps.get_models():
        table = model._meta.db_table
        for trigger in getattr(model._meta, "triggers", ()):
            standing = found.get((table, trigger.get_pgid(model)))
            if standing is None:
                yield f"{table}: its trigger {trigger.name} is gone"
            elif standing.enabled not in ("A" if model in TABLES else "AO"):
                yield f"{table}: its trigger {trigger.name} is switched off"
            elif standing.source != _plain(trigger.compile(model).install_sql.split("$$")[1]):
                yield f"{table}: its trigger {trigger.name} does something else"


def _plain(source: str) -> str:
    return " ".join(source.split())
