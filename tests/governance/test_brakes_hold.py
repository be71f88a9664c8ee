"""The brake on signing in: bad tries make their place wait, nobody else, and leave a trace without what was typed."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance import accounts, brakes
from governance.brakes import FIRST_WAIT, FREE, FREE_OF_A_PLACE, LONGEST_WAIT, LONGEST_WAIT_ANYWHERE, Braked
from governance.models import AuditBody, AuditEvent, Brake, User
from tests.cast import BOOTSTRAP, Cast, make_cast
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db
PASSWORD = "a-plain-long-sentence"
WRONG = "an-entirely-other-sentence"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"


@pytest.fixture
def cast() -> Cast:
    """Everybody; the lead has a password."""
    made = make_cast()
    accounts.set_password(person=made.lead, password=PASSWORD, by=BOOTSTRAP)
    return made


def sign_in(email: str, password: str, *, address: str = HERE, **more: Any) -> Any:
    """The answer to the form, from an address."""
    sent = {"username": email, "password": password}
    return Client(REMOTE_ADDR=address).post(reverse("sign_in"), sent, **more)


def spend(account: str, address: str | None, tries: int, *, at: datetime = NOW) -> None:
    """Bad tries, as the page makes them."""
    for _each in range(tries):
        brakes.admit(account=account, address=address, now=at)
        brakes.failed(account=account, address=address, now=at)


def waits(account: str, address: str | None, at: datetime) -> int:
    """How many seconds a try has to wait; 0 where it was taken, which counts it."""
    try:
        brakes.admit(account=account, address=address, now=at)
    except Braked as braked:
        return braked.seconds
    brakes.failed(account=account, address=address, now=at)
    return 0


def test_after_some_bad_tries_the_right_password_has_to_wait_too_and_elsewhere_it_has_not(cast: Cast) -> None:
    for _each in range(FREE):
        answer = sign_in(cast.lead.email, WRONG)
        assert (answer.status_code, "do not belong together" in text(answer)) == (200, True)
    held = sign_in(f" {cast.lead.email.upper()} ", PASSWORD)
    assert (held.status_code, "_auth_user_id" in held.client.session) == (429, False)
    assert 0 < int(held.headers["Retry-After"]) <= FIRST_WAIT.total_seconds()
    assert f"Wait {held.headers['Retry-After']} second" in text(held)
    # Whoever tried the lead's account from there has not locked him out.
    assert sign_in(cast.lead.email, PASSWORD, address=ELSEWHERE).status_code == 302
    Brake.objects.filter(address=HERE).update(until=timezone.now())
    assert sign_in(cast.lead.email, PASSWORD).status_code == 302
    assert brakes.tries_of(cast.lead, now=timezone.now()) == []


def test_a_good_try_is_taken_back_and_those_before_it_are_forgiven(cast: Cast) -> None:
    for _round in range(3):
        for _each in range(FREE - 1):
            assert sign_in(cast.lead.email, WRONG).status_code == 200
        assert sign_in(cast.lead.email, PASSWORD).status_code == 302
    (place,) = Brake.objects.filter(account="")
    assert place.tries == 3 * (FREE - 1)
    assert not AuditEvent.objects.filter(action="brakes.begin").exists()


def test_each_further_try_waits_twice_as_long_and_after_an_hour_all_is_forgotten() -> None:
    spend("lead@example.com", HERE, FREE)
    at, seen = NOW, []
    for _each in range(8):
        seen.append(wait := waits("lead@example.com", HERE, at))
        at += timedelta(seconds=wait)
        assert waits("lead@example.com", HERE, at) == 0
    assert seen == [15, 30, 60, 120, 240, 480, 900, 900]
    assert LONGEST_WAIT.total_seconds() == 900
    # Asking meanwhile makes nothing longer.
    asked = [waits("lead@example.com", HERE, at + timedelta(seconds=second)) for second in (1, 2, 3)]
    assert asked == [899, 898, 897]
    assert waits("lead@example.com", HERE, at + timedelta(hours=1)) == 0
    assert {each.tries for each in Brake.objects.exclude(account="")} == {1}


def test_one_place_that_tries_many_accounts_waits_whatever_the_account(cast: Cast) -> None:
    for number in range(FREE_OF_A_PLACE):
        spend(f"person-{number}@example.com", HERE, 1)
    assert waits(cast.lead.email, HERE, NOW) == 15
    assert waits(cast.lead.email, ELSEWHERE, NOW) == 0
    (event,) = AuditEvent.objects.filter(action="brakes.begin")
    assert event.summary == f"Signing in of anybody from {HERE} has to wait after {FREE_OF_A_PLACE} tries"


def test_an_ipv6_subscriber_is_one_place_and_without_a_place_nobody_waits_long() -> None:
    spend("lead@example.com", "2001:db8:0:1::5", FREE)
    assert waits("lead@example.com", "2001:db8:0:1:ffff::9", NOW) == 15
    assert waits("lead@example.com", "2001:db8:0:2::5", NOW) == 0
    spend("lead@example.com", None, FREE)
    at = NOW
    for _each in range(8):
        at += timedelta(seconds=waits("lead@example.com", None, at))
        assert waits("lead@example.com", None, at) == 0
    assert waits("lead@example.com", None, at) == LONGEST_WAIT_ANYWHERE.total_seconds()
    # All other accounts are another matter: without a place there is no row for all.
    assert waits("owner@example.com", None, at) == 0


def test_an_unknown_account_is_treated_as_a_known_one(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The same answers, as many queries, and as many passwords hashed: nobody learns who is here."""
    settings.DEMO = False
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    accounts.deactivate(person=cast.owner, reason="left", by=cast.admin)
    answers = []
    for email in (cast.lead.email, "nobody@example.com", cast.owner.email, cast.reviewer.email):
        hashed.clear()
        said = [sign_in(email, WRONG) for _each in range(FREE + 1)]
        answers.append([(each.status_code, re.sub(r"\d+ second", "", text(each)).replace(email, "")) for each in said])
        assert len(hashed) == FREE, email
    assert answers == [answers[0]] * len(answers)
    at, costs = timezone.now(), []
    for account in (cast.lead.email, "nobody@example.com"):
        with CaptureQueriesContext(connection) as made:
            spend(account, ELSEWHERE, FREE, at=at)
        costs.append(len(made))
    assert costs[0] == costs[1] > 0


def test_a_brake_stands_once_in_the_log_and_nothing_that_was_typed_anywhere(cast: Cast) -> None:
    for account in (cast.lead.email, "my-secret-in-the-wrong-field"):
        for _each in range(FREE + 2):
            sign_in(account, WRONG)
            Brake.objects.update(until=None)
    known, unknown = AuditEvent.objects.filter(action="brakes.begin").order_by("at")
    assert (known.object_id, known.actor_name, known.ip, known.outcome) == (
        str(cast.lead.pk),
        "sign-in",
        HERE,
        "refused",
    )
    assert known.summary == f"Signing in of Lead from {HERE} has to wait after {FREE} tries"
    assert unknown.summary == f"Signing in of an unknown account from {HERE} has to wait after {FREE} tries"
    kept = [*Brake.objects.values(), *AuditEvent.objects.values(), *AuditBody.objects.values()]
    assert not any(word in str(kept) for word in ("my-secret", WRONG))
    assert cast.lead.email not in str(list(Brake.objects.values()))


def test_an_administrator_sees_tries_and_places_that_wait(cast: Cast) -> None:
    for _each in range(FREE):
        sign_in(cast.lead.email, WRONG)
    page = text(signed_in(cast.admin).get(reverse("person", args=[cast.lead.pk])))
    assert f"failed tries {FREE} from {HERE}" in page
    assert "none taken from there until" in page
    assert f"{HERE} until" in text(signed_in(cast.admin).get(reverse("people")))
    other = text(signed_in(cast.admin).get(reverse("person", args=[cast.owner.pk])))
    assert "failed tries none" in other
    assert HERE not in text(signed_in(cast.lead).get(reverse("people")))
    Brake.objects.update(until=None)
    assert "has to wait" not in text(signed_in(cast.admin).get(reverse("people")))


def test_the_password_of_now_is_no_way_round_the_brake(cast: Cast) -> None:
    client = Client(REMOTE_ADDR=HERE)
    client.force_login(User.objects.get(pk=cast.lead.pk))
    fields = {"password": "another-long-sentence", "again": "another-long-sentence"}
    before = User.objects.get(pk=cast.lead.pk).password
    for _each in range(FREE):
        assert "not the present password" in text(client.post(reverse("account_password"), fields | {"current": WRONG}))
    answer = client.post(reverse("account_password"), fields | {"current": PASSWORD})
    assert (answer.status_code, "Too many tries" in text(answer)) == (422, True)
    assert User.objects.get(pk=cast.lead.pk).password == before
    assert sign_in(cast.lead.email, PASSWORD).status_code == 429
    Brake.objects.update(until=None)
    assert client.post(reverse("account_password"), fields | {"current": PASSWORD}).status_code == 302


def test_an_empty_form_is_no_try(cast: Cast) -> None:
    for fields in ({}, {"username": cast.lead.email}, {"password": PASSWORD}):
        assert Client().post(reverse("sign_in"), fields).status_code == 200
    assert not Brake.objects.exists()


def test_behind_a_proxy_the_place_is_what_the_proxy_saw(cast: Cast, settings: Any) -> None:
    def from_proxy(seen: str) -> Any:
        return sign_in(cast.lead.email, WRONG, address="127.0.0.1", HTTP_X_FORWARDED_FOR=seen)

    settings.BEHIND_PROXY = True
    # What stands before the last comma the caller wrote himself.
    for number in range(FREE):
        from_proxy(f"203.0.113.{number}, {HERE}")
    assert from_proxy(HERE).status_code == 429
    assert from_proxy(f"{HERE}, {ELSEWHERE}").status_code == 200
    assert AuditEvent.objects.get(action="brakes.begin").ip == HERE
    settings.BEHIND_PROXY = False
    assert from_proxy(HERE).status_code == 200


def test_what_is_forgotten_is_deleted() -> None:
    spend("lead@example.com", HERE, 1, at=NOW - timedelta(hours=2))
    spend("owner@example.com", ELSEWHERE, 1)
    assert brakes.forget(now=NOW) == 2
    assert set(Brake.objects.values_list("address", flat=True)) == {ELSEWHERE}
