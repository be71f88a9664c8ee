"""POST /api/v1/usage and /api/v1/decisions: who may, and what a body must be."""

import gzip
import json
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils import timezone

from governance import gateways
from governance.models import Gateway
from ledger import api, batches
from ledger.models import Decision, UsageEvent, UsageQueue
from tests.cast import BOOTSTRAP, make_environment
from tests.ledger.reports import Site, make_site

pytestmark = pytest.mark.django_db


def post(site: Site, body: Any, to: str = "usage", **headers: str) -> Any:
    """Send a body with the gateway's credential unless another is given."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"authorization": f"Bearer {site.credential}"} | headers
    return Client().post(f"/api/v1/{to}", data, content_type="application/json", headers=said)


def nothing_stored() -> bool:
    """Whether the ledger is empty."""
    return not (UsageEvent.objects.exists() or UsageQueue.objects.exists() or Decision.objects.exists())


def test_a_batch_is_answered_with_what_became_of_each_record() -> None:
    site = make_site()
    good, bad = site.event(), site.event(attempt=-1)

    first = post(site, {"events": [good, bad]})
    again = post(site, {"events": [good]})

    assert first.status_code == again.status_code == 200
    said = first.json()
    assert (said["accepted"], said["repeated"]) == (1, 0)
    assert [(each["id"], each["field"]) for each in said["refused"]] == [(bad["id"], "attempt")]
    assert again.json() == {"accepted": 0, "repeated": 1, "refused": []}
    assert UsageEvent.objects.count() == 1


def test_decisions_are_answered_alike() -> None:
    site = make_site()
    decision = site.decision()

    answers = [post(site, {"decisions": [decision]}, to="decisions").json() for _ in range(2)]

    assert answers == [
        {"accepted": 1, "repeated": 0, "refused": []},
        {"accepted": 0, "repeated": 1, "refused": []},
    ]


def test_a_packed_body_is_the_same_body() -> None:
    site = make_site()
    body = gzip.compress(msgspec.json.encode({"events": [site.event() for _ in range(40)]}))

    answer = post(site, body, **{"content-encoding": "gzip"})

    assert answer.json() == {"accepted": 40, "repeated": 0, "refused": []}


@pytest.mark.parametrize("to", ["usage", "decisions"])
@pytest.mark.parametrize(
    "credential", ["", "Bearer sfg_wrong", "Bearer ", "Basic c2ZnOg==", "Bearer sf_abc", "Bearer é"]
)
def test_without_a_gateways_credential_nothing_is_taken(to: str, credential: str) -> None:
    site = make_site()

    answer = post(site, {"events": [site.event()]}, to=to, authorization=credential)

    assert answer.status_code == 401
    assert answer["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert nothing_stored()


def test_a_signed_in_person_is_no_gateway() -> None:
    site = make_site()
    client = Client()
    client.force_login(site.cast.lead)
    answer = client.post("/api/v1/usage", b'{"events": []}', content_type="application/json")
    assert answer.status_code == 401


def test_a_revoked_gateway_is_let_in_no_longer() -> None:
    site = make_site()
    gateways.revoke(gateway=site.gateway, by=site.cast.admin, reason="gone")

    assert post(site, {"events": [site.event()]}).status_code == 401
    assert nothing_stored()


def test_a_gateway_of_another_environment_stores_nothing_here() -> None:
    site = make_site()
    _, credential = gateways.register(name="Other", environment=make_environment("development"), by=BOOTSTRAP)

    answer = post(site, {"events": [site.event()]}, authorization=f"Bearer {credential}")

    assert answer.json()["accepted"] == 0
    assert answer.json()["refused"][0]["field"] == "environment"
    assert nothing_stored()


def test_a_gateway_that_reports_was_seen() -> None:
    site = make_site()
    before = timezone.now()

    post(site, {"events": []})
    seen = Gateway.objects.get().last_seen_at
    post(site, {"events": []})

    assert seen is not None
    assert seen >= before
    assert Gateway.objects.get().last_seen_at == seen


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'{"events": {}}', 400, "invalid_request"),
        (b'{"decisions": []}', 400, "invalid_request"),
        (b'{"events": [], "more": 1}', 400, "invalid_request"),
        (b'{"events": [1, }', 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_request"),
        (b'{"events": [' + b"1," * batches.MOST_RECORDS + b"1]}", 413, "batch_too_large"),
    ],
)
def test_what_is_no_batch_is_refused_whole(body: bytes, status: int, code: str) -> None:
    site = make_site()

    answer = post(site, body)

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"]
    assert nothing_stored()


def test_the_largest_batch_is_taken() -> None:
    site = make_site()

    answer = post(site, b'{"events": [' + b"1," * (batches.MOST_RECORDS - 1) + b"1]}")

    assert answer.status_code == 200
    assert len(answer.json()["refused"]) == batches.MOST_RECORDS


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (b"not gzip", "gzip", 400, "invalid_request"),
        (gzip.compress(b'{"events": []}', mtime=0)[:-4], "gzip", 400, "invalid_request"),
        (b"", "gzip", 400, "invalid_request"),
        (b'{"events": []}', "br", 415, "unsupported_media_type"),
        (gzip.compress(b" " * (api.MOST_BYTES + 1), mtime=0), "gzip", 413, "batch_too_large"),
    ],
)
def test_what_cannot_be_unpacked_within_bounds_is_refused(body: bytes, encoding: str, status: int, code: str) -> None:
    site = make_site()

    answer = post(site, body, **{"content-encoding": encoding})

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert nothing_stored()


def test_other_methods_and_media_types_are_refused() -> None:
    site = make_site()
    headers = {"authorization": f"Bearer {site.credential}"}

    assert Client().get("/api/v1/usage", headers=headers).status_code == 405
    answer = Client().post("/api/v1/usage", b"events", content_type="text/plain", headers=headers)
    assert answer.status_code == 415
    assert nothing_stored()
