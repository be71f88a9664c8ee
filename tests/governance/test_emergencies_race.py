"""Emergencies beside votes, activations and each other; sweepers at once, and one that dies."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from governance import audit, changes, emergencies, stops
from governance.models import AuditEvent, Change, Emergency, PolicyHead, User
from tests.cast import Cast, approve, make_cast, make_change, make_live
from tests.governance.test_changes_races import at_once, while_held
from tests.governance.test_emergencies_begin import begin


class Killed(BaseException):
    """The worker is gone, at the last statement of its transaction."""


def world() -> tuple[Cast, Change]:
    """Everybody, something live, and a change in review."""
    cast = make_cast()
    make_live(cast, 0.8)
    return cast, make_change(cast, 0.5)


def broken() -> tuple[Cast, Change, Emergency]:
    """The glass is broken."""
    cast, change = world()
    return cast, change, begin(change, cast.owner)


def breaks(change: Change, by: User) -> Any:
    """What breaks the glass."""
    return lambda: begin(change, by)


def ends(change: Change, by: User) -> Any:
    """What takes it back."""
    return lambda: emergencies.end(change=change, reason="Over", by=by)


def sweep(made: Emergency) -> Any:
    """What the sweeper does when the time is over; how many it took back."""
    return lambda: emergencies.end_due(now=made.until + timedelta(seconds=1))


def test_of_two_who_break_it_one_does(live_database: Any) -> None:
    cast, change = world()
    outcomes: list[Any] = at_once(breaks(change, cast.owner), breaks(change, cast.lead))
    assert sorted(type(each).__name__ for each in outcomes) == ["Emergency", "NotOpen"]
    assert AuditEvent.objects.filter(action="emergencies.begin").count() == 1


def test_an_activation_that_waits_for_it_is_stale(live_database: Any) -> None:
    cast, change = world()
    rival = approve(make_change(cast, 0.4), cast.owner)
    outcome = while_held(breaks(change, cast.owner), lambda: changes.activate(change=rival, by=cast.lead))
    assert isinstance(outcome, changes.StaleBase)
    assert PolicyHead.objects.get().change == change


def test_it_does_not_pass_an_activation_that_came_first(live_database: Any) -> None:
    cast, change = world()
    rival, late = approve(make_change(cast, 0.4), cast.owner), breaks(change, cast.owner)
    outcome = while_held(lambda: changes.activate(change=rival, by=cast.lead), late)
    assert isinstance(outcome, changes.NotOpen)
    assert not Emergency.objects.exists()


def test_an_objection_that_came_first_holds_it(live_database: Any) -> None:
    cast, change = world()
    said: dict[str, Any] = {"digest": change.revision.payload_digest, "reason": "No", "by": cast.second_lead}
    late = breaks(change, cast.owner)
    outcome = while_held(lambda: changes.vote(change=change, choice="request_changes", **said), late)
    assert isinstance(outcome, changes.NotApproved)
    assert not Emergency.objects.exists()


def test_of_two_sweepers_and_a_person_one_takes_it_back(live_database: Any) -> None:
    cast, change, made = broken()
    outcomes: list[Any] = at_once(sweep(made), sweep(made), ends(change, cast.lead))
    done = [each for each in outcomes if each == 1 or isinstance(each, Emergency)]
    assert len(done) == 1
    assert AuditEvent.objects.about(change).filter(action="emergencies.end").count() == 1
    assert PolicyHead.objects.get().change.reverts == Emergency.objects.get()


def test_votes_that_came_first_let_it_stay(live_database: Any) -> None:
    cast, _change, made = broken()
    same = approve(make_change(cast, 0.5), cast.lead)
    outcome: Any = while_held(lambda: changes.activate(change=same, by=cast.lead), sweep(made))
    assert outcome == 0
    assert PolicyHead.objects.get().change == same
    assert Emergency.objects.get().outcome == "replaced"


def test_a_worker_that_dies_leaves_it_to_the_next(live_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _cast, change, made = broken()
    with monkeypatch.context() as patch:

        def die(**_given: Any) -> None:
            raise Killed

        patch.setattr(audit, "record", die)
        with pytest.raises(Killed):
            sweep(made)()
    assert (Emergency.objects.get().outcome, PolicyHead.objects.get().change) == ("", change)
    assert sweep(made)() == 1
    assert PolicyHead.objects.get().change.reverts == made


def test_a_stop_does_not_keep_it_from_going_back(live_database: Any) -> None:
    cast, _change, made = broken()
    stops.begin(workflow=cast.workflow, reason="It harms", by=cast.lead)
    assert sweep(made)() == 1


def test_nothing_of_it_is_written_without_a_word_in_the_log(
    live_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast, change = world()
    monkeypatch.setattr(audit, "record", lambda **_given: None)
    with pytest.raises(IntegrityError, match="without an audit event"):
        begin(change, cast.owner, confirmed_at=timezone.now())
    assert not Emergency.objects.exists()
    assert PolicyHead.objects.get().change != change
