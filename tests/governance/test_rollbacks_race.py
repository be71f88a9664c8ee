"""Roll-backs beside activations, beside each other, and cut off in the middle."""

from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from governance import audit, changes, rollbacks
from governance.models import AuditEvent, Change, PolicyHead, Rollback
from tests.cast import Cast, approve, make_cast, make_change, make_live
from tests.governance.test_changes_races import at_once, while_held


def act(cast: Cast, to: Change, seen: Any) -> Any:
    """Go back, from what was seen to be live."""
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production}
    said: dict[str, Any] = {"to": to.pk, "seen": seen, "reason": "Cases pile up", "confirmed_at": timezone.now()}
    return lambda: rollbacks.go_back(by=cast.lead, **place, **said)


def world() -> tuple[Cast, Change, PolicyHead]:
    """Everybody, the change to go back to, and what is live."""
    cast = make_cast()
    first = make_live(cast, 0.8).change
    return cast, first, make_live(cast, 0.6)


def test_a_roll_back_that_waits_for_an_activation_is_refused(live_database: Any) -> None:
    cast, first, head = world()
    change = approve(make_change(cast, 0.5), cast.owner)
    outcome = while_held(lambda: changes.activate(change=change, by=cast.lead), act(cast, first, head.version_id))
    assert isinstance(outcome, changes.StaleBase)
    assert PolicyHead.objects.get().change == change
    assert not Rollback.objects.exists()


def test_an_activation_that_waits_for_a_roll_back_is_stale(live_database: Any) -> None:
    cast, first, head = world()
    change = approve(make_change(cast, 0.5), cast.owner)
    outcome = while_held(act(cast, first, head.version_id), lambda: changes.activate(change=change, by=cast.lead))
    assert isinstance(outcome, changes.StaleBase)
    assert PolicyHead.objects.get().change.rollback.to == first
    assert Change.objects.get(pk=change.pk).state == "stale"


def test_of_two_at_once_one_goes_back(live_database: Any) -> None:
    cast, first, head = world()
    outcomes = at_once(*[act(cast, first, head.version_id)] * 3)
    assert sorted(type(each).__name__ for each in outcomes) == ["Change", "StaleBase", "StaleBase"]
    assert AuditEvent.objects.filter(action="rollbacks.go_back").count() == 1


def test_cut_off_before_its_entry_it_never_was(live_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cast, first, head = world()
    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", lambda **_given: None)
        with pytest.raises(IntegrityError, match="without an audit event"):
            act(cast, first, head.version_id)()
    assert PolicyHead.objects.get().change == head.change
    assert not Rollback.objects.exists()
