"""API keys as credentials: an application that decides in process is let in, as the gateway of its key and no other."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from governance import accounts, changes, gateways, reviews, workflows
from governance.models import ApiKey, AuditEvent, Change, Gateway, Review
from tests.cast import Cast, approve, make_cast, make_document, make_key, make_live, make_workflow
from tests.governance.desk import Desk, found, make_desk, new_id, rows, wire

pytestmark = pytest.mark.django_db

REVIEWS = "/api/v1/reviews"


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def test_applications_that_decide_in_process_stand_as_one_gateway_of_their_key(cast: Cast) -> None:
    key, token = make_key(cast)

    made = gateways.authenticate(token)

    assert made is not None
    assert (made.key, made.environment, made.sha256) == (key, key.environment, accounts.token_sha256(token))
    assert gateways.authenticate(token) == gateways.of_key(key) == made
    event = AuditEvent.objects.about(made).get()
    assert (event.action, event.actor_name) == ("gateways.register", "SDK")
    made.refresh_from_db()
    assert made.last_seen_at is not None


def test_a_known_key_costs_one_query(cast: Cast, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    _, token = make_key(cast)
    gateways.authenticate(token)
    with django_assert_num_queries(1):
        gateways.authenticate(token)


@pytest.mark.parametrize("end", ["revoke the key", "retire the workflow", "revoke the gateway"])
@pytest.mark.parametrize("seen", [True, False])
def test_what_ends_turns_away_at_once(cast: Cast, end: str, seen: bool) -> None:
    key, token = make_key(cast)
    if seen or end == "revoke the gateway":
        gateways.authenticate(token)
    match end:
        case "revoke the key":
            accounts.revoke_key(key=key, by=cast.integrator)
        case "retire the workflow":
            workflows.retire(workflow=cast.workflow, reason="done", by=cast.lead)
        case _:
            gateways.revoke(gateway=gateways.of_key(key), by=cast.admin)
    known = Gateway.objects.count()

    assert gateways.authenticate(token) is None
    assert Gateway.objects.count() == known


@pytest.mark.parametrize("purpose", [ApiKey.Purpose.TRIAL, ApiKey.Purpose.EVALUATION])
@pytest.mark.usefixtures("installation_keys")
def test_keys_of_our_own_let_nobody_in(cast: Cast, purpose: ApiKey.Purpose) -> None:
    _, token = accounts.own_key(workflow=cast.workflow, environment=cast.production, purpose=purpose, by=cast.lead)
    assert gateways.authenticate(token) is None
    assert not Gateway.objects.exists()


@pytest.mark.usefixtures("installation_keys")
def test_what_stands_for_a_key_of_our_own_lets_nobody_in(cast: Cast) -> None:
    """Whoever made such a row, the key's purpose decides."""
    trial, token = accounts.own_key(
        workflow=cast.workflow, environment=cast.production, purpose=ApiKey.Purpose.TRIAL, by=cast.lead
    )
    gateways.of_key(trial)
    assert gateways.authenticate(token) is None


def post(client: Client, token: str, body: Any) -> Any:
    """What is answered to a batch about reviews."""
    headers = {"Authorization": f"Bearer {token}"}
    return client.post(REVIEWS, json.dumps(body), content_type="application/json", headers=headers)


@pytest.fixture
def shop(installation_keys: None) -> tuple[Desk, ApiKey, str]:
    """A desk with another key of the same workflow, and its token."""
    desk = make_desk()
    make_live(desk.cast)
    key, token = make_key(desk.cast, "Shop, in process")
    return desk, key, token


def test_a_key_opens_asks_and_delivers_its_own(client: Client, shop: tuple[Desk, ApiKey, str]) -> None:
    desk, key, token = shop
    record = desk.record(key=str(key.pk))

    assert post(client, token, {"reviews": [record]}).json() == {"accepted": 1, "repeated": 0, "refused": []}
    held = reviews.claim(review=found(record["id"]), by=desk.reviewer, now=desk.now)
    said = {"label": "negative"}
    reviews.answer(review=held, token=held.claim_token, answer=said, by=desk.reviewer, now=desk.now)
    told = client.get(f"{REVIEWS}/{record['id']}", headers={"Authorization": f"Bearer {token}"}).json()
    assert (told["status"], told["outcome"]["answer"]) == ("answered", said)
    delivered = post(client, token, {"delivered": [{"review": record["id"], "at": wire(desk.now)}]})
    assert delivered.json() == {"accepted": 1, "repeated": 0, "refused": []}


def test_a_key_opens_no_case_of_another(client: Client, shop: tuple[Desk, ApiKey, str]) -> None:
    """Not of another key of its workflow, not of another workflow, not with its own key's name on it."""
    desk, key, token = shop
    elsewhere = make_workflow(desk.cast.elsewhere, desk.cast.stranger, slug="elsewhere")
    foreign, _ = accounts.create_key(
        workflow=elsewhere, environment=desk.cast.production, name="Foreign", by=desk.cast.stranger
    )
    sent = [
        desk.record(),
        desk.record(key=str(foreign.pk), workflow=str(elsewhere.pk)),
        desk.record(key=str(key.pk), workflow=str(elsewhere.pk)),
        desk.record(key=str(key.pk), environment=new_id()),
    ]
    gateways.authenticate(token)
    before = rows()

    answer = post(client, token, {"reviews": sent}).json()

    assert answer["accepted"] == 0
    assert [(each["id"], each["field"]) for each in answer["refused"]] == [
        (sent[0]["id"], "key"),
        (sent[1]["id"], "key"),
        (sent[2]["id"], "workflow"),
        (sent[3]["id"], "environment"),
    ]
    assert rows() == before


def propose(cast: Cast, **terms: Any) -> Change:
    """A change after which people are asked on these terms."""
    document = make_document(0.6)
    document["steps"][0]["review"] |= terms
    return changes.propose(
        workflow=cast.workflow, environment=cast.production, document=document, title="Terms", note="",
        mode="enforce", by=cast.integrator,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "terms"),
    [
        ({"role": "lead"}, {}),
        ({"on_expiry": {"action": "answer", "answer": "positive"}},) * 2,
        ({"respond_by": 1, "expires_at": 2}, {"respond_within": 1, "expire_after": 2}),
    ],
)
def test_a_key_sets_no_terms_of_its_own(
    client: Client, shop: tuple[Desk, ApiKey, str], said: dict[str, Any], terms: dict[str, Any]
) -> None:
    """Nor do those of a policy count on which nobody voted."""
    desk, key, token = shop
    propose(desk.cast, **terms)
    later = {name: wire(desk.now + timedelta(seconds=at)) if isinstance(at, int) else at for name, at in said.items()}
    record = desk.record(key=str(key.pk), **later)
    gateways.authenticate(token)
    before = rows()

    answer = post(client, token, {"reviews": [record]}).json()

    assert [(each["id"], each["field"]) for each in answer["refused"]] == [(record["id"], "on_expiry")]
    assert rows() == before


def test_a_key_opens_no_case_in_the_far_future_that_never_ends(client: Client, shop: tuple[Desk, ApiKey, str]) -> None:
    desk, key, token = shop
    record = desk.record(key=str(key.pk), opened_at=desk.now + timedelta(days=365))
    gateways.authenticate(token)
    before = rows()

    answer = post(client, token, {"reviews": [record]}).json()

    assert [(each["id"], each["field"]) for each in answer["refused"]] == [(record["id"], "opened_at")]
    assert rows() == before


def test_terms_that_were_live_count_for_who_decided_by_them(client: Client, shop: tuple[Desk, ApiKey, str]) -> None:
    desk, key, token = shop
    changes.activate(change=approve(propose(desk.cast, respond_within=60), desk.cast.owner), by=desk.cast.lead)
    assert post(client, token, {"reviews": [desk.record(key=str(key.pk))]}).json()["accepted"] == 1


def test_a_key_learns_nothing_of_anothers_case(client: Client, shop: tuple[Desk, ApiKey, str]) -> None:
    desk, _, token = shop
    review = desk.answered()
    gateways.authenticate(token)
    before = rows()

    asked = client.get(f"{REVIEWS}/{review.pk}", headers={"Authorization": f"Bearer {token}"})
    delivered = post(client, token, {"delivered": [{"review": str(review.pk), "at": wire(desk.now)}]}).json()

    assert asked.status_code == 404
    assert [(each["id"], each["field"]) for each in delivered["refused"]] == [(str(review.pk), "review")]
    assert Review.objects.get(pk=review.pk).delivered_at is None
    assert rows() == before
