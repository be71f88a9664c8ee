"""Adding people, their passwords, and letting them go."""

import pytest
from django.contrib.auth import authenticate
from django.db import IntegrityError, transaction

from governance import accounts
from governance.errors import InvalidInput
from governance.models import AuditBody, AuditEvent, User
from tests.cast import make_cast

pytestmark = pytest.mark.django_db
PASSWORD = "a-plain-long-sentence"


def test_an_administrator_adds_a_person_who_then_signs_in() -> None:
    cast = make_cast()
    person = accounts.create_person(
        email=" Ada@Example.com ", name="Ada", time_zone="Europe/Berlin", password=PASSWORD, by=cast.admin
    )
    assert person.email == "ada@example.com"
    assert authenticate(username="ADA@example.com", password=PASSWORD) == person
    assert not person.grants.exists()
    event = AuditEvent.objects.about(person).get()
    assert "ada@example.com" not in str(vars(event))
    assert AuditBody.objects.get(event=event).content == {"email": "ada@example.com", "name": "Ada"}


def test_without_a_password_nobody_signs_in() -> None:
    cast = make_cast()
    person = accounts.create_person(email="b@example.com", name="B", by=cast.admin)
    assert not person.has_usable_password()
    accounts.set_password(person=person, password=PASSWORD, by=cast.admin)
    assert authenticate(username="b@example.com", password=PASSWORD) == person


def test_a_person_sets_his_own_password_and_nobody_elses() -> None:
    cast = make_cast()
    accounts.set_password(person=cast.owner, password=PASSWORD, by=cast.owner)
    with pytest.raises(accounts.NotPermitted):
        accounts.set_password(person=cast.lead, password=PASSWORD, by=cast.owner)
    assert not User.objects.get(pk=cast.lead.pk).has_usable_password()
    assert not any("pbkdf2" in str(vars(event)) for event in AuditEvent.objects.all())


@pytest.mark.parametrize("who", ["lead", "auditor", "stranger"])
def test_others_add_nobody(who: str) -> None:
    cast = make_cast()
    with pytest.raises(accounts.NotPermitted):
        accounts.create_person(email="c@example.com", name="C", by=cast.people[who])
    assert not User.objects.filter(email="c@example.com").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"email": "no address"}, "email: "),
        ({"email": "TAKEN"}, "already"),
        ({"name": " "}, "name: "),
        ({"name": "A\x00B"}, r"U\+0000"),
        ({"name": "A\ud800B"}, r"U\+D800"),
        ({"time_zone": "Mars/Olympus"}, "Europe/Berlin"),
        ({"password": "short"}, "password: "),
    ],
)
def test_bad_input_is_named_and_nothing_written(given: dict[str, str], words: str) -> None:
    cast = make_cast()
    given = {name: cast.owner.email.upper() if value == "TAKEN" else value for name, value in given.items()}
    people, events = User.objects.count(), AuditEvent.objects.count()
    with pytest.raises(InvalidInput, match=words):
        accounts.create_person(by=cast.admin, **({"email": "d@example.com", "name": "D"} | given))
    assert (User.objects.count(), AuditEvent.objects.count()) == (people, events)


def test_a_person_is_let_go_and_comes_back() -> None:
    cast = make_cast()
    accounts.set_password(person=cast.owner, password=PASSWORD, by=cast.owner)
    accounts.deactivate(person=cast.owner, reason="left", by=cast.admin)
    assert authenticate(username=cast.owner.email, password=PASSWORD) is None
    with pytest.raises(InvalidInput, match="already"):
        accounts.deactivate(person=cast.owner, reason="left", by=cast.admin)
    accounts.reactivate(person=cast.owner, reason="back", by=cast.admin)
    assert authenticate(username=cast.owner.email, password=PASSWORD) == cast.owner
    with pytest.raises(accounts.NotPermitted, match="his own account"):
        accounts.deactivate(person=cast.admin, reason="oops", by=cast.admin)


def test_a_person_is_never_deleted() -> None:
    cast = make_cast()
    nobody = accounts.create_person(email="e@example.com", name="E", by=cast.admin)
    with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
        nobody.delete()


def test_teams_are_named_once() -> None:
    cast = make_cast()
    team = accounts.create_team(name="Returns", slug="returns", by=cast.admin)
    assert AuditEvent.objects.about(team).get().action == "accounts.create_team"
    for bad in ({"name": "Returns", "slug": "other"}, {"name": "Other", "slug": "Not A Slug"}):
        with pytest.raises(InvalidInput):
            accounts.create_team(by=cast.admin, **bad)
    with pytest.raises(accounts.NotPermitted):
        accounts.create_team(name="Mine", slug="mine", by=cast.lead)
