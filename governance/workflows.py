"""Workflows: the business processes that use AI, who answers for them, and their steps."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from governance import audit, entries
from governance.accounts import require
from governance.audit import Actor
from governance.errors import GovernanceError, InvalidInput, store
from governance.models import Step, Team, User, Workflow
from governance.models.workflows import ENTRY


class EntryGoverned(GovernanceError):
    """A policy of the workflow is live: its entry changes by a change."""


@transaction.atomic
def create(
    *,
    slug: str,
    name: str,
    purpose: str,
    team: Team,
    owner: User,
    risk: str,
    data_class: str,
    by: Actor,
    deputy: User | None = None,
    retention_days: int = 30,
    cost_centre: str | None = None,
    people_affected: str = "",
    rationale: str = "",
    regions: Iterable[str] = (),
    review_due: date | None = None,
) -> Workflow:
    """Add a workflow. It serves nothing before a policy for it is live. Raises NotPermitted and InvalidInput.

    `risk` and `data_class` are floors: a request can raise them, never lower them; `regions` are the only ones its
    requests may go to, none given allows all. `retention_days` is how long its prompts and answers are kept.
    """
    require(by, "workflows.create", team)
    if slug == "new":
        raise InvalidInput("slug: this word is an address of its own; choose another", field="slug")
    made = store(
        Workflow(
            slug=slug,
            name=name,
            purpose=purpose,
            team=team,
            owner=owner,
            deputy=deputy,
            risk=risk,
            data_class=data_class,
            retention_days=retention_days,
            cost_centre=cost_centre,
            people_affected=people_affected,
            rationale=rationale,
            regions=sorted(set(regions)),
            review_due=review_due,
        )
    )
    audit.record(
        action="workflows.create",
        actor=by,
        object=made,
        summary=f"Added the workflow {made.name}, {made.get_risk_display().lower()} risk, {made.data_class} data",
        after={"slug": made.slug, **_facts(made)},
    )
    return made


@transaction.atomic
def edit(
    *,
    workflow: Workflow,
    name: str,
    purpose: str,
    owner: User,
    deputy: User | None,
    cost_centre: str | None,
    review_due: date | None,
    by: Actor,
    **entry: Any,
) -> Workflow:
    """Change what a workflow is called, who answers for it and, before a policy of it is live, its `entry`.

    That is any of risk, data_class, rationale, people_affected, regions and retention_days (governance.entries). Later
    they change by changes.propose_entry. An edit that changes nothing writes nothing. Raises NotPermitted, InvalidInput
    and EntryGoverned.
    """
    held = _lock(workflow)
    require(by, "workflows.edit", held)
    before = _facts(held)
    held.name, held.purpose, held.owner, held.deputy = name, purpose, owner, deputy
    held.cost_centre, held.review_due = cost_centre, review_due
    for part in ENTRY:
        setattr(held, part, entry.pop(part, getattr(held, part)))
    if entry:
        raise TypeError(f"an entry has no {', '.join(entry)}")
    held.regions = sorted(set(held.regions))
    after = _facts(held)
    if after == before:
        return held
    if any(after[part] != before[part] for part in ENTRY) and entries.governed(held):
        raise EntryGoverned(
            f"A policy of {held.name} is live: {entries.differing(before, after)} changes by a change. Propose one."
        )
    store(held)
    audit.record(
        action="workflows.edit",
        actor=by,
        object=held,
        summary=f"Changed {', '.join(field for field in after if after[field] != before[field])} of {held.name}",
        before=before,
        after=_facts(held),
    )
    return held


@transaction.atomic
def add_step(*, workflow: Workflow, name: str, purpose: str, by: Actor, position: int | None = None) -> Step:
    """Add a step, at the end unless said. Raises NotPermitted and InvalidInput."""
    held = _lock(workflow)
    require(by, "workflows.edit", held)
    if position is None:
        position = (held.steps.aggregate(last=Max("position"))["last"] or 0) + 1
    made = store(Step(workflow=held, name=name, purpose=purpose, position=position))
    audit.record(
        action="workflows.add_step",
        actor=by,
        object=made,
        summary=f"Added the step {made.name} to {held.name}",
        after={"workflow": held.slug, "name": made.name, "position": made.position, "purpose": made.purpose},
    )
    return made


@transaction.atomic
def retire(*, workflow: Workflow, reason: str, by: Actor) -> Workflow:
    """Take a workflow out of use, for good: its policies leave the bundles and its keys stop working.

    Raises NotPermitted, and InvalidInput if it is retired already.
    """
    held = _lock(workflow)
    require(by, "workflows.edit", held)
    if held.retired_at is not None:
        raise InvalidInput(f"{held.name} is retired already.")
    held.retired_at = timezone.now()
    store(held)
    audit.record(
        action="workflows.retire",
        actor=by,
        object=held,
        summary=f"Retired the workflow {held.name}",
        before={"retired_at": None},
        after={"retired_at": held.retired_at},
        reason=reason,
    )
    return held


def _lock(workflow: Workflow) -> Workflow:
    return Workflow.objects.select_for_update(no_key=True).get(pk=workflow.pk)


def _facts(workflow: Workflow) -> dict[str, Any]:
    return {
        "name": workflow.name,
        "purpose": workflow.purpose,
        "owner": workflow.owner_id,
        "deputy": workflow.deputy_id,
        "cost_centre": workflow.cost_centre,
        "review_due": workflow.review_due.isoformat() if workflow.review_due else None,
        **{part: getattr(workflow, part) for part in ENTRY},
    }
