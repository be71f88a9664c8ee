"""Evaluations: sample sets, measuring every model of a step's ladder on one, now or by a schedule, and what came out.

A verb locks one row: the workflow (versions of sets), the set, the schedule or the evaluation; a schedule's turn locks
the schedule, then the set.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from governance import audit, boxes, canonical
from governance.accounts import require
from governance.audit import Actor, Service
from governance.errors import GovernanceError, InvalidInput, clean, store
from governance.models import AuditEvent, Environment, PolicyHead, Step, User, Workflow
from governance.models.ids import new_id
from routing import samples, schedules, snapshots
from routing.models import (
    Evaluation,
    EvaluationChunk,
    EvaluationSchedule,
    EvaluationScore,
    Sample,
    SampleSet,
    Snapshot,
)
from routing.replays import replayed as replayed
from routing.samples import Row
from smallfirst import engine, signals
from smallfirst.engine import Facts, Refusal, SnapshotError
from smallfirst.engine.policy import ANY_STEP
from smallfirst.seal import SealError

SERVICE = Service("evaluations")
CHUNK = 25
WRITTEN_AT_ONCE = 1_000


class EvaluationError(GovernanceError):
    """A verb on evaluations refused."""


class NotReady(EvaluationError):
    """Something must be there first; the text says what."""


class AlreadyRunning(EvaluationError):
    """The step is being evaluated already."""


class AlreadyEnded(EvaluationError):
    """The evaluation or schedule has ended."""


class TextsErased(EvaluationError):
    """The texts of the set are gone."""


class NeverAsked(InvalidInput):
    """No model is ever asked for the step: its workflow is retired, or only recordings of it stand here."""


class Unreadable(EvaluationError):
    """A text cannot be opened with this installation's review key."""


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


def steps_that_can_be_evaluated(steps: QuerySet[Step]) -> QuerySet[Step]:
    """Those of workflows in use, but for what is only recorded: a policy that is live in recordings alone asks nobody.

    Where no policy is live yet, a set may well be there first.
    """
    live = PolicyHead.objects.filter(workflow=OuterRef("workflow"))
    served, recorded = live.filter(environment__recorded=False), live.filter(environment__recorded=True)
    return steps.filter(Exists(served) | ~Exists(recorded), workflow__retired_at=None)


@transaction.atomic
def create_set(
    *,
    step: Step,
    name: str,
    source: str,
    licence: str,
    rows: Sequence[Row],
    by: Actor,
    description: str = "",
    labels: Sequence[str] = (),
) -> SampleSet:
    """Add a set, or the next version of the set of that name. Its texts are kept sealed until someone erases them.

    Without `labels` they are those of the rows. Raises NotPermitted, NeverAsked, InvalidSamples for rows that do not
    fit, and InvalidInput for anything else, also where nothing differs from the newest version.
    """
    # Two uploads at once would both be the next version.
    workflow = Workflow.objects.select_for_update(no_key=True).get(pk=step.workflow_id)
    require(by, "evaluations.edit", workflow)
    if not steps_that_can_be_evaluated(Step.objects.filter(pk=step.pk)).exists():
        raise NeverAsked(
            f"step: no model is asked for {step.name} of {workflow.name}, so no evaluation can be", field="step"
        )
    name = clean("name", name)
    newest = SampleSet.objects.filter(step=step, name=name).order_by("-version").first()
    facts = {
        "description": clean("description", description),
        "source": clean("source", source),
        "licence": clean("licence", licence),
        "labels": samples.labels_of(rows, labels),
        "size": len(rows),
        "digest": samples.digest(rows),
    }
    if newest is not None and newest.erased_at is None and facts == {field: getattr(newest, field) for field in facts}:
        raise InvalidInput(f"file: this is version {newest.version} already", field="file")
    version = newest.version + 1 if newest is not None else 1
    made = store(
        SampleSet(step=step, name=name, version=version, created_by=by if isinstance(by, User) else None, **facts)
    )
    Sample.objects.bulk_create(_sealed(made, rows), batch_size=WRITTEN_AT_ONCE)
    audit.record(
        action="evaluations.create_set",
        actor=by,
        object=made,
        summary=f"Added the set {made} of {made.size:,} samples for {step.name} of {workflow.name}",
        after={"name": name, "version": version, "workflow": workflow.slug, "step": step.name, **facts},
        version=str(made.version),
    )
    return made


@transaction.atomic
def erase_set(*, sample_set: SampleSet, reason: str, by: Actor, now: datetime) -> SampleSet:
    """Erase the texts of a set, for good; labels, digest and results stay. Raises NotPermitted, InvalidInput without
    a reason, TextsErased, and AlreadyRunning while the set is being asked."""
    held = SampleSet.objects.select_for_update(no_key=True).get(pk=sample_set.pk)
    held = SampleSet.objects.for_list().get(pk=held.pk)
    require(by, "evaluations.edit", held)
    if not clean("reason", reason):
        raise InvalidInput("reason: say why, for the record", field="reason")
    if held.erased_at is not None:
        raise TextsErased("The texts of this set are erased already.")
    if held.evaluations.active().exists():
        raise AlreadyRunning("This set is being asked: cancel the evaluation first.")
    held.erased_at = now
    store(held)
    held.samples.update(sealed=None)
    audit.record(
        action="evaluations.erase_set",
        actor=by,
        object=held,
        summary=f"Erased the texts of {held}",
        before={"erased_at": None},
        after={"erased_at": now},
        reason=reason,
        version=str(held.version),
    )
    return held


@transaction.atomic
def read_sample(*, sample: Sample, by: User) -> list[dict[str, Any]]:
    """Open what a sample says, for who may see evaluations. The audit has each person's first look.

    Raises NotPermitted, TextsErased and Unreadable.
    """
    require(by, "evaluations.view", sample)
    opened = messages_of(sample)
    seen = AuditEvent.objects.about(sample).filter(action="evaluations.read_sample", actor_id=str(by.pk))
    if not seen.exists():
        audit.record(
            action="evaluations.read_sample",
            actor=by,
            object=sample,
            summary=f"Read sample {sample.position} of {sample.sample_set}",
        )
    return opened


@transaction.atomic
def read_set(*, sample_set: SampleSet, by: User) -> Iterator[tuple[Sample, list[dict[str, Any]]]]:
    """Open all texts of a set, to be taken along as a file; each time is in the audit.

    Raises NotPermitted and TextsErased; Unreadable comes while one reads.
    """
    require(by, "evaluations.edit", sample_set)
    if sample_set.erased_at is not None:
        raise TextsErased("The texts of this set are erased.")
    audit.record(
        action="evaluations.read_set",
        actor=by,
        object=sample_set,
        summary=f"Exported the texts of {sample_set}",
        version=str(sample_set.version),
    )
    return ((sample, messages_of(sample)) for sample in sample_set.samples.order_by("position"))


def messages_of(sample: Sample) -> list[dict[str, Any]]:
    """What a sample asks, in OpenAI's shape. Raises TextsErased and Unreadable."""
    if sample.sealed is None:
        raise TextsErased("The text of this sample is erased.")
    try:
        return samples.opened(boxes.open(sample.sealed, sample.pk.bytes))
    except SealError as error:
        raise Unreadable("This text cannot be opened with this installation's review key: upload the set again.") from (
            error
        )


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


def _sealed(sample_set: SampleSet, rows: Sequence[Row]) -> Iterator[Sample]:
    for position, row in enumerate(rows, 1):
        key = new_id()
        yield Sample(
            id=key,
            sample_set=sample_set,
            position=position,
            sealed=boxes.close(canonical.encode(row.messages), key.bytes),
            signals=engine_signals(row),
            label=row.label,
            cluster=row.cluster,
        )


def engine_signals(row: Row) -> dict[str, int]:
    """The numbers that the engine reads from a sample, as they are kept."""
    read = signals.read(row.messages)
    return {field: getattr(read, field) for field in read.__struct_fields__}


def zone() -> ZoneInfo:
    """The zone in which schedules are read."""
    return ZoneInfo(settings.REPORTING_TIME_ZONE)
