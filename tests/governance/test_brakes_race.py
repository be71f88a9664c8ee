"""Tries of one password at once: they count as those that come one after the other."""

from datetime import UTC, datetime
from typing import Any

from governance import brakes
from governance.brakes import FREE
from governance.models import AuditEvent, Brake
from tests.at_once import at_once
from tests.cast import make_cast
from tests.conftest import LiveDatabase

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HERE = "192.0.2.7"


def test_tries_at_once_are_no_more_than_one_after_the_other(live_database: LiveDatabase) -> None:
    cast = make_cast()

    def admitted() -> None:
        brakes.admit(account=cast.lead.email, address=HERE, now=NOW)

    results = at_once(*[admitted] * (2 * FREE))
    assert sorted(type(each).__name__ for each in results) == ["Braked"] * FREE + ["NoneType"] * FREE
    begun = at_once(*[lambda: brakes.failed(account=cast.lead.email, address=HERE, now=NOW)] * FREE)
    assert begun == [None] * FREE
    assert AuditEvent.objects.filter(action="brakes.begin").count() == 1


def test_two_that_end_in_different_ways_leave_one_count(live_database: LiveDatabase) -> None:
    for _each in range(2):
        brakes.admit(account="lead@example.com", address=HERE, now=NOW)
    given: dict[str, Any] = {"account": "lead@example.com", "address": HERE, "now": NOW}
    assert at_once(lambda: brakes.succeeded(**given), lambda: brakes.failed(**given)) == [None, None]
    assert {each.account != "": each.tries for each in Brake.objects.all()} == {True: 0, False: 1}
