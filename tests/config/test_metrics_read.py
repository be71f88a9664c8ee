"""/metrics of the control plane: what was asked, what waits, and who may read it."""

import http.client
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from config.peers import RELAYED, RELAYED_AS
from governance.models import Review, new_id
from ledger.models import UsageQueue
from tests import cast as casting
from tests.conftest import LiveDatabase

TOKEN = "t0ken-that-nobody-guesses"
ELSEWHERE = "192.0.2.7"
GAUGES = ("usage_queue_events", "reviews_open", "reviews_overdue", "changes_in_review", "database_up")


def values_of(text: str) -> dict[tuple[str, ...], float]:
    """Each value by its name and its labels, in the order of the labels' names."""
    return {
        (sample.name.removeprefix("smallfirst_control_"), *(value for _, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def fetched(url: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and body of a GET at a real process."""
    parts = urlsplit(url)
    asked = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    asked.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = asked.getresponse()
    return answer.status, answer.read().decode()


def scraped(url: str) -> dict[tuple[str, ...], float]:
    """The values that a real process tells."""
    status, text = fetched(url, "/metrics")
    assert status == 200, text
    return values_of(text)


def queue(minutes: int) -> None:
    """An event that waits to be priced since then."""
    UsageQueue.objects.create(event_id=new_id(), recorded_at=timezone.now() - timedelta(minutes=minutes))


def test_a_real_process_tells_what_it_was_asked_and_what_waits(live_database: LiveDatabase, live_site: str) -> None:
    before = scraped(live_site)
    assert {name: before[name,] for name in GAUGES} == dict.fromkeys(GAUGES, 0) | {"database_up": 1}
    assert before["usage_queue_oldest_seconds",] == before["audit_unsealed_oldest_seconds",] == 0

    cast = casting.make_cast()
    casting.make_live(cast)
    casting.make_change(cast, 0.6)
    key, token = casting.make_key(cast)
    review = casting.make_review(key)
    for minutes in (3, 9, 1):
        queue(minutes)
    assert fetched(live_site, "/healthz")[0] == 200
    assert fetched(live_site, "/nowhere-1")[0] == 404
    assert fetched(live_site, "/nowhere-2")[0] == 404
    assert fetched(live_site, f"/workflows/{cast.workflow.slug}/")[0] == 302
    assert fetched(live_site, "/api/v1/bundle", authorization="Bearer sfg_nobody")[0] == 401
    assert fetched(live_site, "/metrics", x_forwarded_for=ELSEWHERE)[0] == 401

    status, text = fetched(live_site, "/metrics")
    after = values_of(text)
    assert status == 200
    requests = {place[1:]: count for place, count in after.items() if place[0] == "requests_total"}
    # The process was asked whether it is ready before anybody else asked it anything.
    assert requests.pop(("200", "readyz")) >= 1
    assert requests == {
        ("200", "healthz"): 1,
        ("404", "none"): 2,
        ("302", "workflow"): 1,
        ("401", "api_bundle"): 1,
        ("401", "metrics"): 1,
        ("200", "metrics"): 1,
    }
    assert after["request_seconds_count", "healthz"] == 1
    assert {name: after[name,] for name in GAUGES} == {
        "usage_queue_events": 3,
        "reviews_open": 1,
        "reviews_overdue": 0,
        "changes_in_review": 1,
        "database_up": 1,
    }
    assert after["audit_unsealed_oldest_seconds",] > 0
    assert 9 * 60 <= after["usage_queue_oldest_seconds",] < 10 * 60
    known = [token, str(review.pk), cast.workflow.slug, cast.lead.email, "sfg_", "nowhere", "_created"]
    assert [word for word in known if word in text] == []


@pytest.mark.django_db
def test_a_review_is_overdue_once_its_answer_was_wanted(client: Client) -> None:
    key, _ = casting.make_key(casting.make_cast())
    casting.make_review(key)
    now = timezone.now()

    assert Review.objects.how_many_wait(now) == (1, 0)
    assert Review.objects.how_many_wait(now + timedelta(minutes=16)) == (1, 1)
    assert values_of(client.get("/metrics").content.decode())["reviews_overdue",] == 0


@pytest.mark.django_db
def test_a_long_queue_is_not_counted_to_its_end(django_assert_max_num_queries: Any, client: Client) -> None:
    for minutes in (3, 9, 1):
        queue(minutes)

    count, oldest = UsageQueue.objects.backlog(2)
    assert count == 2
    assert oldest is not None
    assert timezone.now() - oldest > timedelta(minutes=8)
    # The limit on statements and seven reads; savepoints are the test's.
    with django_assert_max_num_queries(9):
        assert client.get("/metrics").status_code == 200


def asked(path: str = "/metrics", **meta: str) -> HttpResponse:
    """A request from elsewhere, unless said."""
    return Client().get(path, **{"REMOTE_ADDR": ELSEWHERE} | meta)  # type: ignore[arg-type, return-value]


@pytest.mark.django_db
def test_from_elsewhere_only_the_token_opens_it(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    for wrong in ("", "Bearer wrong", TOKEN, f"Basic {TOKEN}"):
        refused = asked(HTTP_AUTHORIZATION=wrong)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert b"smallfirst_control" not in refused.content
    for given in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
        answer = asked(HTTP_AUTHORIZATION=given)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "no-store" in answer.headers["Cache-Control"]
        assert TOKEN.encode() not in answer.content


@pytest.mark.django_db
def test_where_a_token_is_set_this_machine_sends_it_too(settings: Any) -> None:
    """Something that relays TCP to it would look like this machine."""
    settings.METRICS_TOKEN = TOKEN
    assert asked(REMOTE_ADDR="127.0.0.1").status_code == 401
    assert asked(REMOTE_ADDR="127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 200


@pytest.mark.django_db
def test_without_a_token_nobody_elsewhere_reads_it() -> None:
    for given in ("Bearer", "Bearer ", "Bearer None", ""):
        assert asked(HTTP_AUTHORIZATION=given).status_code == 401
    client = Client()
    client.force_login(casting.make_cast().admin)
    assert client.get("/metrics", REMOTE_ADDR=ELSEWHERE).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("peer", "status"),
    [("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("10.0.0.1", 401), ("", 401), ("localhost", 401)],
)
def test_this_machine_is_told_by_its_address(peer: str, status: int) -> None:
    assert asked(REMOTE_ADDR=peer).status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize("name", [*RELAYED, *(RELAYED_AS + end for end in ("", "_FOR", "_HOST", "_PROTO"))])
def test_a_proxy_on_this_machine_opens_it_for_nobody(name: str) -> None:
    assert asked(REMOTE_ADDR="127.0.0.1", **{name: "203.0.113.5"}).status_code == 401


@pytest.mark.django_db
def test_where_a_proxy_is_said_to_stand_even_this_machine_sends_the_token(settings: Any) -> None:
    settings.BEHIND_PROXY = True
    assert asked(REMOTE_ADDR="127.0.0.1").status_code == 401
    settings.METRICS_TOKEN = TOKEN
    assert asked(REMOTE_ADDR="127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 200


def test_a_database_that_is_away_is_told_and_takes_nothing_else_away(live_database: LiveDatabase) -> None:
    asked(path="/healthz")
    connection.close()
    connection.settings_dict["NAME"] = "no_such_database"
    answer = asked(REMOTE_ADDR="127.0.0.1")
    assert answer.status_code == 200
    found = values_of(answer.content.decode())
    assert found["database_up",] == 0
    assert not any(place[0] in ("reviews_open", "usage_queue_events") for place in found)
    assert found["requests_total", "200", "healthz"] >= 1


def test_it_is_only_read() -> None:
    assert Client().post("/metrics").status_code == 405
