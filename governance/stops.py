"""Stops: a workflow, a model or everything taken out of traffic at once, and let in again.

A stop waits for nobody: no vote, no rest, no freeze. It narrows only; what a policy allows afterwards is what it
allowed before. Gateways obey it within one poll of the state.
"""

from django.db import transaction
from django.utils import timezone

from governance import audiences, audit, notifications
from governance.accounts import ORGANISATION, require
from governance.errors import InvalidInput, store
from governance.models import Model, NotificationKind, Stop, User, Workflow


@transaction.atomic
def begin(*, reason: str, by: User, workflow: Workflow | None = None, model: Model | None = None) -> Stop:
    """Stop a workflow, or a model wherever it is asked, or with neither everything.

    Raises NotPermitted, and InvalidInput without a reason, for what is out of use, and for what is stopped already.
    """
    target = workflow or model
    require(by, "stops.begin", target or ORGANISATION)
    if (workflow and workflow.retired_at is not None) or (model and model.state == Model.State.RETIRED):
        raise InvalidInput(f"{target} is out of use: there is nothing to stop.")
    made = store(Stop(workflow=workflow, model=model, reason=reason, stopped_by=by))
    audit.record(
        action="stops.begin",
        actor=by,
        object=made,
        summary=f"Stopped {made.of}",
        after={"workflow": made.workflow_id, "model": made.model_id},
        reason=reason,
    )
    notifications.tell_of_stop(kind=NotificationKind.STOP_BEGUN, stop=made, to=audiences.of_stop(made), actor=by)
    return made


@transaction.atomic
def lift(*, stop: Stop, reason: str, by: User) -> Stop:
    """Let in again what a stop holds. Raises NotPermitted, and InvalidInput for a stop that was lifted before."""
    held = Stop.objects.select_for_update(of=("self",)).with_scope().get(pk=stop.pk)
    require(by, "stops.lift", held if held.team_id else ORGANISATION)
    if held.lifted_at is not None:
        raise InvalidInput("This stop was lifted already.")
    held.lifted_at, held.lifted_by = timezone.now(), by
    store(held)
    audit.record(
        action="stops.lift",
        actor=by,
        object=held,
        summary=f"Let in {held.of} again",
        before={"lifted_at": None},
        after={"lifted_at": held.lifted_at},
        reason=reason,
    )
    notifications.tell_of_stop(kind=NotificationKind.STOP_LIFTED, stop=held, to=audiences.of_stop(held), actor=by)
    return held
