"""Works on simulations, some requests at a time, and writes down what they add up to so far after each.

Whoever works holds a simulation by a lease that each step renews; after kill -9 it runs out and another goes on after
the last request that was written down. One that is taken again and again and gets no further has broken off.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from governance import audit, canonical, checks
from governance.models import Change, Check
from ledger.models import Decision
from routing import comparing, endings, evaluations, replays, simulations, tallies
from routing.comparing import Asked, Comparison
from routing.models import Simulation
from routing.pasts import Reader
from routing.replays import Replay
from routing.tallies import Policy, Quality, Result, Right, Tally
from smallfirst.engine import PolicyError, SnapshotDocument, SnapshotError

State = Simulation.State

LEASE = timedelta(seconds=60)
# A worker does not give itself to one simulation for long: others' tasks wait behind it.
BUDGET_SECONDS = 30.0
# So many requests are told at once; fewer first, so that the next are fetched the sooner beside them.
AT_FIRST, AT_ONCE = 20_000, 100_000
MOST_TRIES = 5


@dataclass
class Job:
    """A simulation in hand, by whom, and what it adds up to so far."""

    simulation: Simulation
    token: UUID
    tally: Tally
    after: UUID | None
    reader: Reader


def work() -> bool:
    """Take the next simulation and work on it; whether to come again at once. Begins those of new changes first."""
    now = timezone.now()
    simulations.begin_due(now=now)
    job = take(now)
    if job is None:
        return False
    try:
        compared = comparison(job.simulation)
    except (PolicyError, SnapshotError) as error:
        fail(job, f"What is compared cannot be read: {error}.", now=timezone.now())
        return True
    began = time.monotonic()
    try:
        while step(job, compared, now=timezone.now()):
            if time.monotonic() - began > BUDGET_SECONDS:
                release(job)
                return True
    finally:
        job.reader.close()
    return True


@transaction.atomic
def take(now: datetime) -> Job | None:
    """Lease the simulation that waits longest; None without one that nobody has in hand."""
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    waiting = Simulation.objects.active().filter(free).order_by("created_at", "id")
    found = waiting.select_for_update(skip_locked=True, no_key=True).first()
    if found is None:
        return None
    if found.tries >= MOST_TRIES:
        _broken(found, f"It was taken up {found.tries} times and got no further than {found.told} requests.", now)
        return None
    found.token, found.leased_until, found.tries = uuid4(), now + LEASE, found.tries + 1
    if found.state == State.QUEUED:
        found.state, found.started_at = State.RUNNING, now
    found.save(update_fields=["token", "leased_until", "tries", "state", "started_at"])
    held = Simulation.objects.select_related("workflow", "environment", "base_version", "snapshot").get(pk=found.pk)
    keys = list(simulations.keys_of(held.workflow).values_list("pk", flat=True))
    reader = Reader(held.workflow_id, held.environment_id, keys, held.since, held.until)
    return Job(held, found.token, tallies.load(held.so_far), held.after, reader)


def step(job: Job, compared: Comparison, *, now: datetime) -> bool:
    """Tell the next requests and write down what there is; with the last of them the simulation is done.

    Whether there are more. False also where somebody else has it by now, or it was cancelled.
    """
    piece = job.reader.read(job.after, AT_ONCE if job.after else AT_FIRST, then=AT_ONCE)
    if piece is None:
        finish(job, now=now)
        return False
    if piece.odd:
        tallies.add(job.tally, compared.of(_rows(piece.odd)))
    if piece.pasts is not None and len(piece.pasts):
        changed = endings.add(job.tally, piece.pasts, compared)
        tallies.note(job.tally, compared.of(_rows(changed)))
    job.after = piece.upto
    mine = Simulation.objects.active().filter(pk=job.simulation.pk, token=job.token)
    kept: dict[str, Any] = {"after": job.after, "so_far": tallies.dump(job.tally), "told": job.tally.n}
    return bool(mine.update(leased_until=now + LEASE, tries=0, **kept))


def _rows(keys: Sequence[UUID]) -> list[Asked]:
    return comparing.read(Decision.objects.filter(pk__in=keys).order_by("pk")) if keys else []


@transaction.atomic
def finish(job: Job, *, now: datetime) -> None:
    """Keep what was found; of a change's present revision also as a check, which people vote by."""
    revision = job.simulation.revision
    change = Change.objects.select_for_update().get(pk=revision.change_id) if revision else None
    Simulation.objects.select_for_update(no_key=True).get(pk=job.simulation.pk)
    held = Simulation.objects.select_related("revision", "base_version", "workflow", "environment").get(
        pk=job.simulation.pk
    )
    if held.token != job.token or not held.is_active:
        return
    held.result = _result(held, job.tally).text()
    held.digest = canonical.digest(msgspec.json.decode(held.result))
    held.state, held.ended_at, held.token, held.leased_until = State.DONE, now, None, None
    held.told = held.requests = job.tally.n
    held.so_far = ""
    held.save()
    audit.record(
        action="simulations.finish",
        actor=simulations.SERVICE,
        object=held,
        summary=f"Simulated {simulations.told_of(held)} on {held.told:,} requests",
        before={"ended_at": None},
        after={"state": held.state, "ended_at": now, "digest": held.digest, "requests": held.told},
    )
    present = change is not None and change.state in Change.OPEN and change.revision_id == held.revision_id
    if present and revision is not None:
        checks.record(
            revision=revision,
            kind=Check.Kind.SIMULATION,
            digest=held.digest,
            verdict=Check.Verdict.PASSED,
            base=held.base_version,
            valid_until=now + simulations.HOLDS,
            by=simulations.SERVICE,
        )


def release(job: Job) -> None:
    """Let go of a simulation that is not done: its turn was over."""
    Simulation.objects.filter(pk=job.simulation.pk, token=job.token).update(token=None, leased_until=None)


@transaction.atomic
def fail(job: Job, why: str, *, now: datetime) -> None:
    """End a simulation that cannot be brought to its end."""
    held = simulations.locked(job.simulation)
    if held.is_active and held.token == job.token:
        _broken(held, why, now)


def _broken(held: Simulation, why: str, now: datetime) -> None:
    summary = f"The simulation of {simulations.told_of(held)} broke off"
    simulations.end(held, State.FAILED, actor=simulations.SERVICE, now=now, summary=summary, trouble=why)


def comparison(held: Simulation) -> Comparison:
    """Both policies over the register of when it began. Raises PolicyError and SnapshotError."""
    register = msgspec.json.decode(held.snapshot.text, type=SnapshotDocument)
    before = comparing.under(register, held.workflow_id, held.base_version.document, held.base_mode)
    after = comparing.under(register, held.workflow_id, held.document, held.mode)
    if before is None or after is None:
        raise SnapshotError(f"nothing of {held.workflow} stands in the register")
    return Comparison(before, after, comparing.places())


def _result(held: Simulation, tally: Tally) -> Result:
    revision = held.revision
    version = revision.policy if revision is not None else None
    return Result(
        workflow=str(held.workflow_id),
        environment=str(held.environment_id),
        revision=str(revision.pk) if revision is not None else None,
        payload_digest=revision.payload_digest if revision is not None else None,
        base=Policy(held.base_version.digest, held.base_mode, str(held.base_version.pk), held.base_version.number),
        candidate=Policy(
            canonical.digest(held.document),
            held.mode,
            str(version.pk) if version else None,
            version.number if version else None,
        ),
        days=held.days,
        since=canonical.moment(held.since),
        until=canonical.moment(held.until),
        snapshot=held.snapshot_id,
        requests=tally.n,
        steps=tally.steps,
        changed=tally.changed,
        quality=_quality(held),
    )


def _quality(held: Simulation) -> list[Quality]:
    """What the newest evaluation of each step lets expect of both policies."""
    found = []
    for each in evaluations.latest_of(held.workflow, held.environment):
        evaluation = each.evaluation
        before = replays.replayed(evaluation, held.base_version.document)
        after = replays.replayed(evaluation, held.document)
        pair = replays.paired(before, after)
        found.append(
            Quality(
                step=evaluation.step.name,
                evaluation=str(evaluation.pk),
                ended_at=canonical.moment(evaluation.ended_at or held.until),
                n=after.n,
                before=_right(before),
                after=_right(after),
                gained=pair.gained,
                lost=pair.lost,
                p_value=pair.p_value,
            )
        )
    return found


def _right(replay: Replay) -> Right:
    low, high = replay.interval or (None, None)
    return Right(replay.correct, replay.judged, low, high, replay.outcomes["person"], replay.outcomes["unmeasured"])
