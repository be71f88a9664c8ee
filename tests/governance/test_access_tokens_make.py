"""Access tokens: shown once, kept as a hash, ended by many roads, and never reaching further than their person."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance import access_tokens, accounts
from governance.access_tokens import ACTS, TokenRefused, TokenTooNarrow, authenticate
from governance.confirmations import NotConfirmed
from governance.errors import InvalidInput
from governance.models import AccessToken, AuditEvent, User
from governance.permissions import PERMISSIONS
from governance.views import once
from tests import cast as casting
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def cast() -> casting.Cast:
    """The cast."""
    return casting.make_cast()


def make(by: User, scope: str = "propose", days: int = 30) -> tuple[AccessToken, str]:
    """A token of a person."""
    return access_tokens.create(name="Job", scope=scope, days=days, confirmed_at=timezone.now(), by=by)


def facts() -> tuple[int, int]:
    """What a refusal must leave as it was."""
    return AccessToken.objects.count(), AuditEvent.objects.count()


def test_it_opens_as_its_person_and_is_kept_as_a_hash(cast: casting.Cast) -> None:
    made, text_ = make(cast.lead)
    assert text_.startswith(f"sfp_{made.prefix}_")
    assert text_ not in str(AccessToken.objects.values().get())
    found = authenticate(text_)
    assert (found.pk, found.person) == (made.pk, cast.lead)
    assert found.person.acts == ACTS[AccessToken.Scope.PROPOSE]
    assert AccessToken.objects.get().last_used_at is not None
    entry = AuditEvent.objects.newest_first()[0]
    after = entry.after or {}
    assert (entry.action, after["prefix"], after["scope"]) == ("access_tokens.create", made.prefix, "propose")
    assert text_ not in str(after)


@pytest.mark.parametrize("scope", AccessToken.Scope.values)
def test_whoever_it_is_of_it_reaches_no_further_than_its_scope(cast: casting.Cast, scope: str) -> None:
    """Every act of every role, asked of somebody who holds all roles, by his token."""
    for role in PERMISSIONS:
        if not cast.admin.grants.filter(role=role).exists():
            accounts.grant(user=cast.admin, role=role, by=casting.BOOTSTRAP)
    person = authenticate(make(cast.admin, scope)[1]).person
    every = {act for acts in PERMISSIONS.values() for act in acts}
    can = {act for act in every if accounts.can(person, act, cast.workflow, environment=cast.production)}
    assert can == ACTS[AccessToken.Scope(scope)]
    assert not {act for act in can if act.rpartition(".")[2] in ("vote", "activate", "begin", "edit", "revoke")}
    # The same person on a page is not narrowed.
    assert accounts.can(User.objects.get(pk=person.pk), "changes.vote", cast.workflow, environment=cast.production)


def test_it_gives_nothing_that_its_persons_roles_do_not(cast: casting.Cast) -> None:
    person = authenticate(make(cast.auditor)[1]).person
    assert not accounts.can(person, "changes.propose", cast.workflow, environment=cast.production)
    assert accounts.can(person, "changes.view", cast.workflow)


def test_a_narrow_one_says_that_another_would_do(cast: casting.Cast) -> None:
    made, _ = make(cast.lead, "read")
    with pytest.raises(TokenTooNarrow, match="only reads"):
        access_tokens.reach(made, "changes.propose")


def test_what_ended_opens_nothing_and_says_why(cast: casting.Cast) -> None:
    made, said = make(cast.lead)
    for wrong in ("", "sfp_", said[:-1], said.replace("sfp_", "sf_"), "sfg_x"):
        with pytest.raises(TokenRefused, match="unknown"):
            authenticate(wrong)
    access_tokens.revoke(token=made, by=cast.lead)
    with pytest.raises(TokenRefused, match="revoked"):
        authenticate(said)
    _, other = make(cast.second_lead)
    accounts.deactivate(person=cast.second_lead, reason="Left", by=cast.admin)
    with pytest.raises(TokenRefused, match="no longer sign in"):
        authenticate(other)


def test_it_ends_by_itself(cast: casting.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    _, said = make(cast.lead, days=7)
    later = timezone.now() + timedelta(days=7)
    monkeypatch.setattr(timezone, "now", lambda: later)
    with pytest.raises(TokenRefused, match="ended on"):
        authenticate(said)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"name": " "}, InvalidInput),
        ({"scope": "vote"}, InvalidInput),
        ({"days": 0}, InvalidInput),
        ({"days": 400}, InvalidInput),
        ({"confirmed_at": timezone.now() - timedelta(minutes=6)}, NotConfirmed),
    ],
)
def test_bad_input_makes_none(cast: casting.Cast, said: dict[str, Any], error: type[Exception]) -> None:
    before = facts()
    good: dict[str, Any] = {"name": "Job", "scope": "read", "days": 30, "confirmed_at": timezone.now()}
    with pytest.raises(error):
        access_tokens.create(by=cast.lead, **(good | said))
    assert facts() == before


def test_who_made_it_and_who_administers_people_revoke_it(cast: casting.Cast) -> None:
    made, _ = make(cast.lead)
    before = facts()
    for other in (cast.second_lead, cast.stranger, cast.auditor):
        with pytest.raises(accounts.NotPermitted):
            access_tokens.revoke(token=made, by=other)
    assert facts() == before
    access_tokens.revoke(token=made, by=cast.admin)
    with pytest.raises(InvalidInput, match="already"):
        access_tokens.revoke(token=made, by=cast.lead)


def form(**said: str) -> dict[str, str]:
    """What the form sends."""
    page: dict[str, str] = {"once": once.OnceForm()["once"].value(), "name": "Job", "scope": "propose", "days": "30"}
    return page | {"password": PASSWORD} | said


def secured(person: User) -> Client:
    """A browser of somebody who has a password."""
    return signed_in(accounts.set_password(person=person, password=PASSWORD, by=person))


def test_its_page_shows_it_once_and_the_account_lists_it(cast: casting.Cast) -> None:
    page = secured(cast.lead)
    sent = form()
    answer = page.post(reverse("token_new"), sent)
    made = AccessToken.objects.get()
    assert answer["Cache-Control"].count("no-store")
    assert f"sfp_{made.prefix}_" in answer.content.decode()
    again = page.post(reverse("token_new"), sent, follow=True)
    assert "not shown again" in text(again)
    assert AccessToken.objects.count() == 1
    account = page.get(reverse("account"))
    assert f"sfp_{made.prefix}_" not in account.content.decode()
    assert "Job" in text(account)
    assert "not used yet" in text(account)
    page.post(reverse("token_revoke", args=[made.pk]))
    assert AccessToken.objects.get().revoked_at is not None
    assert "Job" not in text(page.get(reverse("account"))).partition("Access tokens")[2]


@pytest.mark.parametrize(
    "said", [{"password": "wrong"}, {"name": ""}, {"scope": "all"}, {"days": "1000"}, {"once": "x"}]
)
def test_its_form_refuses_what_does_not_fit(cast: casting.Cast, said: dict[str, str]) -> None:
    page = secured(cast.lead)
    before = AccessToken.objects.count()
    assert page.post(reverse("token_new"), form(**said)).status_code == 422
    assert AccessToken.objects.count() == before


def test_an_administrator_sees_and_ends_anothers(cast: casting.Cast) -> None:
    made, _ = make(cast.lead)
    page = signed_in(cast.admin)
    assert "Job" in text(page.get(reverse("person", args=[cast.lead.pk])))
    assert signed_in(cast.second_lead).post(reverse("token_revoke", args=[made.pk])).status_code == 404
    answer = page.post(reverse("token_revoke", args=[made.pk]))
    assert answer["location"] == reverse("person", args=[cast.lead.pk])
    assert AccessToken.objects.get().revoked_by == cast.admin
