"""Evaluations: measuring every model of a step's ladder on a sample set, now or by a schedule, and what came out.

A verb locks one row: the set, the schedule or the evaluation; a schedule's turn locks the schedule, then the set.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from governance import audit
from governance.accounts import require
from governance.audit import Actor, Service
from governance.errors import GovernanceError, store
from governance.models import AuditEvent, Environment, PolicyHead, Step, User, Workflow
from routing import schedules, snapshots
from routing.models import (
    Evaluation,
    EvaluationChunk,
    EvaluationSchedule,
    EvaluationScore,
    SampleSet,
    Snapshot,
)
from routing.replays import replayed as replayed
from routing.sample_sets import TextsErased
from smallfirst import engine
from smallfirst.engine import Facts, Refusal, SnapshotError
from smallfirst.engine.policy import ANY_STEP

SERVICE = Service("evaluations")
CHUNK = 25


class EvaluationError(GovernanceError):
    """A verb on evaluations refused."""


class NotReady(EvaluationError):
    """Something must be there first; the text says what."""


class AlreadyRunning(EvaluationError):
    """The step is being evaluated already."""


class AlreadyEnded(EvaluationError):
    """The evaluation or schedule has ended."""


@dataclass(frozen=True)
class Measured:
    """The newest evaluation of a step that went through: what each model scored alone, and the policy as a whole."""

    evaluation: Evaluation
    models: dict[str, EvaluationScore]
    policy: EvaluationScore

    @property
    def n(self) -> int:
        """How many samples there were."""
        return self.policy.n


def latest_of(workflow: Workflow, environment: Environment) -> list[Measured]:
    """Return what the newest evaluation of each step of a workflow found, in the steps' order; two queries."""
    gone_through = Evaluation.objects.filter(
        state=Evaluation.State.DONE, step__workflow=workflow, environment=environment
    )
    newest = gone_through.order_by("step_id", "-ended_at", "-id").distinct("step_id").values("pk")
    found = Evaluation.objects.filter(pk__in=newest).select_related("snapshot").for_list()
    return [measured(each) for each in found.order_by("step__position", "step__name")]


def measured(evaluation: Evaluation) -> Measured:
    """Return what an evaluation found. For one that went through, its scores best prefetched."""
    scores = {score.model: score for score in evaluation.scores.all()}
    alone = {model: scores[model] for model in evaluation.ladder}
    return Measured(evaluation=evaluation, models=alone, policy=scores[None])


@transaction.atomic
def schedule(
    *, sample_set: SampleSet, environment: Environment, cron: str, by: User, now: datetime
) -> EvaluationSchedule:
    """Evaluate the set's step by itself from now on; the step's schedule in that environment, if any, becomes this one.

    Each turn takes the newest version of the set. Raises NotPermitted and InvalidInput.
    """
    step = sample_set.step
    require(by, "evaluations.edit", step.workflow, environment=environment)
    written = schedules.check(cron, now=now, zone=zone())
    due = schedules.next_after(written, now, zone=zone())
    places = EvaluationSchedule.objects.in_force().filter(step=step, environment=environment)
    held = places.select_for_update(no_key=True).first()
    before = None if held is None else {"cron": held.cron, "set": str(held.sample_set)}
    if held is None:
        held = EvaluationSchedule(step=step, environment=environment, created_by=by)
    held.sample_set, held.cron, held.next_due_at, held.trouble = sample_set, written, due, ""
    store(held)
    audit.record(
        action="evaluations.schedule",
        actor=by,
        object=held,
        summary=f"Let {step.name} of {step.workflow.name} be evaluated in {environment}: {schedules.words(written)}",
        before=before,
        after={"cron": held.cron, "set": str(sample_set)},
    )
    return held


@transaction.atomic
def unschedule(*, schedule: EvaluationSchedule, by: User, now: datetime) -> EvaluationSchedule:
    """End a schedule; what it started goes on. Raises NotPermitted and AlreadyEnded."""
    EvaluationSchedule.objects.select_for_update(no_key=True).get(pk=schedule.pk)
    held = EvaluationSchedule.objects.for_list().get(pk=schedule.pk)
    require(by, "evaluations.edit", held.step.workflow, environment=held.environment)
    if held.ended_at is not None:
        raise AlreadyEnded("This schedule has ended already.")
    held.ended_at, held.ended_by = now, by
    store(held)
    audit.record(
        action="evaluations.unschedule",
        actor=by,
        object=held,
        summary=f"{held.step.name} of {held.step.workflow.name} is no longer evaluated by itself in {held.environment}",
        before={"ended_at": None},
        after={"ended_at": now},
    )
    return held


@transaction.atomic
def start(
    *,
    sample_set: SampleSet,
    environment: Environment,
    by: Actor,
    now: datetime,
    schedule: EvaluationSchedule | None = None,
) -> Evaluation:
    """Ask every model of the step's live ladder every sample, as soon as the workers come to it.

    Raises NotPermitted, NotReady (no policy, no gateway, no model that may be asked), TextsErased, AlreadyRunning.
    """
    # Nobody erases its texts between this look and the first sample.
    SampleSet.objects.select_for_update(no_key=True).get(pk=sample_set.pk)
    sample_set = SampleSet.objects.for_list().get(pk=sample_set.pk)
    step, workflow = sample_set.step, sample_set.step.workflow
    require(by, "evaluations.run", workflow, environment=environment)
    head = _ready(sample_set, environment)
    snapshot, asked, left_out = _ladder(environment, workflow, step, now)
    made = store(
        Evaluation(
            step=step,
            environment=environment,
            sample_set=sample_set,
            policy_version=head.version,
            snapshot=snapshot,
            ladder=asked,
            left_out=left_out,
            asks=sample_set.size * len(asked),
            started_by=by if isinstance(by, User) else None,
            schedule=schedule,
        )
    )
    starts = enumerate(range(1, sample_set.size + 1, CHUNK), 1)
    EvaluationChunk.objects.bulk_create(
        EvaluationChunk(evaluation=made, number=number, first=first, last=min(first + CHUNK - 1, sample_set.size))
        for number, first in starts
    )
    audit.record(
        action="evaluations.start",
        actor=by,
        object=made,
        summary=f"Started to evaluate {step.name} of {workflow.name} in {environment} on {sample_set}",
        after={
            "set": sample_set.digest,
            "policy_version": head.version.number,
            "snapshot": snapshot.digest,
            "ladder": asked,
            "left_out": left_out,
        },
    )
    return made


@transaction.atomic
def cancel(*, evaluation: Evaluation, by: User, now: datetime) -> Evaluation:
    """Stop an evaluation; answers that came stay, no score is made. Raises NotPermitted and AlreadyEnded."""
    held = lock(evaluation)
    require(by, "evaluations.run", held.step.workflow, environment=held.environment)
    if not held.is_active:
        raise AlreadyEnded(f"This evaluation has ended already: {held.get_state_display().lower()}.")
    held.state, held.ended_at, held.ended_by = Evaluation.State.CANCELLED, now, by
    held.save(update_fields=["state", "ended_at", "ended_by"])
    audit.record(
        action="evaluations.cancel",
        actor=by,
        object=held,
        summary=f"Cancelled the evaluation of {held.step.name} of {held.step.workflow.name}",
        before={"ended_at": None},
        after={"state": held.state, "ended_at": now},
    )
    return held


def start_due(*, now: datetime) -> int:
    """Start what schedules say is due, each turn once; return how many. What cannot start is told on the schedule."""
    taken = 0
    while _take_turn(now):
        taken += 1
    return taken


def lock(evaluation: Evaluation) -> Evaluation:
    """Lock the row alone, then read it with its relations."""
    Evaluation.objects.select_for_update(no_key=True).get(pk=evaluation.pk)
    return Evaluation.objects.for_list().get(pk=evaluation.pk)


@transaction.atomic
def _take_turn(now: datetime) -> bool:
    """Take the turn of the schedule that is due longest; False when none is that nobody else has in hand."""
    found = EvaluationSchedule.objects.due(now).select_for_update(skip_locked=True, no_key=True).first()
    if found is None:
        return False
    held = EvaluationSchedule.objects.for_list().get(pk=found.pk)
    # Turns that were missed while nothing ran are not made up for: one evaluation says as much as ten.
    held.last_due_at, held.next_due_at = held.next_due_at, schedules.next_after(held.cron, now, zone=zone())
    held.trouble = ""
    try:
        with transaction.atomic():
            start(sample_set=_newest(held.sample_set), environment=held.environment, by=SERVICE, now=now, schedule=held)
    except GovernanceError as error:
        held.trouble = str(error)
        audit.record(
            action="evaluations.start",
            actor=SERVICE,
            object=held,
            summary=f"Could not start the scheduled evaluation of {held.step.name} of {held.step.workflow.name}",
            reason=held.trouble,
            outcome=AuditEvent.Outcome.REFUSED,
        )
    held.save(update_fields=["last_due_at", "next_due_at", "trouble"])
    return True


def _ready(sample_set: SampleSet, environment: Environment) -> PolicyHead:
    """Return what is live for the set's step. Raises TextsErased, NotReady and AlreadyRunning."""
    step, workflow = sample_set.step, sample_set.step.workflow
    if sample_set.erased_at is not None:
        raise TextsErased("The texts of this set are erased: upload them as a new version.")
    if workflow.retired_at is not None:
        raise NotReady(f"{workflow.name} is retired.")
    if not environment.gateway_url:
        raise NotReady(f"No gateway of {environment} is known: name its address first.")
    if Evaluation.objects.active().filter(step=step, environment=environment).exists():
        raise AlreadyRunning("This step is being evaluated in this environment already: wait for its end or cancel it.")
    head = PolicyHead.objects.select_related("version").filter(workflow=workflow, environment=environment).first()
    if head is None:
        raise NotReady(f"No policy of {workflow.name} is live in {environment}: there is no ladder to measure.")
    return head


def _newest(sample_set: SampleSet) -> SampleSet:
    versions = SampleSet.objects.for_list().filter(step=sample_set.step, name=sample_set.name, erased_at=None)
    return versions.order_by("-version").first() or sample_set


def _ladder(
    environment: Environment, workflow: Workflow, step: Step, now: datetime
) -> tuple[Snapshot, list[str], dict[str, str]]:
    """Return the snapshot, the rungs that may be asked and those that may not, with the reason. Raises NotReady."""
    try:
        content = snapshots.make(environment, now=now)
        compiled = engine.read_snapshot(content.text.encode())
    except SnapshotError as error:
        raise NotReady(f"What is live in {environment} cannot be read: {error}.") from error
    steps = compiled.workflows[str(workflow.pk)].steps
    wanted = steps.get(step.name) or steps.get(ANY_STEP)
    if wanted is None:
        raise NotReady(f"The live policy has no step {step.name}.")
    asked: list[str] = []
    left_out: dict[str, str] = {}
    for model in dict.fromkeys(rung.model for rung in wanted.step.ladder):
        facts = Facts(workflow=str(workflow.pk), step=step.name, model=model, purpose="evaluation")
        planned = engine.plan(facts, engine.Signals(), engine.State(), compiled)
        if isinstance(planned, Refusal):
            left_out[model] = planned.left_out[0].text if planned.left_out else planned.text
        else:
            asked.append(model)
    if not asked:
        reasons = "; ".join(f"{model}: {text}" for model, text in left_out.items())
        raise NotReady(f"No model of {step.name} may be asked: {reasons or 'its ladder is empty'}.")
    snapshot, _ = Snapshot.objects.get_or_create(digest=content.digest, defaults={"text": content.text})
    return snapshot, asked, left_out


def zone() -> ZoneInfo:
    """The zone in which schedules are read."""
    return ZoneInfo(settings.REPORTING_TIME_ZONE)
