"""Web processes that issue at once: one serial each, in order, and no document twice."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from governance import changes
from governance.models import AuditEvent
from routing import bundles, snapshots, states
from routing.models import Bundle, Snapshot, StateFeed
from tests.at_once import at_once, while_held
from tests.cast import approve, make_cast, make_change, make_key, make_live
from tests.conftest import LiveDatabase

pytestmark = pytest.mark.usefixtures("installation_keys")


def test_many_who_find_a_change_issue_one_bundle(live_database: LiveDatabase) -> None:
    cast, now = make_cast(), timezone.now()
    make_live(cast)

    issued = at_once(*[lambda: bundles.current(cast.production, now=now)] * 6)

    (bundle,) = Bundle.objects.all()
    assert issued == [bundle] * 6
    assert Snapshot.objects.count() == AuditEvent.objects.filter(action="bundles.issue").count() == 1


def test_many_who_find_an_old_state_sign_one(live_database: LiveDatabase) -> None:
    cast, now = make_cast(), timezone.now()
    make_key(cast)
    first = states.issue(cast.production, now=now)
    later = now + timedelta(minutes=1)

    signed = at_once(*[lambda: states.current(cast.production, now=later).serial] * 6)

    assert set(signed) == {StateFeed.objects.get().serial}
    assert StateFeed.objects.get().serial > first.serial


def test_who_waited_with_an_older_clock_gets_the_newer_state(live_database: LiveDatabase) -> None:
    cast, now = make_cast(), timezone.now()
    states.issue(cast.production, now=now)
    later = now + timedelta(minutes=2)

    result, waited = while_held(
        lambda: states.issue(cast.production, now=later),
        lambda: states.issue(cast.production, now=later - timedelta(seconds=1)).serial,
    )

    assert waited
    assert result == StateFeed.objects.get().serial == int(later.timestamp())


def test_who_waited_for_another_issues_the_next_serial(live_database: LiveDatabase) -> None:
    """Both would issue: the second sees the first's serial, although it began before it was committed."""
    cast, now = make_cast(), timezone.now()
    make_live(cast)
    first = bundles.issue(cast.production, now=now)
    days = [now + timedelta(days=day) for day in (2, 4, 6)]

    issued = at_once(*[lambda day=day: bundles.issue(cast.production, now=day) for day in days])

    serials = [bundle.serial for bundle in issued if isinstance(bundle, Bundle)]
    assert len(serials) == 3
    kept = list(Bundle.objects.order_by("created_at", "serial").values_list("serial", flat=True))
    assert kept == sorted(kept)
    assert set(kept) == {first.serial, *serials}


def test_a_bundle_is_never_made_of_two_moments(live_database: LiveDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation that commits between two queries of the building is in the bundle whole, with its stamp."""
    cast, now = make_cast(), timezone.now()
    make_live(cast, 0.8)
    change = approve(make_change(cast, 0.6), cast.owner)
    real = snapshots._current_versions
    done: list[object] = []

    def activate_meanwhile() -> object:
        if not done:
            done.append(at_once(lambda: changes.activate(change=change, by=cast.lead)))
        return real()

    monkeypatch.setattr(snapshots, "_current_versions", activate_meanwhile)
    bundle = bundles.issue(cast.production, now=now)

    assert done
    assert '"number":2' in bundle.snapshot.text
    assert bundles.current(cast.production, now=now) == bundle


def test_issuing_does_not_hold_up_writes_that_refer_to_the_environment(live_database: LiveDatabase) -> None:
    cast, now = make_cast(), timezone.now()
    with transaction.atomic():
        bundles.issue(cast.production, now=now)
        (made,) = at_once(lambda: make_key(cast))
    assert not isinstance(made, Exception)
