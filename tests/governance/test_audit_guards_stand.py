"""What guards the audit log is compared with what is declared: each guard that is lost is named, at once and hourly."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from config.up.services import Postgres
from governance import audit_guards, seals, verifications
from governance.models import AuditEvent, Workflow
from tests.cast import make_cast


@pytest.fixture
def admin(live_database: Any, postgres: Postgres) -> Iterator["psycopg.Connection[Any]"]:
    """A superuser of the database."""
    with postgres.connect(live_database.name) as server:
        yield server


def named(model: Any, name: str) -> str:
    """What a trigger is called in the database."""
    return next(str(each.get_pgid(model)) for each in model._meta.triggers if each.name == name)


KEPT, AUDITED = named(AuditEvent, "append_only"), named(Workflow, "audited")
# What is done to the database, and what is said of it.
LOST = {
    f"ALTER TABLE governance_auditevent DISABLE TRIGGER {KEPT}": "auditevent: its trigger append_only is switched off",
    f"ALTER TABLE governance_auditevent ENABLE TRIGGER {KEPT}": "auditevent: its trigger append_only is switched off",
    f"DROP TRIGGER {KEPT} ON governance_auditevent": "auditevent: its trigger append_only is gone",
    f"CREATE OR REPLACE FUNCTION {KEPT}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'": (
        "auditevent: its trigger append_only does something else"
    ),
    f"ALTER TABLE governance_workflow DISABLE TRIGGER {AUDITED}": "workflow: its trigger audited is switched off",
    f"DROP TRIGGER {AUDITED} ON governance_workflow": "workflow: its trigger audited is gone",
    "ALTER TABLE governance_auditleaf OWNER TO smallfirst_migrator": "auditleaf: it belongs to smallfirst_migrator",
    "GRANT UPDATE ON governance_auditnode TO smallfirst_app": "auditnode: the role that Smallfirst signs in with may",
    "GRANT UPDATE (content) ON governance_auditbody TO smallfirst_app": "auditbody: the role that Smallfirst signs in",
    "GRANT TRUNCATE ON governance_auditsample TO smallfirst_app": "auditsample: the role that Smallfirst signs in with",
}


@pytest.mark.parametrize("statement", LOST)
def test_a_guard_that_is_lost_is_named(statement: str, admin: "psycopg.Connection[Any]") -> None:
    assert audit_guards.faults() == []
    admin.execute(statement)
    (fault,) = audit_guards.faults()
    assert fault.startswith(f"governance_{LOST[statement]}")


def test_whoever_may_become_the_owner_is_told_of_each_table(admin: "psycopg.Connection[Any]") -> None:
    admin.execute("GRANT smallfirst_audit TO smallfirst_app")
    try:
        assert len(audit_guards.faults()) == len(audit_guards.TABLES) == 7
    finally:
        admin.execute("REVOKE smallfirst_audit FROM smallfirst_app")
    assert audit_guards.faults() == []


def test_the_start_says_so_and_makes_nothing(admin: "psycopg.Connection[Any]", installation_keys: Path) -> None:
    call_command("bootstrap", stdout=StringIO())
    entries = AuditEvent.objects.count()
    admin.execute(f"ALTER TABLE governance_auditevent DISABLE TRIGGER {KEPT}")
    with pytest.raises(CommandError, match="not guarded as it has to be") as raised:
        call_command("bootstrap", stdout=StringIO())
    assert "governance_auditevent: its trigger append_only is switched off" in str(raised.value)
    assert "docs/operations.md" in str(raised.value)
    assert AuditEvent.objects.count() == entries


def test_the_hourly_verification_says_so(admin: "psycopg.Connection[Any]", settings: Any) -> None:
    make_cast()
    given: dict[str, Any] = {"keys": Path(settings.KEYS)}
    for minutes in (0, 2):
        seals.seal(now=timezone.now() + timedelta(minutes=minutes), **given)
    assert verifications.run(places=[], now=timezone.now(), **given) == []
    admin.execute(f"DROP TRIGGER {KEPT} ON governance_auditevent")
    fault = "governance_auditevent: its trigger append_only is gone"
    assert verifications.run(places=[], now=timezone.now(), **given) == [fault]
    latest = verifications.latest()
    assert latest
    assert (latest.after or {})["told"] == [fault]
