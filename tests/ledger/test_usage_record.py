"""Usage events: stored once each, whoever repeats them, and refused one by one."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from django.utils import timezone

from governance import accounts, registry
from ledger import usage
from ledger.models import UsageEvent, UsageQueue
from smallfirst import records
from tests.cast import BOOTSTRAP, make_environment, make_model, make_provider, make_workflow
from tests.conftest import LiveDatabase
from tests.ledger.reports import Site, make_site, new_id, raw

ROOT = Path(__file__).parents[2]


def refusals(receipt: records.Receipt) -> list[tuple[str | None, str]]:
    """Which record was refused for which field."""
    return [(each.id, each.field) for each in receipt.refused]


@pytest.mark.django_db
def test_an_event_is_stored_as_reported_and_queued() -> None:
    site = make_site()
    now = timezone.now()
    event = site.event(now - timedelta(seconds=3), cache_read_tokens=7, first_byte_ms=80, provider_request_id="r-1")

    receipt = site.report([event], now)

    assert receipt == records.Receipt(accepted=1, repeated=0)
    row = UsageEvent.objects.get()
    assert str(row.id) == event["id"]
    assert (row.occurred_at, row.booked_at, row.recorded_at, row.clock) == (row.occurred_at, row.occurred_at, now, "ok")
    assert row.gateway == site.gateway
    assert (row.workflow, row.environment, row.key) == (site.cast.workflow, site.cast.production, site.key)
    assert (row.endpoint, row.model, row.tier, row.step) == (site.endpoint(), "lexicon", "small", "sentiment")
    assert (row.input_tokens, row.cache_read_tokens, row.cache_write_tokens, row.output_tokens) == (1000, 7, 0, 500)
    assert (row.outcome, row.kept, row.http_status, row.error) == ("ok", True, 200, None)
    assert (row.latency_ms, row.first_byte_ms, row.provider_request_id) == (120, 80, "r-1")
    assert row.tags == {"shop": "north"}
    queued = UsageQueue.objects.get()
    assert (queued.event_id, queued.recorded_at) == (row.id, now)


@pytest.mark.django_db
def test_a_replayed_batch_changes_nothing() -> None:
    site = make_site()
    events = [site.event() for _ in range(20)]
    site.report(events)
    before = list(UsageEvent.objects.order_by("id").values())

    again = site.report([*events, *events[:3]], timezone.now() + timedelta(hours=2))

    assert again == records.Receipt(accepted=0, repeated=23)
    assert list(UsageEvent.objects.order_by("id").values()) == before
    assert UsageQueue.objects.count() == 20


@pytest.mark.django_db
def test_an_event_twice_in_one_batch_is_one_event_and_at_another_time_it_is_still_the_same() -> None:
    site = make_site()
    event = site.event()
    later = event | {"occurred_at": (timezone.now() - timedelta(days=40)).isoformat(), "input_tokens": 9}

    assert site.report([event, event]) == records.Receipt(accepted=1, repeated=1)
    assert site.report([later]) == records.Receipt(accepted=0, repeated=1)
    assert UsageEvent.objects.get().input_tokens == 1000


@pytest.mark.django_db
def test_an_empty_batch_is_no_fault() -> None:
    assert make_site().report([]) == records.Receipt(accepted=0, repeated=0)


@pytest.mark.django_db
def test_faulty_records_are_named_and_the_others_stored() -> None:
    site = make_site()
    good = site.event()
    faulty: list[tuple[dict[str, Any], str]] = [
        (site.event(input_tokens=-1), "input_tokens"),
        (site.event(output_tokens="many"), "output_tokens"),
        (site.event(outcome="splendid"), "outcome"),
        (site.event(step="a\x00b"), "step"),
        (site.event(tags={"shop": "\x00"}), "tags[...]"),
        (site.event(format=2), "format"),
        (site.event(surprise=1), "surprise"),
        ({name: value for name, value in site.event().items() if name != "model"}, "model"),
        (site.event(occurred_at="2026-11-24T12:00:00"), "occurred_at"),
        (site.event(occurred_at="1969-12-31T23:59:59Z"), "occurred_at"),
        (site.event(occurred_at="9999-12-31T23:59:59-14:00"), "occurred_at"),
    ]

    receipt = site.report([good, *(event for event, _ in faulty)])

    assert receipt.accepted == 1
    assert sorted(refusals(receipt), key=str) == sorted(((event["id"], field) for event, field in faulty), key=str)
    assert all(each.message.endswith(".") for each in receipt.refused)
    assert [str(row.id) for row in UsageEvent.objects.all()] == [good["id"]]
    assert UsageQueue.objects.count() == 1


@pytest.mark.django_db
def test_a_record_without_a_readable_id_is_named_by_its_fault_alone() -> None:
    site = make_site()
    random_id = site.event(id="0188a1de-0000-4000-8000-000000000000")
    batch = [
        msgspec.Raw(b"7"),
        msgspec.Raw(b'{"id": 7}'),
        msgspec.Raw(b'{"id": "%s"}' % (b"x" * 900)),
        *raw([random_id]),
    ]

    receipt = usage.record(batch=batch, gateway=site.gateway, now=timezone.now())

    assert receipt.accepted == 0
    assert refusals(receipt) == [(None, ""), (None, "id"), ("x" * 64, "id"), (random_id["id"], "id")]
    assert not UsageEvent.objects.exists()


@pytest.mark.django_db
def test_a_gateway_speaks_for_its_own_environment_and_for_keys_and_endpoints_that_exist() -> None:
    site = make_site()
    cast = site.cast
    development = make_environment("development")
    elsewhere, _ = accounts.create_key(workflow=cast.workflow, environment=development, name="Dev", by=cast.integrator)
    other = make_workflow(cast.team, cast.owner, "other")
    make_model("far", "mid", cast.owner, cast.team, make_provider("far"), development)
    far = development.endpoints.get()
    nobody = new_id(timezone.now())
    faulty = [
        (site.event(environment=str(development.id)), "environment"),
        (site.event(key=nobody), "key"),
        (site.event(key=str(elsewhere.id)), "key"),
        (site.event(workflow=str(other.id)), "workflow"),
        (site.event(workflow=nobody), "workflow"),
        (site.event(endpoint=nobody), "endpoint"),
        (site.event(endpoint=str(far.id)), "endpoint"),
    ]

    receipt = site.report([event for event, _ in faulty])

    assert refusals(receipt) == [(event["id"], field) for event, field in faulty]
    assert receipt.accepted == receipt.repeated == 0
    assert not UsageEvent.objects.exists()
    assert not UsageQueue.objects.exists()


@pytest.mark.django_db
def test_what_a_revoked_key_or_a_retired_endpoint_cost_is_still_owed() -> None:
    site = make_site()
    accounts.revoke_key(key=site.key, by=site.cast.integrator, reason="leaked")
    registry.close_endpoint(endpoint=site.endpoint(), reason="moved", by=BOOTSTRAP)

    assert site.report([site.event()]).accepted == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("off", "clock"),
    [
        (timedelta(minutes=4), "ok"),
        (timedelta(minutes=6), "ahead"),
        (timedelta(days=3650), "ahead"),
        (timedelta(days=-399), "ok"),
        (timedelta(days=-401), "behind"),
        (datetime(1970, 1, 1, tzinfo=UTC) - datetime(2026, 11, 24, tzinfo=UTC), "behind"),
    ],
)
def test_a_clock_that_cannot_be_right_is_marked_and_loses_no_money(off: timedelta, clock: str) -> None:
    site = make_site()
    now = datetime(2026, 11, 24, tzinfo=UTC)

    assert site.report([site.event(now + off)], now).accepted == 1

    row = UsageEvent.objects.get()
    assert row.occurred_at == now + off
    assert row.clock == clock
    assert row.booked_at == (now + off if clock == "ok" else now)


@pytest.mark.django_db
def test_a_batch_takes_as_many_queries_whatever_its_length(django_assert_num_queries: Any) -> None:
    site = make_site()
    for length in (1, 300):
        events = [site.event() for _ in range(length)]
        # Keys, endpoints, begin, temporary table, copy, insert, drop, end.
        with django_assert_num_queries(8):
            site.report(events)


def in_another_thread(work: Any) -> tuple[threading.Thread, list[Any]]:
    """Start work with a connection of its own; what it returns or raises comes into the list."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            results.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


@pytest.mark.parametrize("committed", [True, False])
def test_the_same_batch_from_two_at_once_is_stored_once(live_database: LiveDatabase, committed: bool) -> None:
    site = make_site()
    events = [site.event() for _ in range(50)]
    site.endpoint()

    with transaction.atomic():
        first = site.report(events)
        thread, results = in_another_thread(lambda: site.report(list(reversed(events))))
        thread.join(0.5)
        assert thread.is_alive(), "the second waits until the first is decided"
        transaction.set_rollback(not committed)
    thread.join(20)

    assert first == records.Receipt(accepted=50, repeated=0)
    assert results == [records.Receipt(accepted=0 if committed else 50, repeated=50 if committed else 0)]
    assert UsageEvent.objects.count() == UsageQueue.objects.count() == 50


def test_batches_that_overlap_in_different_orders_wait_for_each_other_and_never_in_a_circle(
    live_database: LiveDatabase,
) -> None:
    site = make_site()
    low, high = sorted((site.event(), site.event()), key=lambda event: str(event["id"]))

    with transaction.atomic():
        site.report([low])
        # It waits for the lower key before it takes the higher one, which is therefore free.
        thread, results = in_another_thread(lambda: site.report([high, low]))
        thread.join(0.5)
        assert thread.is_alive()
        assert site.report([high]).accepted == 1
    thread.join(20)

    assert results == [records.Receipt(accepted=0, repeated=2)]
    assert UsageEvent.objects.count() == UsageQueue.objects.count() == 2


KILLED = """
import os, signal, sys
import django
django.setup()
import msgspec
from django.db import transaction
from django.utils import timezone
from governance.models import Gateway
from ledger import usage

batch = msgspec.json.decode(sys.stdin.buffer.read(), type=list[msgspec.Raw])
with transaction.atomic():
    print(usage.record(batch=batch, gateway=Gateway.objects.get(), now=timezone.now()).accepted, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_killed(script: str, database: LiveDatabase, stdin: bytes = b"") -> str:
    """Run a script that kills itself on this database; return what it wrote before."""
    environment = os.environ | {"DATABASE_URL": database.url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", script], input=stdin, stdout=subprocess.PIPE, env=environment, cwd=ROOT, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    return ended.stdout.decode().strip()


def test_a_process_killed_between_copy_and_commit_has_stored_nothing(live_database: LiveDatabase) -> None:
    site: Site = make_site()
    events = [site.event() for _ in range(30)]

    assert run_killed(KILLED, live_database, msgspec.json.encode(events)) == "30"

    assert not UsageEvent.objects.exists()
    assert not UsageQueue.objects.exists()
    assert site.report(events) == records.Receipt(accepted=30, repeated=0)
