"""Trying a request: sent as an application sends it, told what came of it, and the person's answer for who typed it."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance import accounts, registry, reviews
from governance.models import ApiKey, AuditEvent, Review
from routing import examples
from tests import cast as casting
from tests.pages import signed_in, text
from tests.routing.lab import Gateway, gateway

pytestmark = pytest.mark.django_db

PLACE = "customer-feedback/production/*"
PERSON: dict[str, Any] = {
    "status": 422,
    "code": "review_required",
    "headers": {"x-smallfirst-decision": "01a21bd9-e6e1-76b8-8f2b-7fb9fb1735bb"},
}


@pytest.fixture
def listening() -> Iterator[Gateway]:
    """A gateway that answers as it is told."""
    with gateway() as made:
        yield made


@pytest.fixture
def cast(listening: Gateway) -> casting.Cast:
    """Everybody, with a live policy where that gateway listens."""
    made = casting.make_cast()
    casting.make_live(made)
    registry.set_gateway_url(environment=made.production, url=listening.url, by=casting.BOOTSTRAP)
    return made


def send(client: Client, text: str = '{"auto": ["negative", 0.9]}', **given: Any) -> Any:
    """What a page gets that sends a text."""
    return client.post(reverse("trial"), {"place": PLACE, "text": text} | given, headers={"HX-Request": "true"})


def keys() -> list[ApiKey]:
    """The keys for trials."""
    return list(ApiKey.objects.filter(purpose=ApiKey.Purpose.TRIAL))


def test_an_answer_comes_back_with_its_ladder_to_follow(cast: casting.Cast, listening: Gateway) -> None:
    answer = send(signed_in(cast.integrator), data_class="confidential", risk="high")
    assert answer.status_code == 200
    assert "negative" in text(answer)
    assert "/ladder/" in answer.content.decode()
    assert listening.asked == [
        {
            "model": "auto",
            "messages": [{"role": "user", "content": '{"auto": ["negative", 0.9]}'}],
            "metadata": {"data_class": "confidential", "risk": "high"},
        }
    ]


def test_one_key_is_made_for_all_trials_and_said_in_the_record(cast: casting.Cast, listening: Gateway) -> None:
    for person in (cast.integrator, cast.owner):
        assert send(signed_in(person)).status_code == 200
    assert len(keys()) == 1
    assert len(set(listening.tokens)) == 1
    assert AuditEvent.objects.filter(action="accounts.create_key").count() == 1


def test_a_key_that_the_gateway_does_not_know_yet_is_tried_again(cast: casting.Cast, listening: Gateway) -> None:
    listening.unknown_key = 1
    client = signed_in(cast.integrator)
    first = send(client)
    assert "Sending again: 1 of 10." in text(first)
    assert 'hx-trigger="load delay:1s, submit"' in first.content.decode()
    assert "negative" in text(send(client, tries="1"))


def test_a_key_that_is_never_taken_is_given_up(cast: casting.Cast, listening: Gateway) -> None:
    listening.unknown_key = 1
    said = text(send(signed_in(cast.integrator), tries="10"))
    assert "The gateway does not take the key" in said
    assert "Sending again" not in said


@pytest.mark.parametrize(
    ("refuse", "expected"),
    [
        ({"status": 403, "code": "not_allowed", "clause": "data_class"}, "Not allowed: data_class"),
        ({"status": 402, "code": "budget_exhausted"}, "The budget is used up"),
        ({"status": 503, "code": "no_model_available"}, "No model answered"),
        ({"status": 500, "code": "odd"}, "The gateway answered 500"),
    ],
)
def test_what_a_gateway_refuses_is_said_in_words(
    cast: casting.Cast, listening: Gateway, refuse: dict[str, Any], expected: str
) -> None:
    listening.refuse = refuse
    assert expected in text(send(signed_in(cast.integrator)))


def test_a_gateway_that_is_not_there_is_said(cast: casting.Cast) -> None:
    registry.set_gateway_url(environment=cast.production, url="http://127.0.0.1:9", by=casting.BOOTSTRAP)
    assert "No gateway was reached" in text(send(signed_in(cast.integrator)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": "x" * 20_001},
        {"place": "nowhere/production/*"},
        {"data_class": "secret"},
        {"tries": "99"},
    ],
)
def test_what_is_wrong_is_sent_nowhere(cast: casting.Cast, listening: Gateway, wrong: dict[str, str]) -> None:
    assert send(signed_in(cast.integrator), **wrong).status_code == 422
    assert (listening.asked, keys()) == ([], [])


def test_who_may_not_try_sends_nothing(cast: casting.Cast, listening: Gateway) -> None:
    for who in ("finance", "auditor", "reviewer", "admin"):
        assert send(signed_in(cast.people[who])).status_code == 403
    # A lead of another team may try there, not here.
    assert send(signed_in(cast.stranger)).status_code == 422
    assert (listening.asked, keys()) == ([], [])


def test_where_nothing_is_live_nothing_can_be_tried() -> None:
    assert "Nothing to try yet" in text(signed_in(casting.make_cast().lead).get(reverse("trial")))


def waiting(cast: casting.Cast, listening: Gateway) -> tuple[Review, str]:
    """A trial of the integrator's that waits for a person, and the address that tells of it."""
    review = casting.make_review(casting.make_key(cast)[0])
    headers = PERSON["headers"] | {"x-smallfirst-review": str(review.pk)}
    listening.refuse = PERSON | {"headers": headers}
    listening.reviews[str(review.pk)] = {"status": "open"}
    answer = send(signed_in(cast.integrator))
    assert "Waiting for a person" in text(answer)
    return review, str(answer.context["ticket_url"])


def test_the_open_tab_receives_the_persons_answer(cast: casting.Cast, listening: Gateway) -> None:
    review, address = waiting(cast, listening)
    client, page = signed_in(cast.integrator), {"HX-Request": "true"}
    assert client.post(address, headers=page).status_code == 204
    now = timezone.now()
    held = reviews.claim(review=review, by=cast.reviewer, now=now)
    reviews.answer(review=held, token=held.claim_token, answer={"label": "negative"}, by=cast.reviewer, now=now)
    # The gateway has not heard of it yet.
    assert client.post(address, headers=page).status_code == 204

    completion = {"choices": [{"message": {"content": "negative"}}]}
    listening.reviews[str(review.pk)] = {"status": "answered", "outcome": {}, "completion": completion}
    # To look at the page fetches nothing: the gateway would record it as the application's act.
    fetched = len(listening.looked)
    assert "Waiting for a person" in text(client.get(address))
    assert len(listening.looked) == fetched
    said = text(client.post(address, headers=page))
    assert "Reviewer answered" in said
    assert "negative" in said
    assert len(listening.looked) == fetched + 1
    whole = text(client.post(address))
    assert "Reviewer answered" in whole
    assert "This field is required" not in whole


def test_only_who_typed_it_gets_the_answer(cast: casting.Cast, listening: Gateway) -> None:
    _review, address = waiting(cast, listening)
    for act in ("get", "post"):
        assert getattr(signed_in(cast.owner), act)(address).status_code == 404
        assert getattr(signed_in(cast.integrator), act)(address[:-2] + "x/").status_code == 404
    assert listening.looked == []


def test_a_case_that_ends_without_an_answer_is_said(cast: casting.Cast, listening: Gateway) -> None:
    review, address = waiting(cast, listening)
    assert reviews.expire_due(now=review.expires_at) == 1
    listening.reviews[str(review.pk)] = {"status": "expired", "outcome": {"action": "refuse"}}
    said = text(signed_in(cast.integrator).post(address, headers={"HX-Request": "true"}))
    assert "The application is told that its request is refused." in said


def test_a_revoked_key_ends_the_waiting(cast: casting.Cast, listening: Gateway) -> None:
    from_here = waiting(cast, listening)
    assert reviews.expire_due(now=from_here[0].expires_at) == 1
    accounts.revoke_key(key=keys()[0], by=cast.integrator)
    said = text(signed_in(cast.integrator).post(from_here[1], headers={"HX-Request": "true"}))
    assert "The key for trials is gone" in said


def test_where_something_is_offered_to_try_is_chosen_first(cast: casting.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(cast, workflow=casting.make_workflow(cast.team, cast.owner, "another"))
    casting.make_live(other)
    monkeypatch.setattr(examples, "_offered", {("customer-feedback", "*"): ("Fine",)})
    client = signed_in(cast.integrator)
    form = client.get(reverse("trial")).context["form"]
    assert [*form.places] == ["another/production/*", PLACE]
    assert (form.chosen.value, form.examples) == (PLACE, ("Fine",))
    form = client.get(reverse("trial"), {"workflow": "another"}).context["form"]
    assert (form.chosen.value, form.examples) == ("another/production/*", ())
