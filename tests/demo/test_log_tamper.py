"""Forging one entry of the demo's log: exactly one, found by name, with the guards on again afterwards."""

from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg import errors

from demo import tampering
from demo.tampering import NothingToForgeError
from governance import tasks
from governance.models import AuditEvent
from tests.cast import make_cast, make_live

pytestmark = pytest.mark.usefixtures("installation_keys")


def test_the_newest_vote_is_forged_and_named_by_the_verifier(live_database: Any) -> None:
    make_live(make_cast())
    said = StringIO()
    tasks.seal_audit()
    vote = AuditEvent.objects.filter(action="changes.vote").latest("at")
    before = {row["id"]: row for row in AuditEvent.objects.values()}
    entry, reason = tampering.tamper(live_database.migrator_url)
    assert (entry, reason) == (vote.pk, vote.reason)
    after = {row["id"]: row for row in AuditEvent.objects.values()}
    assert after == before | {entry: before[entry] | {"reason": tampering.FORGED}}
    with pytest.raises(CommandError, match="1 fault in"):
        call_command("audit_verify", stdout=said)
    assert said.getvalue().startswith(f"entry {entry} (leaf ")
    with psycopg.connect(live_database.migrator_url, autocommit=True) as owner:
        owner.execute("SET ROLE smallfirst_audit")
        with pytest.raises(errors.CheckViolation, match="never"):
            owner.execute("UPDATE governance_auditevent SET reason = 'again'")
        guards = owner.execute(
            "SELECT DISTINCT tgenabled::text FROM pg_trigger WHERE tgrelid = 'governance_auditevent'::regclass "
            "AND NOT tgisinternal"
        ).fetchall()
    assert guards == [("A",)]


def test_without_a_vote_nothing_is_forged(live_database: Any) -> None:
    make_cast()
    before = list(AuditEvent.objects.order_by("id").values())
    with pytest.raises(NothingToForgeError):
        tampering.tamper(live_database.migrator_url)
    assert list(AuditEvent.objects.order_by("id").values()) == before


def test_the_application_itself_cannot(live_database: Any) -> None:
    make_live(make_cast())
    before = list(AuditEvent.objects.order_by("id").values())
    with pytest.raises(errors.InsufficientPrivilege):
        tampering.tamper(live_database.url)
    assert list(AuditEvent.objects.order_by("id").values()) == before


@pytest.mark.django_db
@pytest.mark.parametrize("demo", [True, False])
def test_outside_the_demo_it_refuses(settings: Any, tmp_path: Path, demo: bool) -> None:
    settings.DEMO, settings.STATE = demo, tmp_path
    if not demo:
        (tmp_path / "demo-password").write_text("x")
    with pytest.raises(CommandError, match="the demo alone"):
        call_command("demo_tamper")
