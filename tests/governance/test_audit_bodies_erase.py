"""Erasing the personal part of an entry: gone for good, told, and every proof stands as before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.urls import reverse
from psycopg.types.json import Jsonb

from governance import audit, audit_bodies, proofs, seals
from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditBody, AuditEvent
from tests.at_once import at_once
from tests.cast import BOOTSTRAP, Cast, make_cast
from tests.governance.test_audit_verify import owner, verdict
from tests.pages import signed_in, text

NOW = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def keys(settings: Any) -> Path:
    """The directory of the keys."""
    return Path(settings.KEYS)


@pytest.fixture
def cast(live_database: Any, keys: Path) -> Cast:
    """The cast, all sealed and signed."""
    made = make_cast()
    seals.seal(keys=keys, now=NOW)
    seals.seal(keys=keys, now=NOW + timedelta(minutes=2))
    return made


def of_the_owner(cast: Cast) -> AuditEvent:
    """The entry that holds what is personal of the owner."""
    return AuditEvent.objects.about(cast.owner).get(action="accounts.create_person")


def erase(cast: Cast, **given: Any) -> AuditBody:
    """Erase that, by the lead."""
    usual: dict[str, Any] = {"event": of_the_owner(cast), "reason": "He asked for it.", "by": cast.lead, "now": NOW}
    return audit_bodies.erase(**(usual | given))


def refused(act: Any, words: str, kind: type[Exception] = InvalidInput) -> None:
    """The act is refused, and nothing is otherwise than before."""
    before = (list(AuditBody.objects.values()), AuditEvent.objects.count())
    with pytest.raises(kind, match=words):
        act()
    assert (list(AuditBody.objects.values()), AuditEvent.objects.count()) == before


def test_what_is_erased_is_gone_and_all_proofs_hold(cast: Cast, keys: Path) -> None:
    event = of_the_owner(cast)
    proof, row = proofs.of(event), AuditEvent.objects.filter(pk=event.pk).values().get()
    others = AuditBody.objects.exclude(pk=event.pk).count()
    assert proof.holds
    assert AuditBody.objects.get(pk=event.pk).content == {"email": cast.owner.email, "name": "Owner"}

    body = erase(cast)
    assert (body.salt, body.content, body.erased_at) == (None, None, NOW)
    assert AuditEvent.objects.filter(pk=event.pk).values().get() == row
    assert proofs.of(event) == proof
    assert AuditBody.objects.filter(erased_at=None).count() == others > 5
    told = AuditEvent.objects.about(event).get()
    assert (told.action, told.actor_name, told.reason) == ("audit_bodies.erase", "Lead", "He asked for it.")
    assert told.after == {"erased_at": "2100-01-01T00:00:00.000000Z"}
    assert cast.owner.email not in str(AuditEvent.objects.filter(pk=told.pk).values().get())
    seals.seal(keys=keys, now=NOW + timedelta(minutes=4))
    assert verdict(keys) == []


def test_what_cannot_be_erased_says_why(cast: Cast) -> None:
    plain = AuditEvent.objects.filter(action="accounts.grant")[0]
    refused(lambda: erase(cast, event=plain), "no personal part")
    refused(lambda: erase(cast, reason=" "), "say who asked for it")
    erase(cast)
    refused(lambda: erase(cast), "erased already")


@pytest.mark.parametrize("who", ["owner", "reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_who_may_not_erases_nothing(cast: Cast, who: str) -> None:
    refused(lambda: erase(cast, by=cast.people[who]), "governance lead", NotPermitted)


def test_two_at_once_erase_once(cast: Cast) -> None:
    results = at_once(lambda: erase(cast), lambda: erase(cast, by=cast.second_lead))
    assert (
        sum(isinstance(each, InvalidInput) for each in results)
        == sum(isinstance(each, AuditBody) for each in results)
        == 1
    )
    assert AuditEvent.objects.filter(action="audit_bodies.erase").count() == 1


def test_a_crash_erases_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "record", lambda **_given: 1 / 0)
    refused(lambda: erase(cast), "division", ZeroDivisionError)


def test_nobody_erases_without_an_entry_or_by_another_way(cast: Cast, live_database: Any) -> None:
    event = of_the_owner(cast)
    call = "SELECT governance_erase_auditbody(%s, now())"

    def alone() -> None:
        with transaction.atomic(), connection.cursor() as sql:
            sql.execute(call, [event.pk])

    def with_another() -> None:
        with transaction.atomic(), connection.cursor() as sql:
            sql.execute(call, [event.pk])
            audit.record(action="audit_bodies.erase", actor=BOOTSTRAP, object=cast.owner, summary="By hand")

    def by_update() -> None:
        AuditBody.objects.filter(pk=event.pk).update(salt=None, content=None, erased_at=NOW)

    refused(alone, "without an audit event", IntegrityError)
    refused(with_another, "without an audit event", IntegrityError)
    refused(by_update, "permission denied", ProgrammingError)
    with psycopg.connect(live_database.migrator_url, autocommit=True) as migrator:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            migrator.execute(call, [event.pk])
        migrator.execute("SET ROLE smallfirst_audit")
        for change in ("content = '{}'", "salt = 'a'", "erased_at = now()"):
            with pytest.raises(psycopg.errors.CheckViolation):
                migrator.execute(f"UPDATE governance_auditbody SET {change} WHERE event_id = %s", [event.pk])  # noqa: S608
    assert AuditBody.objects.get(pk=event.pk).erased_at is None


def test_a_body_that_comes_back_is_found(cast: Cast, keys: Path, live_database: Any) -> None:
    before: dict[str, Any] = dict(AuditBody.objects.filter(pk=of_the_owner(cast).pk).values().get())
    erase(cast)
    seals.seal(keys=keys, now=NOW + timedelta(minutes=4))
    with owner(live_database.migrator_url, AuditBody) as server:
        server.execute(
            "UPDATE governance_auditbody SET salt = %s, content = %s, erased_at = NULL WHERE event_id = %s",
            [bytes(before["salt"]), Jsonb(before["content"]), before["event_id"]],
        )
    assert verdict(keys) == [f"body {before['event_id']}: an entry says that it was erased, and it is there"]


def test_a_lead_erases_on_the_entrys_page(cast: Cast) -> None:
    event = of_the_owner(cast)
    page, form = reverse("audit_entry", args=[event.pk]), reverse("audit_body_erase", args=[event.pk])
    assert form not in signed_in(cast.auditor).get(page).content.decode()
    client = signed_in(cast.lead)
    assert form in client.get(page).content.decode()
    assert client.post(form, {"reason": ""}).status_code == 422
    assert AuditBody.objects.get(pk=event.pk).erased_at is None
    answer = client.post(form, {"reason": "He asked for it."}, follow=True)
    assert "erased" in text(answer)
    assert form not in answer.content.decode()
    assert "This entry is unchanged, and stands in the log" in text(answer)
    again = client.post(form, {"reason": "Once more."})
    assert (again.status_code, "erased already" in text(again)) == (422, True)
