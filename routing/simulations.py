"""Simulations: what a change, or any other policy, would have done with the requests of the last days.

They are worked on in the background (routing.simulating) and kept. One of a change becomes a check of its revision, by
whose digest people vote. A verb locks the workflow, the head and the change, then the simulation. See
docs/decisions/0022-kept-simulations.md.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from governance import audit, canonical, checks, policies
from governance.accounts import require
from governance.audit import Actor, Service
from governance.change_records import lock, lock_policy
from governance.errors import GovernanceError, InvalidInput, store
from governance.models import ApiKey, Change, Check, Environment, Mode, PolicyHead, Revision, User, Vote, Workflow
from ledger.models import Decision
from ledger.models.decisions import DecisionQuerySet
from routing import comparing, snapshots
from routing.models import Simulation, Snapshot
from smallfirst.engine import PolicyError, SnapshotDocument, SnapshotError

SERVICE = Service("simulations")
DAYS = 28
MOST_DAYS = 90
# For how long people may go by what was found: the past moves on.
HOLDS = timedelta(days=7)


class SimulationError(GovernanceError):
    """A verb on simulations refused."""


class NothingToCompare(SimulationError):
    """Nothing is live in that place, or nothing was as the change was written."""


class NotPresent(SimulationError):
    """The change has ended, or another version is live than the one it starts from."""


class AlreadyRunning(SimulationError):
    """This is being simulated already."""


class VotedOn(SimulationError):
    """People have voted by the simulation that is there, and it still holds."""


class AlreadyEnded(SimulationError):
    """The simulation has ended."""


@transaction.atomic
def begin(*, change: Change, by: Actor, now: datetime, days: int = DAYS) -> Simulation:
    """Simulate the present revision of an open change on the requests of so many days before now.

    Raises NotPermitted, NothingToCompare, NotPresent, AlreadyRunning, VotedOn while votes stand on one that holds (a
    newer one would ask those people again), and InvalidInput for a number of days that is none.
    """
    change, head = lock(change)
    require(by, "simulations.run", change)
    revision = change.revision
    base = revision.base_version
    if change.workflow is None or change.environment is None or base is None:
        raise NothingToCompare("Nothing was live there when this was written: there are no requests to decide again.")
    if change.state not in Change.OPEN:
        raise NotPresent(
            f"Change {change.number} is {change.get_state_display().lower()}: only open ones are simulated."
        )
    if not isinstance(head, PolicyHead) or head.version_id != base.pk:
        raise NotPresent(f"Another version is live than change {change.number} starts from. Revise it first.")
    if Simulation.objects.active().filter(revision=revision).exists():
        raise AlreadyRunning("This revision is being simulated already.")
    stands = checks.standing(change, Check.Kind.SIMULATION)
    if stands.state == "fresh" and Vote.objects.filter(revision=revision, simulation=stands.id).exists():
        raise VotedOn(
            f"People have voted on change {change.number} by the simulation that is there, and it holds: "
            "another one would ask them again."
        )
    made = _written(
        head, revision=revision, document=revision.policy.document, mode=revision.mode, days=days, by=by, now=now
    )
    audit.record(
        action="simulations.begin",
        actor=by,
        object=made,
        summary=f"Began to simulate change {change.number}, revision {revision.number}, on {days} days",
        after={"change": change.number, "revision": revision.number, **_facts(made)},
    )
    return made


@transaction.atomic
def ask(
    *,
    workflow: Workflow,
    environment: Environment,
    document: Mapping[str, Any],
    mode: str,
    by: User,
    now: datetime,
    days: int = DAYS,
) -> Simulation:
    """Ask what another policy would have done than the one that is live in a place; it is nobody's change.

    Raises NotPermitted, InvalidPolicy, NothingToCompare, AlreadyRunning while one of this person's is going on there,
    and InvalidInput for a number of days or a mode that is none.
    """
    workflow, head = lock_policy(workflow.pk, environment.pk)
    require(by, "simulations.run", workflow, environment=environment)
    if head is None:
        raise NothingToCompare(
            f"Nothing of {workflow.name} is live in {environment.name}: nothing is there to compare."
        )
    full = policies.check(document, workflow=workflow, environment=environment)
    if mode not in Mode.values:
        raise InvalidInput(f"mode: choose {' or '.join(Mode.values)}", field="mode")
    if Simulation.objects.active().filter(revision=None, workflow=workflow, started_by=by).exists():
        raise AlreadyRunning(f"A simulation of yours of {workflow.name} is going on: wait for its end, or cancel it.")
    made = _written(head, revision=None, document=full, mode=mode, days=days, by=by, now=now)
    audit.record(
        action="simulations.ask",
        actor=by,
        object=made,
        summary=f"Asked what {told_of(made)} would have done on {days} days",
        after={"document": canonical.digest(full), "mode": mode, **_facts(made)},
    )
    return made


@transaction.atomic
def cancel(*, simulation: Simulation, by: User, now: datetime) -> Simulation:
    """Stop a simulation; nothing is found. Raises NotPermitted and AlreadyEnded."""
    held = locked(simulation)
    require(by, "simulations.run", held.workflow, environment=held.environment)
    if not held.is_active:
        raise AlreadyEnded(f"This simulation has ended already: {held.get_state_display().lower()}.")
    held.ended_by = by
    end(held, Simulation.State.CANCELLED, actor=by, now=now, summary=f"Cancelled the simulation of {told_of(held)}")
    return held


def begin_due(*, now: datetime) -> int:
    """Begin to simulate the open changes whose present revision nobody has simulated yet; return how many.

    One that cannot be simulated, because nothing is live there any more, is left alone. For the sweeper.
    """
    begun = 0
    for change in list(_unsimulated()):
        try:
            begin(change=change, by=SERVICE, now=now)
        except SimulationError:
            continue
        begun += 1
    return begun


def locked(simulation: Simulation) -> Simulation:
    """Lock the row alone, then read it with its relations."""
    Simulation.objects.select_for_update(no_key=True).get(pk=simulation.pk)
    return Simulation.objects.for_list().get(pk=simulation.pk)


def end(held: Simulation, state: str, *, actor: Actor, now: datetime, summary: str, trouble: str = "") -> None:
    """End a locked simulation that found nothing."""
    held.state, held.ended_at, held.trouble = Simulation.State(state), now, trouble
    held.token, held.leased_until = None, None
    held.save(update_fields=["state", "ended_at", "ended_by", "trouble", "token", "leased_until"])
    audit.record(
        action="simulations.cancel" if state == Simulation.State.CANCELLED else "simulations.fail",
        actor=actor,
        object=held,
        summary=summary,
        before={"ended_at": None},
        after={"state": held.state, "ended_at": now, "told": held.told},
        reason=trouble,
    )


def told_of(simulation: Simulation) -> str:
    """What a simulation is of, as part of a sentence."""
    if simulation.revision is not None:
        return f"change {simulation.revision.change.number}, revision {simulation.revision.number}"
    return f"another policy for {simulation.workflow.name} in {simulation.environment.name}"


def requests_of(workflow: Workflow, environment: Environment, *, since: datetime, until: datetime) -> DecisionQuerySet:
    """The requests that applications sent in a time; trials and measurements are none of them."""
    found = Decision.objects.filter(workflow=workflow, environment=environment, key__in=keys_of(workflow))
    return found.since(since).before(until)


def keys_of(workflow: Workflow) -> QuerySet[ApiKey]:
    """The keys by which applications ask."""
    return ApiKey.objects.filter(workflow=workflow, purpose=ApiKey.Purpose.APPLICATION)


def why_stale(found: Simulation, *, now: datetime) -> str:
    """Say why what a simulation found no longer tells what would be now, and what to do; empty where it does.

    What is of a change that has ended is a record of then, and stays as it is. Two queries at most.
    """
    if found.state != Simulation.State.DONE or found.ended_at is None:
        return ""
    change = found.revision.change if found.revision is not None else None
    if change is not None and change.state not in Change.OPEN:
        return ""
    if change is not None and change.revision_id != found.revision_id:
        return f"It is of an earlier revision of change {change.number}: simulate the present one."
    again = "revise the change, then simulate it anew" if change is not None else "ask again"
    live = PolicyHead.objects.filter(workflow=found.workflow_id, environment=found.environment_id)
    head = live.select_related("version").first()
    if head is None:
        return f"Nothing of {found.workflow.name} is live in {found.environment.name} any more."
    if head.version_id != found.base_version_id:
        return (
            f"Version {head.version.number} is live in {found.environment.name} by now, and this compares with "
            f"version {found.base_version.number}: {again}."
        )
    if head.mode != found.base_mode:
        return f"What is live has changed since from {found.base_mode} to {head.mode}: {again}."
    held_until = found.ended_at + HOLDS
    if held_until <= now:
        again = "simulate it anew" if change is not None else again
        said = f"{held_until.astimezone(UTC):%-d %B %Y %H:%M} UTC"
        return f"It held until {said}; the requests since {_day(found.until)} are not in it: {again}."
    return ""


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B}"


def _unsimulated() -> "Any":
    of_revision = Simulation.objects.filter(revision=OuterRef("revision"))
    head = PolicyHead.objects.filter(
        workflow=OuterRef("workflow"), environment=OuterRef("environment"), version=OuterRef("revision__base_version")
    )
    open_ones = Change.objects.open().filter(kind=Change.Kind.POLICY, workflow__retired_at=None)
    return open_ones.filter(~Exists(of_revision), Exists(head)).select_related("revision").order_by("number")


def _written(
    head: PolicyHead,
    *,
    revision: Revision | None,
    document: Mapping[str, Any],
    mode: str,
    days: int,
    by: Actor,
    now: datetime,
) -> Simulation:
    """Write a simulation of a policy beside what is live in a place. Raises NothingToCompare, InvalidInput."""
    workflow, environment = head.workflow, head.environment
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"days: choose 1 to {MOST_DAYS}", field="days")
    try:
        content = snapshots.make(environment, now=now)
        register = msgspec.json.decode(content.text, type=SnapshotDocument)
        for each, how in ((head.version.document, head.mode), (document, mode)):
            if comparing.under(register, workflow.pk, each, how) is None:
                raise NothingToCompare(f"{workflow.name} is retired: there is nothing to decide its requests by.")
    except (PolicyError, SnapshotError) as error:
        raise NothingToCompare(f"What is live in {environment} cannot be read: {error}.") from error
    snapshot, _ = Snapshot.objects.get_or_create(digest=content.digest, defaults={"text": content.text})
    since = now - timedelta(days=days)
    return store(
        Simulation(
            workflow=workflow,
            environment=environment,
            revision=revision,
            base_version=head.version,
            base_mode=head.mode,
            document=dict(document),
            mode=mode,
            snapshot=snapshot,
            days=days,
            since=since,
            until=now,
            requests=requests_of(workflow, environment, since=since, until=now).count(),
            started_by=by if isinstance(by, User) else None,
        )
    )


def _facts(made: Simulation) -> dict[str, Any]:
    return {
        "days": made.days,
        "base": made.base_version.number,
        "snapshot": made.snapshot_id,
        "requests": made.requests,
    }
