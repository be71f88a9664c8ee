"""Granting and revoking roles."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from governance import accounts
from governance.errors import InvalidInput
from governance.models import AuditEvent, Grant, Role
from tests.cast import make_cast, make_person

pytestmark = pytest.mark.django_db


def test_an_administrator_grants_and_revokes() -> None:
    cast = make_cast()
    person = make_person("Newcomer")
    made = accounts.grant(user=person, role="viewer", team=cast.team, by=cast.admin)
    assert accounts.can(person, "workflows.view", cast.workflow)
    assert made.granted_by == cast.admin

    ended = accounts.revoke(grant=made, reason="moved on", by=cast.admin)
    assert not accounts.can(person, "workflows.view", cast.workflow)
    actions = AuditEvent.objects.about(made).newest_first().values_list("action", "reason")
    assert list(actions) == [("accounts.revoke", "moved on"), ("accounts.grant", "")]
    with pytest.raises(InvalidInput, match="ended already"):
        accounts.revoke(grant=ended, by=cast.admin)
    assert accounts.grant(user=person, role="viewer", team=cast.team, by=cast.admin).pk != made.pk


def test_a_grant_that_has_not_begun_never_begins_once_revoked() -> None:
    cast = make_cast()
    person, begin = make_person("Newcomer"), timezone.now() + timedelta(days=1)
    made = accounts.grant(user=person, role="viewer", team=cast.team, valid_from=begin, by=cast.admin)
    accounts.revoke(grant=made, by=cast.admin)
    assert not Grant.objects.in_force(begin + timedelta(days=1)).filter(user=person).exists()


@pytest.mark.parametrize("who", ["owner", "lead", "auditor", "stranger"])
def test_others_grant_nothing(who: str) -> None:
    cast = make_cast()
    before = Grant.objects.count()
    with pytest.raises(accounts.NotPermitted):
        accounts.grant(user=cast.stranger, role="lead", team=cast.team, by=cast.people[who])
    assert Grant.objects.count() == before


def test_nobody_grants_himself_a_role() -> None:
    cast = make_cast()
    with pytest.raises(accounts.NotPermitted, match="himself"):
        accounts.grant(user=cast.admin, role="lead", by=cast.admin)
    with pytest.raises(IntegrityError, match="grant_not_to_oneself"), transaction.atomic(), connection.cursor() as sql:
        sql.execute(
            "INSERT INTO governance_grant (id, created_at, user_id, role, valid_from, granted_by_id)"
            " VALUES (gen_random_uuid(), now(), %s, 'lead', now(), %s)",
            [cast.admin.pk, cast.admin.pk],
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"role": "emperor"}, "not a valid choice"),
        ({"role": "owner"}, "already"),
        ({"role": "admin"}, "Administrators administer everything"),
        ({"role": "viewer", "valid_until": timezone.now() - timedelta(days=9)}, "valid_until: a grant ends after"),
    ],
)
def test_bad_input_is_named_and_nothing_written(given: dict[str, Any], words: str) -> None:
    cast = make_cast()
    grants, events = Grant.objects.count(), AuditEvent.objects.count()
    with pytest.raises(InvalidInput, match=words):
        accounts.grant(user=cast.owner, team=cast.team, by=cast.admin, **given)
    assert (Grant.objects.count(), AuditEvent.objects.count()) == (grants, events)


def test_a_grant_keeps_what_it_says() -> None:
    cast = make_cast()
    held = cast.reviewer.grants.get()
    for statement in ("UPDATE governance_grant SET role = 'lead'", "DELETE FROM governance_grant"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as sql:
            sql.execute(f"{statement} WHERE id = %s", [held.pk])
    assert Grant.objects.get(pk=held.pk).role == Role.REVIEWER
