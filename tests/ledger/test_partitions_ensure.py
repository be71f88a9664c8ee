"""Partitions: made ahead, and made later for rows that came first."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from ledger import partitions, rollups, tasks
from ledger.models import Charge, UsageEvent
from tests.conftest import LiveDatabase
from tests.ledger.reports import BERLIN, make_site


def place_of(event_id: str) -> str:
    """The partition an event is in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM ledger_usageevent WHERE id = %s", [event_id])
        (place,) = cursor.fetchone() or ("",)
        return str(place)


@pytest.mark.django_db
def test_months_ahead_are_made_once() -> None:
    made = partitions.ensure(first=date(2071, 11, 17), last=date(2072, 1, 1))

    assert made == [
        f"ledger_{table}_{month}"
        for table in ("usageevent", "decision", "charge")
        for month in ("2071_11", "2071_12", "2072_01")
    ]
    assert partitions.ensure(first=date(2071, 11, 1), last=date(2072, 1, 31)) == []


@pytest.mark.django_db
def test_the_daily_task_finds_all_made_that_the_migration_made() -> None:
    tasks.ensure_partitions()

    assert partitions.ensure_ahead(today=timezone.now().astimezone(UTC).date()) == []
    assert partitions.ensure_ahead(today=date(2080, 12, 5), months=2)[:3] == [
        "ledger_usageevent_2080_12",
        "ledger_usageevent_2081_01",
        "ledger_usageevent_2081_02",
    ]


@pytest.mark.django_db
def test_an_event_finds_the_partition_of_the_month_its_key_was_made_in() -> None:
    site = make_site()
    partitions.ensure(first=date(2071, 11, 1), last=date(2071, 12, 1))
    last = datetime(2071, 11, 30, 23, 59, 59, 999_000, tzinfo=UTC)
    events = [
        site.event(last),
        site.event(last + timedelta(milliseconds=1)),
        site.event(datetime(2090, 1, 1, tzinfo=UTC)),
    ]

    assert site.report(events).accepted == 3

    places = [place_of(event["id"]) for event in events]
    assert places == ["ledger_usageevent_2071_11", "ledger_usageevent_2071_12", "ledger_usageevent_default"]


@pytest.mark.django_db
def test_rows_that_came_before_their_partition_move_into_it_and_stay_guarded() -> None:
    site = make_site()
    site.price()
    early = [site.event(datetime(2071, 11, day, tzinfo=UTC)) for day in (1, 15)]
    other = site.event(datetime(2071, 12, 1, tzinfo=UTC))
    site.report([*early, other])
    rollups.fold(zone=BERLIN)
    before = list(UsageEvent.objects.order_by("id").values()), list(Charge.objects.order_by("id").values())
    assert {place_of(event["id"]) for event in early} == {"ledger_usageevent_default"}

    partitions.ensure(first=date(2071, 11, 1), last=date(2071, 11, 1))

    assert {place_of(event["id"]) for event in early} == {"ledger_usageevent_2071_11"}
    assert place_of(other["id"]) == "ledger_usageevent_default"
    assert (list(UsageEvent.objects.order_by("id").values()), list(Charge.objects.order_by("id").values())) == before
    assert site.report([*early, other]).repeated == 3
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'pgtrigger_append_only%%'"
            " AND tgrelid IN ('ledger_usageevent_default'::regclass, 'ledger_usageevent_2071_11'::regclass)"
        )
        assert len(cursor.fetchall()) == 2


@pytest.mark.django_db
def test_more_than_ten_years_are_refused() -> None:
    with pytest.raises(DatabaseError, match="ten years"), transaction.atomic():
        partitions.ensure(first=date(2071, 1, 1), last=date(2082, 1, 1))


def test_not_even_their_owner_changes_rows_in_old_or_new_partitions(live_database: LiveDatabase) -> None:
    site = make_site()
    site.report(
        [site.event(), site.event(datetime(2071, 11, 5, tzinfo=UTC)), site.event(datetime(2090, 1, 1, tzinfo=UTC))]
    )
    partitions.ensure(first=date(2071, 11, 1), last=date(2071, 11, 1))

    with psycopg.connect(live_database.migrator_url, autocommit=True) as owner:
        for statement in ("UPDATE ledger_usageevent SET kept = false", "DELETE FROM ledger_usageevent_default"):
            with pytest.raises(psycopg.errors.CheckViolation, match="never changed"):
                owner.execute(statement)
        with pytest.raises(psycopg.errors.CheckViolation, match="never deleted"):
            owner.execute("TRUNCATE ledger_usageevent")
    assert UsageEvent.objects.filter(kept=True).count() == 3
