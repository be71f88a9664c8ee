"""The large tables: their columns are the models', and what is in them stays."""

import pytest
from django.db import DatabaseError, connection, models, transaction
from django.utils import timezone

from ledger import rollups
from ledger.models import Charge, Decision, UsageEvent
from tests.ledger.reports import BERLIN, make_site

pytestmark = pytest.mark.django_db

LARGE: list[type[models.Model]] = [UsageEvent, Decision, Charge]


@pytest.mark.parametrize("model", LARGE)
def test_columns_are_those_of_the_model(model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [model._meta.db_table],
        )
        columns = cursor.fetchall()

    assert sorted(columns) == sorted(
        (field.column, (field.db_type(connection) or "").replace(", ", ","), field.null)
        for field in model._meta.concrete_fields
    )


@pytest.mark.parametrize("model", LARGE)
def test_no_foreign_key_leads_in_or_out(model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND %s::regclass IN (conrelid, confrelid)",
            [model._meta.db_table],
        )
        assert cursor.fetchall() == []


@pytest.mark.parametrize("table", ["ledger_usageevent", "ledger_decision", "ledger_charge"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET recorded_at = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_application_changes_nothing(table: str, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("smallfirst_app",)
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            cursor.execute(statement.format(table))


def test_the_application_reaches_no_partition_by_its_name() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ANY(%s::regclass[])",
            [[model._meta.db_table for model in LARGE]],
        )
        partitions = [name for (name,) in cursor.fetchall()]
        assert len(partitions) == 3 * 6
        for partition in partitions:
            for statement in ("SELECT * FROM {}", "DELETE FROM {}"):
                with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                    cursor.execute(statement.format(partition))


def test_no_row_is_changed_or_deleted_by_its_model() -> None:
    site = make_site()
    site.report([site.event()])
    rollups.fold(zone=BERLIN)

    for model in (UsageEvent, Charge):
        row = model.objects.get()
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            row.delete()
        row.recorded_at = timezone.now()
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            row.save()
    assert UsageEvent.objects.count() == Charge.objects.count() == 1
