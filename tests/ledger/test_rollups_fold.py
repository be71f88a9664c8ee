"""The fold: each event is priced and counted once, whoever folds, dies or repeats; sums equal what they sum."""

import threading
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance import audit
from ledger import rollups
from ledger.models import Charge, Price, Rollup, UsageEvent, UsageQueue
from tests.cast import BOOTSTRAP
from tests.conftest import LiveDatabase
from tests.ledger.reports import BERLIN, Site, make_site
from tests.ledger.test_usage_record import in_another_thread, run_killed

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUCKETS = ("input", "output", "cache_read", "cache_write")
SUMS = ("events", "kept", "unpriced", "late", *(f"{bucket}_tokens" for bucket in BUCKETS), "amount")


def totals() -> dict[str, Any]:
    """The sums of the whole rollup."""
    found: dict[str, Any] = defaultdict(int)
    for row in Rollup.objects.all():
        for name in SUMS:
            found[name] += getattr(row, name) or 0
    return dict(found)


@pytest.mark.django_db
def test_an_event_is_charged_by_bucket_and_counted_on_its_day() -> None:
    site = make_site()
    price = site.price()
    event = site.event(NOON, cache_read_tokens=100, cache_write_tokens=10)
    site.report([event], NOON)

    assert rollups.fold(zone=BERLIN) == 1

    charge = Charge.objects.get()
    assert (str(charge.id), charge.state, charge.unpriced, charge.price) == (event["id"], "priced", None, price)
    assert (charge.input_amount, charge.output_amount) == (Decimal("0.002"), Decimal("0.004"))
    assert (charge.cache_read_amount, charge.cache_write_amount) == (Decimal("0.00005"), Decimal("0.000025"))
    assert (charge.amount, charge.currency) == (Decimal("0.006075"), "USD")
    row = Rollup.objects.get()
    assert (row.day, row.workflow, row.step, row.endpoint) == (
        date(2026, 11, 20), site.cast.workflow, "sentiment", site.endpoint(),
    )  # fmt: skip
    assert (row.key, row.outcome, row.currency) == (site.key, "ok", "USD")
    assert [getattr(row, name) for name in SUMS] == [1, 1, 0, 0, 1000, 500, 100, 10, Decimal("0.006075")]
    assert row.last_at == NOON
    assert not UsageQueue.objects.exists()


@pytest.mark.django_db
def test_the_golden_case_of_a_cache_write() -> None:
    site = make_site()
    site.price(input=Decimal(3), output=Decimal(15), cache_write=Decimal("3.75"))
    site.report([site.event(NOON, input_tokens=3, output_tokens=550, cache_write_tokens=12_304)], NOON)

    rollups.fold(zone=BERLIN)

    assert Charge.objects.get().amount == Decimal("0.054399")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("event", "rates", "why"),
    [
        ({}, None, "no_price"),
        ({"input_tokens": None, "usage_quality": "missing"}, {}, "no_tokens"),
        ({"output_tokens": None}, {}, "no_tokens"),
        ({"cache_read_tokens": 5}, {"cache_read": None}, "no_rate"),
        ({"output_tokens": None, "cache_write_tokens": 5}, {"output": Decimal(0), "cache_write": None}, "no_rate"),
    ],
)
def test_what_cannot_be_priced_is_null_and_counted_never_zero(
    event: dict[str, Any], rates: dict[str, Any] | None, why: str
) -> None:
    site = make_site()
    if rates is not None:
        site.price(**rates)
    site.report([site.event(NOON, **event)], NOON)

    rollups.fold(zone=BERLIN)

    charge = Charge.objects.get()
    assert (charge.state, charge.unpriced, charge.amount, charge.currency) == ("unpriced", why, None, None)
    assert [getattr(charge, f"{bucket}_amount") for bucket in BUCKETS] == [None] * 4
    row = Rollup.objects.get()
    assert (row.events, row.unpriced, row.amount, row.currency) == (1, 1, None, None)


@pytest.mark.django_db
def test_a_rate_that_is_not_known_matters_only_for_tokens_that_were_used_and_free_is_free() -> None:
    site = make_site()
    site.price(0, cache_read=None, cache_write=None)
    site.price(1, input=Decimal(0), output=Decimal(0), cache_read=None, cache_write=None)
    unused = site.event(NOON)
    free = site.event(NOON, place=1, input_tokens=None, output_tokens=None, usage_quality="missing")
    site.report([unused, free], NOON)

    rollups.fold(zone=BERLIN)

    assert Charge.objects.get(id=unused["id"]).amount == Decimal("0.006")
    assert Charge.objects.get(id=free["id"]).amount == 0


def written(site: Site, place: int = 0, **facts: Any) -> Price:
    """An own price, also one of the past, which the verb would not take, with its entry."""
    price = Price.objects.create(kind="own", endpoint=site.endpoint(place), currency="USD", source="own", **facts)
    audit.record(action="prices.set", actor=BOOTSTRAP, object=price, summary="Set by hand")
    return price


@pytest.mark.django_db
def test_the_price_of_the_moment_counts_however_late_the_event_comes() -> None:
    site = make_site()
    for start, end, rate in ((NOON - timedelta(days=9), NOON, Decimal(1)), (NOON, None, Decimal(3))):
        rates: dict[str, Any] = {"input": rate, "output": Decimal(0), "cache_read": None, "cache_write": None}
        written(site, valid_from=start, valid_until=end, **rates)
    before, at = site.event(NOON - timedelta(microseconds=1)), site.event(NOON)
    site.report([at, before], NOON + timedelta(days=30))

    rollups.fold(zone=BERLIN)

    assert Charge.objects.get(id=before["id"]).amount == Decimal("0.001")
    assert Charge.objects.get(id=at["id"]).amount == Decimal("0.003")
    assert totals()["late"] == 2


@pytest.mark.django_db
@pytest.mark.parametrize(("after", "late"), [(timedelta(minutes=60), 0), (timedelta(minutes=60, microseconds=1), 1)])
def test_late_is_more_than_an_hour_after_the_day_ended_in_the_zone(after: timedelta, late: int) -> None:
    site = make_site()
    midnight = datetime(2026, 11, 21, tzinfo=BERLIN).astimezone(UTC)
    site.report([site.event(midnight - timedelta(seconds=1))], midnight + after)

    rollups.fold(zone=BERLIN)

    row = Rollup.objects.get()
    assert (row.day, row.late) == (date(2026, 11, 20), late)


@pytest.mark.django_db
def test_currencies_are_never_added_up() -> None:
    site = make_site()
    site.price(0)
    site.price(1, currency="EUR", input=Decimal(4), output=Decimal(0))
    site.report([site.event(NOON, place=place) for place in (0, 1)], NOON)

    rollups.fold(zone=BERLIN)

    assert {row.currency: row.amount for row in Rollup.objects.all()} == {
        "USD": Decimal("0.006"), "EUR": Decimal("0.004"),
    }  # fmt: skip


@pytest.mark.django_db
def test_an_event_that_is_queued_again_is_not_counted_again() -> None:
    site = make_site()
    site.price()
    site.report([site.event(NOON) for _ in range(3)], NOON)
    rollups.fold(zone=BERLIN)
    before, charges = totals(), list(Charge.objects.order_by("id").values())
    site.price(valid_from=datetime.now(UTC) + timedelta(hours=1), input=Decimal(999))

    UsageQueue.objects.bulk_create([UsageQueue(event_id=event.id) for event in UsageEvent.objects.all()])
    assert rollups.fold(zone=BERLIN) == 3

    assert totals() == before
    assert list(Charge.objects.order_by("id").values()) == charges
    assert not UsageQueue.objects.exists()


@pytest.mark.django_db
def test_the_largest_amounts_fit_and_stop_nothing() -> None:
    site = make_site()
    dearest: dict[str, Any] = dict.fromkeys(BUCKETS, Decimal(1_000_000))
    site.price(**dearest)
    most = {f"{bucket}_tokens": 100_000_000 for bucket in BUCKETS}
    assert site.report([site.event(NOON, **most) for _ in range(2)], NOON).accepted == 2

    assert rollups.fold(zone=BERLIN) == 2

    assert totals()["amount"] == 2 * 4 * 100_000_000


@pytest.mark.django_db
def test_the_last_attempt_is_the_newest_not_the_one_that_came_last() -> None:
    site = make_site()
    for moment in (NOON, NOON - timedelta(hours=2)):
        site.report([site.event(moment)], NOON)
        rollups.fold(zone=BERLIN)

    assert Rollup.objects.get().last_at == NOON


@pytest.mark.django_db
def test_a_fold_takes_what_it_is_told_and_the_rest_waits() -> None:
    site = make_site()
    site.report([site.event(NOON) for _ in range(7)], NOON)

    assert [rollups.fold(zone=BERLIN, limit=3) for _ in range(4)] == [3, 3, 1, 0]
    assert totals()["events"] == 7


ZONES = (ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Chatham"))
# Around clock changes of the three zones, and a month's end.
EDGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    datetime(2026, 4, 4, 14, tzinfo=UTC),
    datetime(2026, 9, 26, 14, tzinfo=UTC),
    datetime(2026, 6, 30, 22, tzinfo=UTC),
]
moments = st.builds(
    lambda edge, seconds, micros: edge + timedelta(seconds=seconds, microseconds=micros),
    st.sampled_from(EDGES), st.integers(-100_000, 100_000), st.integers(-1, 1),
)  # fmt: skip
tokens = st.integers(0, 100_000_000)
attempts = st.fixed_dictionaries(
    {
        "at": moments,
        "place": st.integers(0, 2),
        "step": st.sampled_from(["language", "sentiment"]),
        "outcome": st.sampled_from(["ok", "ok", "ok", "error", "timeout", "aborted", "refused"]),
        "kept": st.booleans(),
        "input_tokens": st.none() | tokens,
        "output_tokens": st.none() | tokens,
        "cache_read_tokens": tokens,
        "cache_write_tokens": tokens,
    }
)
# What arrives together; much of it before it can have happened, which marks the gateway's clock.
batches = st.tuples(moments, st.lists(attempts, min_size=1, max_size=12))


def expected(zone: ZoneInfo) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rollup as plain arithmetic has it, from the events and prices alone."""
    held = list(Price.objects.all())
    found: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for event in UsageEvent.objects.all():
        day = event.booked_at.astimezone(zone).date()
        ended = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone).astimezone(UTC)
        prices = [
            each
            for each in held
            if each.endpoint_id == event.endpoint_id
            and each.valid_from <= event.booked_at
            and (each.valid_until is None or event.booked_at < each.valid_until)
        ]
        assert len(prices) < 2
        price = prices[0] if prices else None
        parts = [cost(getattr(event, f"{bucket}_tokens"), getattr(price, bucket, None)) for bucket in BUCKETS]
        amount = None if None in parts else sum(part for part in parts if part is not None)
        key = (
            day, event.workflow_id, event.step, event.endpoint_id, event.key_id, event.outcome,
            None if price is None or amount is None else price.currency,
        )  # fmt: skip
        row = found[key]
        row["events"] += 1
        row["kept"] += event.kept
        row["unpriced"] += amount is None
        row["late"] += event.recorded_at > ended + timedelta(hours=1)
        row["amount"] = None if amount is None else row["amount"] + amount
        for bucket in BUCKETS:
            row[f"{bucket}_tokens"] += getattr(event, f"{bucket}_tokens") or 0
    return dict(found)


def cost(tokens: int | None, rate: Decimal | None) -> Decimal | None:
    """What a bucket costs."""
    if tokens == 0 or rate == 0:
        return Decimal(0)
    if tokens is None or rate is None:
        return None
    return (tokens * rate / 1_000_000).quantize(Decimal("1e-10"), rounding=ROUND_HALF_UP)


@pytest.fixture
def priced(db: None) -> Site:
    """A site where one endpoint has two prices in turn, one a price with gaps, one none."""
    site = make_site()
    change = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    for place, start, end, rates in (
        (0, datetime(2026, 1, 1, tzinfo=UTC), change, ("0.1234567891", "8", "0.5", "2.5")),
        (0, change, None, ("0.3", "0", "0.0000000001", "7")),
        (1, datetime(2026, 4, 1, tzinfo=UTC), None, ("15", "75", None, None)),
    ):
        given = {bucket: rate and Decimal(rate) for bucket, rate in zip(BUCKETS, rates, strict=True)}
        written(site, place, valid_from=start, valid_until=end, **given)
    return site


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zone=st.sampled_from(ZONES), sent=st.lists(batches, min_size=1, max_size=3), limit=st.integers(1, 40))
def test_every_sum_is_the_sum_of_its_events(
    priced: Site, zone: ZoneInfo, sent: list[tuple[datetime, list[dict[str, Any]]]], limit: int
) -> None:
    with transaction.atomic():
        for arrived, events in sent:
            receipt = priced.report([priced.event(**event) for event in events], arrived)
            assert receipt.accepted == len(events)
        while rollups.fold(zone=zone, limit=limit):
            pass

        found = {
            (row.day, row.workflow_id, row.step, row.endpoint_id, row.key_id, row.outcome, row.currency): {
                name: getattr(row, name) for name in SUMS
            }
            for row in Rollup.objects.all()
        }
        assert found == expected(zone)
        charged = sum((charge.amount for charge in Charge.objects.all() if charge.amount is not None), Decimal(0))
        assert charged == sum((row["amount"] for row in found.values() if row["amount"] is not None), Decimal(0))
        transaction.set_rollback(True)


def test_folds_side_by_side_share_the_work_and_count_each_event_once(live_database: LiveDatabase) -> None:
    site = make_site()
    site.price()
    events = [site.event(NOON + timedelta(minutes=minute), place=minute % 3) for minute in range(600)]
    site.report(events, NOON)
    start = threading.Barrier(4)

    def fold() -> int:
        start.wait(10)
        taken = 0
        while part := rollups.fold(zone=BERLIN, limit=23):
            taken += part
        return taken

    started = [in_another_thread(fold) for _ in range(4)]
    for thread, _ in started:
        thread.join(60)

    assert sum(results[0] for _, results in started) == 600
    assert Charge.objects.count() == 600
    assert (totals()["events"], totals()["unpriced"]) == (600, 400)
    assert totals()["amount"] == 200 * Decimal("0.006")
    assert not UsageQueue.objects.exists()


def test_a_fold_passes_over_rows_that_another_one_holds(live_database: LiveDatabase) -> None:
    site = make_site()
    site.report([site.event(NOON, place=place % 2, step=f"step {place}") for place in range(10)], NOON)

    with transaction.atomic():
        assert rollups.fold(zone=BERLIN, limit=4) == 4
        thread, results = in_another_thread(lambda: rollups.fold(zone=BERLIN))
        thread.join(20)
        assert results == [6]
        transaction.set_rollback(True)

    assert totals()["events"] == 6
    assert rollups.fold(zone=BERLIN) == 4
    assert totals()["events"] == 10


KILLED = """
import os, signal
from zoneinfo import ZoneInfo
import django
django.setup()
from django.db import transaction
from governance import audit
from ledger import rollups

with transaction.atomic():
    print(rollups.fold(zone=ZoneInfo("Europe/Berlin")), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_fold_that_is_killed_has_done_nothing_and_the_next_does_it(live_database: LiveDatabase) -> None:
    site = make_site()
    site.price()
    site.report([site.event(NOON) for _ in range(12)], NOON)

    assert run_killed(KILLED, live_database) == "12"

    assert (Charge.objects.count(), Rollup.objects.count(), UsageQueue.objects.count()) == (0, 0, 12)
    assert rollups.fold_all(zone=BERLIN) == 12
    assert totals()["amount"] == 12 * Decimal("0.006")


def test_a_session_ended_by_the_server_mid_fold_loses_nothing(live_database: LiveDatabase) -> None:
    site = make_site()
    site.report([site.event(NOON) for _ in range(5)], NOON)
    pid = threading.Event()
    backend: list[int] = []

    def fold_and_hold() -> None:
        with transaction.atomic():
            rollups.fold(zone=BERLIN)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                backend.extend(cursor.fetchone() or ())
                pid.set()
                cursor.execute("SELECT pg_sleep(30)")

    thread, results = in_another_thread(fold_and_hold)
    assert pid.wait(20)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", backend)
    thread.join(20)

    assert isinstance(results[0], Exception)
    assert (Charge.objects.count(), UsageQueue.objects.count()) == (0, 5)
    assert rollups.fold(zone=BERLIN) == 5
