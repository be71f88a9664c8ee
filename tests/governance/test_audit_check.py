"""`audit_check`: what the digests of the log can already tell, and what they cannot."""

import json
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from governance import audit
from governance.models import AuditEvent, User
from tests.cast import make_person

SWITCH = "ALTER TABLE governance_{table} {how} TRIGGER USER"


def checked() -> tuple[str, str | None]:
    """What the command printed, and how it failed."""
    said = StringIO()
    try:
        call_command("audit_check", stdout=said)
    except CommandError as error:
        return said.getvalue(), str(error)
    return said.getvalue(), None


def forge(url: str, table: str, statement: str, *values: object) -> None:
    """Change a row as the owner of the table could."""
    with psycopg.connect(url) as server:
        server.execute("SET LOCAL ROLE smallfirst_audit")
        server.execute(SWITCH.format(table=table, how="DISABLE"))
        assert server.execute(statement, values).rowcount == 1


def personal(person: User) -> AuditEvent:
    """An entry with a body."""
    with transaction.atomic():
        return audit.record(
            action="accounts.note", actor=person, object=person, summary="Noted", body={"phone": "030 1234"}
        )


def test_an_honest_log_has_no_fault(live_database: Any) -> None:
    person = make_person("Someone")
    personal(person)
    said, failed = checked()
    assert failed is None
    assert "2 entries are what their digests say" in said
    # And what it did not look at is said.
    assert "cannot be seen by this" in said


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("reason", "By telephone."),
        ("summary", "Somebody else did this"),
        ("actor_name", "Somebody else"),
        ("at", "2020-01-01T00:00:00Z"),
        ("after", json.dumps({"name": "Else"})),
        ("entry_hash", "0" * 64),
    ],
)
def test_a_changed_entry_is_named(live_database: Any, column: str, value: str) -> None:
    make_person("Someone")
    make_person("Someone else")
    entry = AuditEvent.objects.order_by("at").first()
    assert entry
    forge(
        live_database.migrator_url, "auditevent", f"UPDATE governance_auditevent SET {column} = %s WHERE id = %s",  # noqa: S608
        value, entry.pk,
    )  # fmt: skip
    said, failed = checked()
    assert failed == "1 of 2 entries are not what their digests say"
    assert f"{entry.pk}  " in said
    assert "not what its hash was made of" in said


def test_a_changed_body_and_a_missing_one_are_named(live_database: Any) -> None:
    person = make_person("Someone")
    changed, missing = personal(person), personal(person)
    forge(
        live_database.migrator_url, "auditbody",
        "UPDATE governance_auditbody SET content = '{\"phone\": \"1\"}' WHERE event_id = %s", changed.pk,
    )  # fmt: skip
    forge(live_database.migrator_url, "auditbody", "DELETE FROM governance_auditbody WHERE event_id = %s", missing.pk)
    found = {event.pk: text for event, text in audit.faults()}
    assert found == {changed.pk: "its body is not the one it names", missing.pk: "its body is missing"}


def test_an_erased_body_is_no_fault(live_database: Any) -> None:
    erased = personal(make_person("Someone"))
    forge(
        live_database.migrator_url, "auditbody",
        "UPDATE governance_auditbody SET content = NULL, salt = NULL, erased_at = now() WHERE event_id = %s",
        erased.pk,
    )  # fmt: skip
    assert list(audit.faults()) == []
