"""A mistake of ours: the page and the API's error say by which number the log knows it, and no more."""

import io
import logging

import pytest
import structlog
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from config import logs

handler500 = "config.broken.broken"
SECRET = "what only the log may say"


@login_not_required
def _breaks(_request: HttpRequest) -> HttpResponse:
    raise ValueError(SECRET)


@login_not_required
def _holds(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(structlog.contextvars.get_contextvars()["request_id"]))


urlpatterns = [path("breaks/", _breaks), path("api/v1/breaks", _breaks), path("holds/", _holds)]

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    """One that takes a 500 as what it is."""
    return Client(raise_request_exception=False)


@override_settings(ROOT_URLCONF=__name__)
def test_the_page_says_the_number_by_which_the_log_knows_it(browser: Client) -> None:
    described = dict(logs.configure("INFO")["formatters"]["json"])
    described.pop("()")
    formatter = structlog.stdlib.ProcessorFormatter(**described)
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    try:
        answer = browser.get("/breaks/")
    finally:
        logging.getLogger().removeHandler(handler)

    number = answer.headers["x-request-id"]
    page = answer.content.decode()
    assert answer.status_code == 500
    assert f"<code>{number}</code>" in page
    assert SECRET not in page
    (line,) = [line for line in written.getvalue().splitlines() if SECRET in line]
    assert f'"request_id": "{number}"' in line


@override_settings(ROOT_URLCONF=__name__)
def test_below_the_api_it_has_the_error_shape(browser: Client) -> None:
    answer = browser.get("/api/v1/breaks")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (500, "internal_error", "server_error")
    assert answer.headers["x-request-id"] in error["message"]
    assert SECRET not in error["message"]


@override_settings(ROOT_URLCONF=__name__)
def test_each_request_has_a_number_of_its_own_that_no_sender_chooses(browser: Client) -> None:
    first, second = (browser.get("/holds/", headers={"x-request-id": "theirs"}) for _ in range(2))

    assert first.content.decode() == first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "theirs" not in (first.headers["x-request-id"], second.headers["x-request-id"])
    assert "request_id" not in structlog.contextvars.get_contextvars()
