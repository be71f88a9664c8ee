"""POST /api/v1/reviews and GET /api/v1/reviews/{id}: for gateways, each within its own environment."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from governance import accounts, gateways, reviews
from governance.models import Gateway, Review
from smallfirst.records import Receipt, Standing
from tests.cast import BOOTSTRAP, make_environment, make_key, make_workflow
from tests.governance.desk import Desk, found, make_desk, new_id, rows, wire

pytestmark = pytest.mark.django_db

PATH = "/api/v1/reviews"


def bearer(credential: str) -> dict[str, str]:
    """The header that lets a gateway in."""
    return {"Authorization": f"Bearer {credential}"}


def post(client: Client, desk: Desk, body: Any) -> Any:
    """What the control plane answers to this gateway's batch."""
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post(PATH, text, content_type="application/json", headers=bearer(desk.credential))


def test_a_gateway_opens_asks_and_delivers(client: Client) -> None:
    desk = make_desk()
    record, faulty = desk.record(), desk.record(role="emperor")

    opened = post(client, desk, {"reviews": [record, faulty, record]})

    assert opened.status_code == 200
    receipt = msgspec.json.decode(opened.content, type=Receipt)
    assert (receipt.accepted, receipt.repeated) == (1, 1)
    assert [(refused.id, refused.field) for refused in receipt.refused] == [(faulty["id"], "role")]

    held = reviews.claim(review=found(record["id"]), by=desk.reviewer, now=desk.now)
    said = {"label": "negative"}
    reviews.answer(review=held, token=held.claim_token, answer=said, by=desk.reviewer, now=desk.now)
    asked = client.get(f"{PATH}/{record['id']}", headers=bearer(desk.credential))
    standing = msgspec.json.decode(asked.content, type=Standing)
    assert (standing.id, standing.status) == (record["id"], "answered")
    assert standing.outcome is not None
    assert (standing.outcome.by, standing.outcome.action, standing.outcome.answer) == ("person", "answer", said)
    assert asked["Cache-Control"] == "no-store"

    fetched = {"review": record["id"], "at": wire(desk.now)}
    delivered = post(client, desk, {"reviews": [], "delivered": [fetched, fetched]})
    assert delivered.json() == {"accepted": 1, "repeated": 1, "refused": []}
    assert found(record["id"]).delivered_at is not None


@pytest.mark.parametrize("status", ["open", "claimed", "expired", "cancelled"])
def test_every_standing_is_told(client: Client, status: str) -> None:
    desk = make_desk()
    if status == "expired":
        review = desk.expired(opened_at=desk.now - timedelta(hours=2))
    elif status == "cancelled":
        review = reviews.cancel(review=desk.open(), reason="asked twice", by=desk.cast.lead, now=desk.now)
    else:
        review = desk.open() if status == "open" else desk.claimed()

    answer = client.get(f"{PATH}/{review.pk}", headers=bearer(desk.credential))

    standing = msgspec.json.decode(answer.content, type=Standing)
    assert (standing.status, standing.respond_by, standing.expires_at) == (
        status,
        review.respond_by,
        review.expires_at,
    )
    assert (standing.outcome is not None) == (status == "expired")


def test_a_gateway_sees_its_own_environment_only(client: Client) -> None:
    desk = make_desk()
    review = desk.open()
    _, other = gateways.register(name="Staging", environment=make_environment("staging"), by=BOOTSTRAP)
    assert client.get(f"{PATH}/{review.pk}", headers=bearer(other)).status_code == 404
    assert client.get(f"{PATH}/{review.pk}", headers=bearer(desk.credential)).status_code == 200


def test_an_api_key_is_told_of_its_own_cases_and_of_those_of_a_key_before_it(client: Client) -> None:
    desk = make_desk()
    review = desk.open()
    _, second = make_key(desk.cast, "Shop, next key")
    assert client.get(f"{PATH}/{review.pk}", headers=bearer(second)).status_code == 404
    accounts.revoke_key(key=desk.key, by=desk.cast.integrator, reason="replaced")
    assert client.get(f"{PATH}/{review.pk}", headers=bearer(second)).status_code == 200
    other = make_workflow(desk.cast.team, desk.cast.lead, "other")
    _, strange = accounts.create_key(
        workflow=other, environment=desk.cast.production, name="Strange", by=desk.cast.integrator
    )
    assert client.get(f"{PATH}/{review.pk}", headers=bearer(strange)).status_code == 404


def test_an_unknown_case_is_not_found(client: Client) -> None:
    desk = make_desk()
    answer = client.get(f"{PATH}/{new_id()}", headers=bearer(desk.credential))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert client.get(f"{PATH}/not-an-id", headers=bearer(desk.credential)).status_code == 404


def test_strangers_get_and_leave_nothing(client: Client) -> None:
    desk = make_desk()
    review = desk.open()
    _, revoked = gateways.register(name="Gone", environment=desk.cast.production, by=BOOTSTRAP)
    gateways.revoke(gateway=Gateway.objects.get(name="Gone"), by=BOOTSTRAP, reason="sold")
    client.force_login(desk.reviewer)
    body = json.dumps({"reviews": [desk.record()]})
    before = rows()
    for headers in ({}, bearer("sf_unknown"), bearer(revoked), bearer("sfg_unknown")):
        assert client.get(f"{PATH}/{review.pk}", headers=headers).status_code == 401
        assert client.post(PATH, body, content_type="application/json", headers=headers).status_code == 401
    assert rows() == before


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ("not json", None),
        (b"\xff\xfe", None),
        ("", None),
        ("[" * 100_000, None),
        ([], None),
        ({"reviews": {}}, "reviews"),
        ({"surprise": []}, "surprise"),
        ({"reviews": [{}] * 1001}, "reviews"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_whole(client: Client, body: Any, param: str | None) -> None:
    desk = make_desk()
    before = rows()
    answer = post(client, desk, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_request", param)
    assert error["message"]
    assert rows() == before


def test_a_body_over_the_limit_is_refused(client: Client, settings: Any) -> None:
    desk = make_desk()
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = post(client, desk, {"reviews": [desk.record()]})
    assert answer.status_code == 413
    assert not Review.objects.exists()


def test_records_that_are_no_records_are_named(client: Client) -> None:
    desk = make_desk()
    answer = post(client, desk, {"reviews": [1, None, {}, {"id": "x"}, desk.record()]})
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1
    assert len(answer.json()["refused"]) == 4


@pytest.mark.parametrize("depth", [100, 500, 800, 900, 950, 1000, 5000, 100_000])
def test_no_depth_of_a_schema_stops_a_gateways_reports(client: Client, depth: int) -> None:
    """Its application wrote it. What cannot be read or stored is said to be so, and not sent for ever."""
    desk = make_desk()
    record = json.dumps(desk.record(answer={"type": "fields", "schema": {"not": "DEEP"}}))
    deep = record.replace('"DEEP"', '{"not":' * depth + "{}" + "}" * depth)

    answer = post(client, desk, f'{{"reviews":[{deep}]}}')

    assert answer.status_code in (200, 400)
    assert Review.objects.count() == (answer.json().get("accepted", 0) if answer.status_code == 200 else 0)
    assert depth > 100 or Review.objects.exists()


def test_asking_costs_two_queries(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    desk = make_desk()
    review = desk.answered()
    client.get(f"{PATH}/{review.pk}", headers=bearer(desk.credential))
    with django_assert_num_queries(2):
        client.get(f"{PATH}/{review.pk}", headers=bearer(desk.credential))


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_cases_are_only_posted(client: Client, method: str) -> None:
    desk = make_desk()
    assert getattr(client, method)(PATH, headers=bearer(desk.credential)).status_code == 405
    if method != "get":
        review = desk.open()
        assert getattr(client, method)(f"{PATH}/{review.pk}", headers=bearer(desk.credential)).status_code == 405
