"""Appointments that are kept while somebody acts on the change, twice at once, or by a worker that dies."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from governance import appointments, audit, changes
from governance.models import Appointment, AuditEvent, Change, PolicyHead
from tests.cast import Cast, approve, make_cast, make_change
from tests.governance.test_changes_races import at_once, while_held


class Killed(BaseException):
    """The worker is gone, at the last statement of its transaction."""


def appointed(cast: Cast) -> tuple[Change, datetime]:
    """An approved change that waits for its moment, and that moment."""
    change = approve(make_change(cast), cast.owner)
    at = timezone.now() + timedelta(hours=1)
    appointments.appoint(change=change, digest=change.revision.payload_digest, at=at, by=cast.lead)
    return change, at


def sweep(at: datetime) -> Any:
    """What the sweeper does at that moment; how many it kept or suspended."""
    return lambda: appointments.keep_due(now=at)


def test_of_two_sweepers_one_keeps_it(live_database: Any) -> None:
    _change, at = appointed(make_cast())
    outcomes: list[Any] = at_once(*[sweep(at)] * 3)
    assert sorted(outcomes) == [0, 0, 1]
    assert AuditEvent.objects.filter(action="changes.activate").count() == 1
    assert Appointment.objects.get().state == "kept"


def test_a_withdrawal_that_came_first_leaves_nothing_to_keep(live_database: Any) -> None:
    change, at = appointed(make_cast())
    outcome: Any = while_held(
        lambda: changes.withdraw(change=change, by=change.proposed_by),
        sweep(at),
    )
    assert outcome == 0
    assert not PolicyHead.objects.exists()
    assert Appointment.objects.get().state == "cancelled"


def test_a_withdrawal_that_waits_for_the_moment_comes_too_late(live_database: Any) -> None:
    change, at = appointed(make_cast())
    outcome = while_held(
        sweep(at),
        lambda: changes.withdraw(change=change, by=change.proposed_by),
    )
    assert isinstance(outcome, changes.NotOpen)
    assert PolicyHead.objects.get().change == change


def test_an_objection_that_came_first_suspends_it(live_database: Any) -> None:
    cast = make_cast()
    change, at = appointed(cast)
    said: dict[str, Any] = {"digest": change.revision.payload_digest, "reason": "Too low", "by": cast.second_lead}
    outcome: Any = while_held(
        lambda: changes.vote(change=change, choice="request_changes", **said),
        sweep(at),
    )
    assert outcome == 1
    assert not PolicyHead.objects.exists()
    assert "1 against" in Appointment.objects.get().why


def test_a_worker_that_dies_leaves_it_waiting_for_the_next(live_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change, at = appointed(make_cast())
    with monkeypatch.context() as patch:

        def die(**_given: Any) -> None:
            raise Killed

        patch.setattr(audit, "record", die)
        with pytest.raises(Killed):
            appointments.keep_due(now=at)
    assert (Appointment.objects.get().state, Change.objects.get().state) == ("waiting", "approved")
    assert not PolicyHead.objects.exists()
    assert appointments.keep_due(now=at) == 1
    assert PolicyHead.objects.get().change == change


def test_nothing_of_it_is_written_without_a_word_in_the_log(live_database: Any) -> None:
    appointed(make_cast())
    with pytest.raises(IntegrityError, match="without an audit event"):
        Appointment.objects.update(state="cancelled", ended_at=timezone.now())
    assert Appointment.objects.get().state == "waiting"
