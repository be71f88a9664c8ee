"""Simulations begun, cancelled and kept as checks; votes that name the one that was seen."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from governance import accounts, changes, checks, workflows
from governance.audit import Service
from governance.errors import InvalidInput
from governance.models import AuditEvent, Change, Check, PolicyHead, Vote
from routing import simulating, simulations, tallies
from routing.models import Simulation
from tests.cast import Cast, approve, make_cast, make_change, make_document, make_live
from tests.pages import signed_in, text
from tests.routing.simulating import simulate

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Kept from 0.8."""
    cast = make_cast()
    make_live(cast)
    return cast


def counts() -> list[int]:
    """How many rows there are of all that a simulation or a vote writes."""
    return [table._default_manager.count() for table in (Simulation, Check, Vote, AuditEvent)]


def vote(change: Change, cast: Cast, simulation: str, **given: Any) -> Change:
    """An approval by the owner, who saw this simulation."""
    digest = Change.objects.get(pk=change.pk).revision.payload_digest
    facts: dict[str, Any] = {"digest": digest, "choice": "approve", "reason": "", "by": cast.owner}
    return changes.vote(change=change, simulation=simulation, **(facts | given))


def test_what_was_found_is_kept_whole_and_becomes_a_check(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    made = simulate(change)

    result = tallies.read(made.result)
    assert result.text() == made.result
    assert (result.revision, result.payload_digest) == (str(change.revision.pk), change.revision.payload_digest)
    assert (result.base.number, result.candidate.number, result.snapshot) == (1, 2, made.snapshot_id)
    check = Check.objects.get()
    assert (check.revision, check.digest, check.base) == (change.revision, made.digest, change.revision.base_version)
    standing = checks.standing(change, "simulation")
    assert (standing.state, standing.digest, standing.why_not(1)) == ("fresh", made.digest, "")
    said = [event.action for event in AuditEvent.objects.order_by("id")][-3:]
    assert said == ["simulations.begin", "simulations.finish", "checks.record"]


@pytest.mark.parametrize("role", ["owner", "lead", "integrator"])
def test_who_proposes_or_votes_simulates(cast: Cast, role: str) -> None:
    change = make_change(cast, 0.7)
    made = simulations.begin(change=change, by=cast.people[role], now=timezone.now())
    assert (made.started_by, made.revision) == (cast.people[role], change.revision)


@pytest.mark.parametrize("role", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_nobody_else_does(cast: Cast, role: str) -> None:
    change = make_change(cast, 0.7)
    before = counts()
    with pytest.raises(accounts.NotPermitted):
        simulations.begin(change=change, by=cast.people[role], now=timezone.now())
    assert counts() == before
    made = simulations.begin(change=change, by=cast.owner, now=timezone.now())
    with pytest.raises(accounts.NotPermitted):
        simulations.cancel(simulation=made, by=cast.people[role], now=timezone.now())
    made.refresh_from_db()
    assert made.is_active


@pytest.mark.parametrize("days", [0, -1, 91])
def test_days_have_bounds(cast: Cast, days: int) -> None:
    change = make_change(cast, 0.7)
    before = counts()
    with pytest.raises(InvalidInput, match="choose 1 to 90"):
        simulations.begin(change=change, by=cast.owner, now=timezone.now(), days=days)
    assert counts() == before


def test_only_a_present_form_of_an_open_change_is_simulated(cast: Cast) -> None:
    first = Change.objects.get(revision__base_version=None)
    change, other = make_change(cast, 0.7), make_change(cast, 0.6)
    now = timezone.now()
    changes.activate(change=approve(other, cast.owner), by=cast.lead)
    before = counts()
    for each, error, said in (
        (first, simulations.NothingToCompare, "Nothing was live"),
        (other, simulations.NotPresent, "is applied"),
        (change, simulations.NotPresent, "Revise it first"),
    ):
        with pytest.raises(error, match=said):
            simulations.begin(change=each, by=cast.owner, now=now)
    assert counts() == before


def test_a_retired_workflow_has_nothing_to_compare(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    workflows.retire(workflow=cast.workflow, reason="over", by=cast.owner)
    with pytest.raises(simulations.NothingToCompare, match="is retired"):
        simulations.begin(change=change, by=cast.owner, now=timezone.now())


def test_one_goes_on_at_a_time_and_is_cancelled(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    made = simulations.begin(change=change, by=cast.owner, now=timezone.now())
    with pytest.raises(simulations.AlreadyRunning):
        simulations.begin(change=change, by=cast.lead, now=timezone.now())
    simulations.cancel(simulation=made, by=cast.integrator, now=timezone.now())
    with pytest.raises(simulations.AlreadyEnded):
        simulations.cancel(simulation=made, by=cast.integrator, now=timezone.now())
    assert not simulating.work()
    assert not Check.objects.exists()
    assert simulate(change).state == "done"


def test_open_changes_are_simulated_by_themselves_once(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    assert simulating.work()
    made = Simulation.objects.get()
    assert (made.revision, made.started_by, made.state) == (change.revision, None, "done")
    assert not simulating.work()
    changes.revise(change=change, document=make_document(0.6), by=cast.integrator)
    assert simulating.work()
    assert checks.standing(change, "simulation").number == 2
    changes.withdraw(change=change, by=cast.integrator)
    assert not simulating.work()


def test_a_vote_keeps_the_simulation_that_was_seen(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    made = simulate(change)
    vote(change, cast, made.digest)
    assert Vote.objects.filter(revision=change.revision).get().simulation == Check.objects.get()
    entry = AuditEvent.objects.filter(action="changes.vote").latest("id")
    assert (entry.after or {})["simulation"] == made.digest


def test_a_vote_on_another_simulation_is_not_taken(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    before = counts()
    with pytest.raises(changes.SimulationMoved):
        vote(change, cast, "a" * 64)
    assert counts() == before
    simulate(change)
    before = counts()
    for seen in ("", "a" * 64):
        with pytest.raises(changes.SimulationMoved, match="that you have not seen"):
            vote(change, cast, seen)
    assert counts() == before


def test_the_page_keeps_what_was_written_when_another_simulation_came_in(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    page = signed_in(cast.owner)
    assert 'name="simulation" value=""' in page.get(reverse("change", args=[change.pk])).content.decode()
    made = simulate(change)
    sent = {"digest": change.revision.payload_digest, "simulation": "", "choice": "approve", "reason": "Saves a lot"}
    answer = page.post(reverse("change_vote", args=[change.pk]), sent)
    assert answer.status_code == 422
    assert "A simulation of change" in text(answer)
    assert "Saves a lot" in text(answer)
    assert f'name="simulation" value="{made.digest}"' in answer.content.decode()
    assert page.post(reverse("change_vote", args=[change.pk]), sent | {"simulation": made.digest}).status_code == 302
    assert PolicyHead.objects.get().change == change


def test_no_newer_one_while_votes_stand_on_one_that_holds(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    made = simulate(change)
    vote(change, cast, made.digest, choice="abstain")
    with pytest.raises(simulations.VotedOn):
        simulations.begin(change=change, by=cast.integrator, now=timezone.now())


def test_it_is_old_after_a_week(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    kept: dict[str, Any] = {"revision": change.revision, "kind": "simulation", "verdict": "passed"}
    base, begun = change.revision.base_version, timezone.now()
    until = begun + timedelta(seconds=1)
    checks.record(digest="b" * 64, base=base, valid_until=until, by=simulations.SERVICE, **kept)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1.05)")
    standing = checks.standing(change, "simulation")
    assert standing.state == "old"
    assert "is too old by now" in standing.why_not(1)
    simulate(change)
    assert checks.standing(change, "simulation").state == "fresh"
    assert Check.objects.latest("number").valid_until > begun + simulations.HOLDS


def test_checks_are_written_by_what_finds_out_never_by_hand(cast: Cast) -> None:
    change = make_change(cast, 0.7)
    kept: dict[str, Any] = {
        "revision": change.revision,
        "kind": "simulation",
        "digest": "b" * 64,
        "verdict": "passed",
        "base": change.revision.base_version,
        "valid_until": timezone.now() + timedelta(days=1),
    }
    before = counts()
    for by in (cast.lead, cast.admin, Service("bootstrap")):
        with pytest.raises(accounts.NotPermitted):
            checks.record(by=by, **kept)
    for wrong in ({"base": None}, {"kind": "guess"}, {"digest": "b"}, {"verdict": "maybe"}):
        with pytest.raises(InvalidInput):
            checks.record(by=simulations.SERVICE, **(kept | wrong))
    old = change.revision
    changes.revise(change=change, document=make_document(0.6), by=cast.integrator)
    with pytest.raises(InvalidInput, match="has another content by now"):
        checks.record(by=simulations.SERVICE, **(kept | {"revision": old}))
    assert counts()[1] == before[1]


@pytest.mark.parametrize("seen", ["nothing", "an earlier one"])
def test_the_database_takes_no_vote_that_names_another_simulation(cast: Cast, seen: str) -> None:
    change = make_change(cast, 0.7)
    simulate(change)
    first = Check.objects.get()
    simulate(change)
    row = Vote(
        revision=change.revision,
        digest=change.revision.payload_digest,
        voter=cast.owner,
        number=1,
        choice="approve",
        simulation=None if seen == "nothing" else first,
    )
    with pytest.raises(IntegrityError, match="names the newest simulation"), transaction.atomic():
        row.save(force_insert=True)


def test_what_was_found_never_changes(cast: Cast) -> None:
    made = simulate(make_change(cast, 0.7))
    others: list[dict[str, Any]] = [{"result": "{}"}, {"digest": "a" * 64}, {"state": "failed"}, {"document": {}}]
    for values in others:
        with pytest.raises(IntegrityError), transaction.atomic():
            Simulation.objects.filter(pk=made.pk).update(**values)
    with pytest.raises(IntegrityError), transaction.atomic():
        Check.objects.update(digest="a" * 64)
