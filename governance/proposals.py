"""Proposals: how a change of each kind begins. Callers know these verbs as those of governance.changes.

Each locks what the change is about, then the head of its place, and writes the change with its first revision.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from governance import audit, entries
from governance.accounts import ORGANISATION, require
from governance.change_records import (
    ChangeError,
    Head,
    checked,
    facts_of,
    first_state,
    live_mode,
    lock_place,
    lock_policy,
    lock_workflow,
    mode_of,
    refuse_live,
    refuse_retired,
    tell_voters,
    write_revision,
)
from governance.errors import InvalidInput, store
from governance.models import Change, Environment, Mode, ModelVersion, Team, User, Workflow, new_id

State = Change.State
Kind = Change.Kind


@transaction.atomic
def propose(
    *,
    workflow: Workflow,
    environment: Environment,
    document: Mapping[str, Any],
    title: str,
    note: str,
    by: User,
    mode: str | None = None,
) -> Change:
    """Propose a policy document for a workflow in an environment; to roll back, propose an older version's document.

    `mode` is `observe` or `enforce`; None keeps what is live, and observes where nothing is. Where nobody's vote is
    needed the change is approved at once. Raises NotPermitted, WorkflowRetired, policies.InvalidPolicy, NothingChanges,
    and ChangeError for an unknown mode or a title that is missing.
    """
    workflow, head = lock_policy(workflow.pk, environment.pk)
    require(by, "changes.propose", workflow, environment=environment)
    change = Change(kind=Kind.POLICY, workflow=workflow, environment=environment, title=title, proposed_by=by)
    refuse_retired(change)
    return _open(change, document, head, mode=mode_of(change, mode, live_mode(head) or Mode.OBSERVE), note=note)


@transaction.atomic
def propose_approval_rules(*, document: Mapping[str, Any], title: str, note: str, by: User) -> Change:
    """Propose other approval rules for the organisation: rules, groups and freezes, whole.

    Two people who had no hand in them must approve, or the only one there is. Raises NotPermitted,
    approval_rules.InvalidApprovalRules, NothingChanges, and ChangeError for a title that is missing.
    """
    change = Change(kind=Kind.APPROVAL_RULES, title=title, proposed_by=by)
    _none, head = lock_place(change)
    require(by, "changes.propose", ORGANISATION)
    return _open(change, document, head, mode="", note=note)


@transaction.atomic
def propose_entry(*, workflow: Workflow, document: Mapping[str, Any], title: str, note: str, by: User) -> Change:
    """Propose another entry of a workflow of which a policy is live: risk, data class, why, regions, retention, whole.

    It asks for as many votes as the strictest environment in which a policy of it is live; where that is none, it is
    approved at once. Raises NotPermitted, WorkflowRetired, entries.InvalidEntry, NothingChanges, and ChangeError for a
    title that is missing, and for a workflow whose owner may still write it (workflows.edit).
    """
    change = Change(kind=Kind.WORKFLOW, workflow=workflow, title=title, proposed_by=by)
    held = lock_workflow(workflow.pk)
    require(by, "changes.propose", held)
    refuse_retired(Change(workflow=held))
    if not entries.governed(held):
        raise ChangeError(f"No policy of {held.name} is live yet: write its entry without a change.")
    _held, head = lock_place(change)
    return _open(change, document, head, mode="", note=note)


@transaction.atomic
def propose_admission(
    *,
    version: ModelVersion,
    environment: Environment,
    document: Mapping[str, Any],
    title: str,
    note: str,
    by: User,
) -> Change:
    """Propose that a version of a model may be asked in an environment, or under other conditions; to attest it anew.

    Raises NotPermitted, admissions.InvalidAdmission, NothingChanges, and ChangeError for a title that is missing.
    """
    change = Change(kind=Kind.MODEL, model_version=version, environment=environment, title=title, proposed_by=by)
    _none, head = lock_place(change)
    require(by, "changes.propose", change, environment=environment)
    return _open(change, document, head, mode="", note=note)


@transaction.atomic
def propose_standard(
    *, environment: Environment, team: Team | None, document: Mapping[str, Any], title: str, note: str, by: User
) -> Change:
    """Propose another standard of a team, or of the organisation, for all their workflows in an environment.

    Raises NotPermitted, standards.InvalidStandard, also where a live policy could not serve under it, NothingChanges,
    and ChangeError for a title that is missing.
    """
    change = Change(kind=Kind.STANDARD, environment=environment, for_team=team, title=title, proposed_by=by)
    _none, head = lock_place(change)
    require(by, "changes.propose", change, environment=environment)
    return _open(change, document, head, mode="", note=note)


@transaction.atomic
def propose_exceptions(
    *, workflow: Workflow, environment: Environment, document: Mapping[str, Any], title: str, note: str, by: User
) -> Change:
    """Propose from which parts of the standards a workflow is excepted in an environment, whole.

    Raises NotPermitted, WorkflowRetired, exceptions.InvalidExceptions, also where its live policy could not serve,
    NothingChanges, and ChangeError for a title that is missing.
    """
    change = Change(kind=Kind.EXCEPTION, workflow=workflow, environment=environment, title=title, proposed_by=by)
    held, head = lock_place(change)
    require(by, "changes.propose", held or ORGANISATION, environment=environment)
    refuse_retired(change)
    return _open(change, document, head, mode="", note=note)


def _open(change: Change, document: Mapping[str, Any], head: Head | None, *, mode: str, note: str) -> Change:
    """Write a new change with its first revision, under the lock of its place."""
    by = change.proposed_by
    full = checked(change, document)
    refuse_live(head, full, mode)
    change.state, change.revision_id = State.IN_REVIEW, new_id()
    try:
        store(change, unchecked=["revision", "number"])
    except InvalidInput as error:
        raise ChangeError(str(error), field=error.field) from error
    revision = write_revision(change, full, head, mode=mode, note=note, author=by, key=change.revision_id)
    if first_state(revision) != change.state:
        change.revision, change.state = revision, first_state(revision)
        change.save(update_fields=["state"])
    audit.record(
        action="changes.propose",
        actor=by,
        object=change,
        summary=f"Proposed change {change.number} for {change.place}: {change.title}",
        version=str(revision.number),
        after=facts_of(change, revision),
        reason=note,
    )
    tell_voters(change, by)
    return change
