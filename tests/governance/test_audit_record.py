"""Entries: their canonical bytes, their hashes, and what they refuse to hold."""

import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from governance import audit
from governance.errors import InvalidInput
from governance.models import AuditBody, AuditEvent
from tests.cast import BOOTSTRAP, make_cast, make_change, make_live, make_team

pytestmark = pytest.mark.django_db


def second_canonical_bytes(event: AuditEvent) -> bytes:
    """The same bytes, written a second time without the product's encoder, as a verifier of someone else's would."""
    row: dict[str, Any] = dict(AuditEvent.objects.values().get(pk=event.pk))
    at = row["at"]
    value = {
        "schema": row["schema"],
        "id": str(row["id"]),
        "at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}Z",
        "actor": {"kind": row["actor_kind"], "id": row["actor_id"], "name": row["actor_name"]},
        "object": {
            "type": row["object_type"],
            "id": row["object_id"],
            "name": row["object_name"],
            "version": row["object_version"],
        },
        "team": None if row["team"] is None else str(row["team"]),
    }
    copied = ("on_behalf_of", "auth_method", "ip", "request_id", "action", "outcome", "summary", "reason")
    value |= {name: row[name] for name in (*copied, "before", "after", "body_digest")}
    # With ASCII keys and no floats, sorted compact JSON in UTF-8 is RFC 8785.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write(**given: Any) -> AuditEvent:
    """An entry about a new team."""
    facts: dict[str, Any] = {"action": "teams.try", "actor": BOOTSTRAP, "summary": "Tried"} | given
    return audit.record(object=facts.pop("object", None) or make_team("Tried"), **facts)


def test_an_entry_says_who_did_what_to_what() -> None:
    cast = make_cast()
    with audit.during(request_id="r-1", ip="2001:db8::1", auth_method="password"):
        change = make_change(cast)
    event = AuditEvent.objects.about(change).get()
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("person", str(cast.integrator.pk), "Integrator")
    assert (event.object_type, event.object_id, event.team) == ("change", str(change.pk), cast.team.pk)
    assert (event.request_id, event.ip, event.auth_method) == ("r-1", "2001:db8::1", "password")
    assert event.xid > 0
    assert write().request_id is None


def test_the_hash_is_that_of_the_stored_row_by_two_implementations() -> None:
    make_live(make_cast())
    odd = make_team("Odd")
    with audit.during(ip="10.0.0.1", request_id="Ünïcode \u2028 \U0001f600"):
        write(
            object=odd,
            summary='Quote " backslash \\ tab \t newline \n',
            reason="e\u0301 decomposed",
            before={"n": 2**53 - 1, "negative": -1, "none": None, "yes": True},
            after={"cost": Decimal("0.0100"), "when": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "ids": [odd.pk]},
            body={"email": "a@example.com"},
        )
    events = list(AuditEvent.objects.all())
    assert len(events) > 20
    for event in events:
        assert audit.canonical_bytes(event) == second_canonical_bytes(event)
        assert event.entry_hash == hashlib.sha256(second_canonical_bytes(event)).hexdigest()


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1.2.3.4", "::102:304"),
        ("", None),
        ("unix:", None),
        (None, None),
    ],
)
def test_an_address_is_hashed_as_it_is_stored(given: str | None, stored: str | None) -> None:
    with audit.during(ip=given, request_id="\x01" + "r" * 300):
        event = write()
    row = AuditEvent.objects.get(pk=event.pk)
    assert audit.entry_hash(row) == event.entry_hash
    assert row.ip == stored
    assert row.request_id == "r" * 120


def test_a_golden_entry_keeps_its_bytes_for_ever() -> None:
    event = AuditEvent(
        id=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
        at=dt.datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        actor_kind="person",
        actor_id="7",
        actor_name="Zoë",
        action="changes.vote",
        object_type="change",
        object_id="48",
        object_name="Change 48",
        outcome="done",
        summary="Approved",
        reason="",
        after={"b": [1, "2.50"], "a": None},
        schema=1,
    )
    expected = (
        '{"action":"changes.vote","actor":{"id":"7","kind":"person","name":"Zoë"},"after":{"a":null,"b":[1,"2.50"]},'
        '"at":"2026-11-24T11:00:00.000005Z","auth_method":null,"before":null,"body_digest":null,'
        '"id":"01890a5d-ac96-774b-bcce-b302099a8057","ip":null,'
        '"object":{"id":"48","name":"Change 48","type":"change","version":null},"on_behalf_of":null,'
        '"outcome":"done","reason":"","request_id":null,"schema":1,"summary":"Approved","team":null}'
    )
    assert audit.canonical_bytes(event) == expected.encode()
    assert audit.entry_hash(event) == hashlib.sha256(expected.encode()).hexdigest()


@pytest.mark.parametrize("field", ["summary", "reason", "actor_name", "object_name", "after", "at", "team", "outcome"])
def test_any_other_content_has_another_hash(field: str) -> None:
    event = write(after={"n": 1})
    other = {"after": {"n": 2}, "at": event.at + dt.timedelta(microseconds=1), "team": UUID(int=1)}.get(field, "other")
    setattr(event, field, other)
    assert audit.entry_hash(event) != event.entry_hash


def test_what_is_personal_stands_apart_under_a_salted_digest() -> None:
    event, twin = (
        write(body={"email": "a@example.com"}),
        write(object=make_team("Twin"), body={"email": "a@example.com"}),
    )
    assert "a@example.com" not in str(vars(event))
    stored = AuditBody.objects.get(event=event)
    assert audit.body_digest(bytes(stored.salt or b""), stored.content) == event.body_digest
    assert event.body_digest != twin.body_digest


@pytest.mark.parametrize("value", [0.1, object(), b"bytes", 2**53])
def test_values_without_one_canonical_form_are_refused(value: Any) -> None:
    team = make_team("Team")
    with pytest.raises((TypeError, ValueError)):
        write(object=team, after={"value": value})
    assert not AuditEvent.objects.filter(action="teams.try").exists()


@pytest.mark.parametrize("reason", ["a\x00b", "a\ud800b"])
def test_an_unreadable_reason_is_refused(reason: str) -> None:
    team = make_team("Team")
    with pytest.raises(InvalidInput, match="reason"):
        write(object=team, reason=reason)


def test_circumstances_end_with_their_block() -> None:
    with pytest.raises(RuntimeError), audit.during(request_id="r-1"):
        raise RuntimeError
    assert write().request_id is None


def test_an_entry_goes_with_its_act() -> None:
    with transaction.atomic():
        team = make_team("Gone")
        transaction.set_rollback(True)
    assert not AuditEvent.objects.about(team).exists()
