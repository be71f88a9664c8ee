"""What every other test relies on: the application's role, rollback between tests, and databases of one's own."""

import threading

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connection, transaction

from tests.conftest import LiveDatabase


def whoami() -> tuple[str, str]:
    """The role and database of Django's connection in this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        role, database = cursor.fetchone()
        return role, database


@pytest.mark.django_db
def test_tests_run_as_the_application() -> None:
    """Not as a superuser, nor as the owner of the tables."""
    assert whoami() == ("smallfirst_app", "smallfirst_test")


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ["CREATE TABLE mine (id int)", "TRUNCATE django_session"])
def test_the_database_refuses_what_production_refuses(statement: str) -> None:
    """The role's rights are really in force."""
    with pytest.raises(DatabaseError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db
@pytest.mark.parametrize("turn", [1, 2])
def test_rows_are_rolled_back_between_tests(turn: int) -> None:
    """Each turn finds none of the other's."""
    assert not ContentType.objects.filter(app_label="turn").exists()
    ContentType.objects.create(app_label="turn", model=str(turn))


def test_live_database_commits(live_database: LiveDatabase) -> None:
    """Another thread and another connection see the row, and roles are as everywhere."""
    with transaction.atomic():
        ContentType.objects.create(app_label="live", model="row")
    seen: list[object] = []

    def look() -> None:
        seen.extend([whoami(), ContentType.objects.filter(app_label="live").count()])
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [("smallfirst_app", live_database.name), 1]
    with psycopg.connect(live_database.url) as outside:
        counted = outside.execute("SELECT count(*) FROM django_content_type WHERE app_label = 'live'").fetchone()
    assert counted == (1,)


def test_live_database_is_fresh_each_time(live_database: LiveDatabase) -> None:
    """Nothing of the test before, and the default connection points at this one."""
    assert whoami()[1] == live_database.name
    assert not ContentType.objects.filter(app_label="live").exists()


@pytest.mark.django_db
def test_transactions_come_back_after_a_live_database() -> None:
    """The default connection points at the common test database again."""
    assert whoami()[1] == "smallfirst_test"
