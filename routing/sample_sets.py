"""Sample sets: labelled requests of one step, taken whole or refused whole, kept sealed until someone erases them.

Adding one locks its workflow, erasing its texts the set.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from governance import audit, boxes, canonical
from governance.accounts import require
from governance.audit import Actor
from governance.errors import GovernanceError, InvalidInput, clean, store
from governance.models import AuditEvent, PolicyHead, Step, User, Workflow
from governance.models.ids import new_id
from routing import samples
from routing.models import Sample, SampleSet
from routing.samples import Row
from smallfirst import signals
from smallfirst.seal import SealError

WRITTEN_AT_ONCE = 1_000


class SampleSetError(GovernanceError):
    """A verb on sample sets refused."""


class TextsErased(SampleSetError):
    """The texts of the set are gone."""


class BeingAsked(SampleSetError):
    """An evaluation asks the set's samples at this moment."""


class Unreadable(SampleSetError):
    """A text cannot be opened with this installation's review key."""


class NeverAsked(InvalidInput):
    """No model is ever asked for the step: its workflow is retired, or only recordings of it stand here."""


def steps_that_can_be_evaluated(steps: QuerySet[Step]) -> QuerySet[Step]:
    """Those of workflows in use, but for what is only recorded: a policy that is live in recordings alone asks nobody.

    Where no policy is live yet, a set may well be there first.
    """
    live = PolicyHead.objects.filter(workflow=OuterRef("workflow"))
    served, recorded = live.filter(environment__recorded=False), live.filter(environment__recorded=True)
    return steps.filter(Exists(served) | ~Exists(recorded), workflow__retired_at=None)


@transaction.atomic
def create(
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
        action="sample_sets.create",
        actor=by,
        object=made,
        summary=f"Added the set {made} of {made.size:,} samples for {step.name} of {workflow.name}",
        after={"name": name, "version": version, "workflow": workflow.slug, "step": step.name, **facts},
        version=str(made.version),
    )
    return made


@transaction.atomic
def erase(*, sample_set: SampleSet, reason: str, by: Actor, now: datetime) -> SampleSet:
    """Erase the texts of a set, for good; labels, digest and results stay. Raises NotPermitted, InvalidInput without
    a reason, TextsErased, and BeingAsked while the set is being asked."""
    held = SampleSet.objects.select_for_update(no_key=True).get(pk=sample_set.pk)
    held = SampleSet.objects.for_list().get(pk=held.pk)
    require(by, "evaluations.edit", held)
    if not clean("reason", reason):
        raise InvalidInput("reason: say why, for the record", field="reason")
    if held.erased_at is not None:
        raise TextsErased("The texts of this set are erased already.")
    if held.evaluations.active().exists():
        raise BeingAsked("This set is being asked: cancel the evaluation first.")
    held.erased_at = now
    store(held)
    held.samples.update(sealed=None)
    audit.record(
        action="sample_sets.erase",
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
    seen = AuditEvent.objects.about(sample).filter(action="sample_sets.read_sample", actor_id=str(by.pk))
    if not seen.exists():
        audit.record(
            action="sample_sets.read_sample",
            actor=by,
            object=sample,
            summary=f"Read sample {sample.position} of {sample.sample_set}",
        )
    return opened


@transaction.atomic
def read(*, sample_set: SampleSet, by: User) -> Iterator[tuple[Sample, list[dict[str, Any]]]]:
    """Open all texts of a set, to be taken along as a file; each time is in the audit.

    Raises NotPermitted and TextsErased; Unreadable comes while one reads.
    """
    require(by, "evaluations.edit", sample_set)
    if sample_set.erased_at is not None:
        raise TextsErased("The texts of this set are erased.")
    audit.record(
        action="sample_sets.read",
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
        raise Unreadable("This text cannot be opened with this installation’s review key: upload the set again.") from (
            error
        )


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
