"""What holds for every address: health, headers, body size, and the error shape below /api/."""

import logging
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.http import Http404
from django.test import Client
from rest_framework import exceptions

from config import api, logs
from tests.conftest import LiveDatabase


def test_healthz_needs_nothing(client: Client) -> None:
    """No session, no database, no sign-in."""
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
def test_readyz_reaches_database_and_broker(client: Client, valkey: str) -> None:
    """Plain success on the real services."""
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready"}


@pytest.mark.django_db
def test_readyz_asks_a_broker_that_is_no_redis(client: Client, settings: Any) -> None:
    """Only Redis is sent a word of its own."""
    settings.BROKER_URL = "memory://"
    assert client.get("/readyz").json() == {"status": "ready"}


def test_readyz_names_what_is_missing(client: Client, live_database: LiveDatabase, settings: Any) -> None:
    """A broker that nobody listens for."""
    settings.BROKER_URL = "redis://127.0.0.1:1/0"
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "not ready", "missing": ["broker"]}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_only_read(client: Client, path: str) -> None:
    """POST is refused."""
    assert client.post(path).status_code == 405


def test_every_answer_carries_the_strict_headers(client: Client) -> None:
    """Content policy without any unsafe word, no framing, no referrer to others."""
    headers = client.get("/healthz").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_too_large_body_is_refused_unread(client: Client) -> None:
    """One byte above the limit, whatever the address; the largest allowed goes on to the view."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    refused = client.post("/api/v1/nothing", data=b"x" * (limit + 1), content_type="application/json")
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "body_too_large"
    assert str(limit) in refused.json()["error"]["message"]
    accepted = client.post("/api/v1/nothing", data=b"x" * limit, content_type="application/json")
    assert accepted.status_code == 404


def test_unknown_api_address_has_the_error_shape() -> None:
    """JSON, not a page; also to a program that posts without any token of a form."""
    response = Client(enforce_csrf_checks=True).post("/api/v1/nothing", data={}, content_type="application/json")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "not_found"
    assert error["type"] == "invalid_request_error"
    assert error["param"] is None


@pytest.mark.parametrize(
    ("raised", "status", "code", "param"),
    [
        (exceptions.ValidationError({"name": ["This field is required."]}), 400, "invalid_request", "name"),
        (exceptions.ValidationError({"events": [{}, {"id": ["Bad."]}]}), 400, "invalid_request", "events.1.id"),
        (exceptions.ValidationError("Bad."), 400, "invalid_request", None),
        (exceptions.ParseError(), 400, "invalid_request", None),
        (exceptions.PermissionDenied(), 403, "not_allowed", None),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed", None),
        (exceptions.Throttled(), 429, "too_many_requests", None),
        (Http404("secret name"), 404, "not_found", None),
    ],
)
def test_exceptions_become_the_error_shape(raised: Exception, status: int, code: str, param: str | None) -> None:
    """Status, code, and the path of the field; nothing that a 404 was told inside."""
    response = api.problem(raised, {})
    assert response is not None
    assert response.status_code == status
    error = response.data["error"]
    assert error["code"] == code
    assert error["param"] == param
    assert "secret" not in error["message"]


def test_a_defect_is_no_answer() -> None:
    """Other exceptions go on to Django, which logs them and answers 500."""
    assert api.problem(ZeroDivisionError(), {}) is None


def test_logs_hide_bodies_and_secrets() -> None:
    """By name, at any depth; what is left is one JSON object."""
    event = {"event": "usage.stored", "events": 3, "token": "sf_1", "request": {"Authorization": "Bearer sf_1"}}
    hidden = logs.hide_private(None, "info", event)
    assert hidden == {
        "event": "usage.stored",
        "events": 3,
        "token": "(hidden)",
        "request": {"Authorization": "(hidden)"},
    }


def test_tracebacks_carry_no_local_variables(caplog: pytest.LogCaptureFixture) -> None:
    """An exception's log line holds its text and place, not the values at hand."""
    formatter = structlog.stdlib.ProcessorFormatter(**_formatter_arguments())
    password = "correct horse"
    with caplog.at_level(logging.ERROR):
        try:
            raise ValueError(f"{len(password)} characters")
        except ValueError:
            logging.getLogger("some.module").exception("sign_in.failed")
    line = formatter.format(caplog.records[-1])
    assert "13 characters" in line
    assert "correct horse" not in line


def _formatter_arguments() -> dict[str, Any]:
    described = dict(settings.LOGGING["formatters"]["json"])
    described.pop("()")
    return described


def test_no_admin_is_served(client: Client) -> None:
    """What is not built has no address."""
    assert client.get("/admin/").status_code == 404
