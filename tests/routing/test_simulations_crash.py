"""Simulations whose worker dies, and what races with them."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from governance import changes
from governance.models import Change, Check
from ledger.models import Decision
from routing import comparing, simulating, simulations, tallies
from routing.models import Simulation
from tests.at_once import at_once, while_held
from tests.cast import approve, make_cast, make_change, make_document, make_live
from tests.routing.asked import make_shop


@pytest.mark.django_db
def test_what_a_dead_worker_left_is_gone_on_with_and_comes_out_the_same(
    installation_keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop()
    for answers in ((0.9,), (0.6, 0.9), (0.6, 0.5, 0.3), (0.85,), (0.95,)):
        shop.ask(*answers)
    change, now = make_change(shop.cast, 0.7), timezone.now()
    made = simulations.begin(change=change, by=shop.cast.integrator, now=now)
    for name in ("AT_FIRST", "AT_ONCE"):
        monkeypatch.setattr(simulating, name, 2)
    job = simulating.take(now)
    assert job is not None
    compared = simulating.comparison(job.simulation)
    assert simulating.step(job, compared, now=now)
    assert simulating.step(job, compared, now=now)
    # Killed here, in the middle of the next requests; nobody else has it while the lease holds.
    assert simulating.take(now + timedelta(seconds=30)) is None

    later = now + simulating.LEASE
    again = simulating.take(later)
    assert again is not None
    assert (again.tally.n, again.after) == (4, Decision.objects.order_by("pk")[3].pk)
    # What comes back from the dead writes nothing any more.
    assert not simulating.step(job, compared, now=later)
    simulating.finish(job, now=later)
    made.refresh_from_db()
    assert (made.told, made.state) == (4, "running")
    while simulating.step(again, compared, now=later):
        pass
    made.refresh_from_db()
    assert (made.told, made.requests, made.state) == (5, 5, "done")

    whole = tallies.Tally()
    tallies.add(whole, compared.of(comparing.read(Decision.objects.order_by("pk"))))
    found = tallies.read(made.result)
    assert (found.steps, found.changed) == (whole.steps, whole.changed)


@pytest.mark.django_db
def test_one_that_gets_no_further_has_broken_off_and_can_be_begun_again() -> None:
    cast = make_cast()
    make_live(cast)
    change, now = make_change(cast, 0.7), timezone.now()
    made = simulations.begin(change=change, by=cast.integrator, now=now)
    for _ in range(simulating.MOST_TRIES):
        assert simulating.take(now) is not None
        now += simulating.LEASE
    assert simulating.take(now) is None
    made.refresh_from_db()
    assert (made.state, made.trouble) == ("failed", "It was taken up 5 times and got no further than 0 requests.")
    assert not simulating.work()
    simulations.begin(change=change, by=cast.integrator, now=now)
    assert simulating.work()
    assert Check.objects.count() == 1


def world() -> tuple[Any, Change, Simulation]:
    """A cast, a change, and its simulation with nothing left to tell."""
    cast = make_cast()
    make_live(cast)
    change = make_change(cast, 0.7)
    return cast, change, simulations.begin(change=change, by=cast.integrator, now=timezone.now())


def test_of_two_that_begin_one_does(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    change = make_change(cast, 0.7)
    outcomes = at_once(
        *[lambda: simulations.begin(change=change, by=cast.integrator, now=timezone.now())] * 2,
        lambda: simulations.begin_due(now=timezone.now()),
    )
    assert Simulation.objects.count() == 1
    assert sum(isinstance(each, Simulation) or each == 1 for each in outcomes) == 1


def test_two_workers_never_have_the_same(live_database: Any) -> None:
    world()
    taken = at_once(*[lambda: simulating.take(timezone.now())] * 3)
    assert [each is None for each in taken].count(False) == 1


def test_a_simulation_of_what_was_revised_meanwhile_is_no_check(live_database: Any) -> None:
    cast, change, made = world()
    job = simulating.take(timezone.now())
    assert job is not None

    _outcome, waited = while_held(
        lambda: changes.revise(change=change, document=make_document(0.6), by=cast.integrator),
        lambda: simulating.finish(job, now=timezone.now()),
    )

    assert waited
    made.refresh_from_db()
    assert made.state == "done"
    assert not Check.objects.exists()


def test_a_vote_that_waits_for_a_simulation_is_told_of_it(live_database: Any) -> None:
    cast, change, _made = world()
    job = simulating.take(timezone.now())
    assert job is not None

    outcome, waited = while_held(
        lambda: simulating.finish(job, now=timezone.now()), lambda: approve(change, cast.owner)
    )

    assert waited
    assert isinstance(outcome, changes.SimulationMoved)
    assert not change.revision.votes.exists()
