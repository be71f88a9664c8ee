"""Changes: proposed, revised, voted on and made live. A vote counts only for exactly the content that was seen.

Every verb locks in one order: the workflow's row, then the head of the environment, then the change. Votes and
revisions are written under the change's lock. See docs/decisions/0002-lock-order.md.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from governance import audit, canonical, policies
from governance.accounts import NotPermitted, can, require
from governance.errors import GovernanceError, InvalidInput, store
from governance.models import (
    Change,
    Contributor,
    Environment,
    Mode,
    PolicyHead,
    PolicyVersion,
    Ratification,
    Revision,
    User,
    Vote,
    Workflow,
    new_id,
)
from governance.votes import VOTABLE, Standing, had_hand, others_may_vote, standing

State = Change.State
Choice = Vote.Choice


class ChangeError(GovernanceError):
    """A verb on a change refused."""


class DigestMoved(ChangeError):
    """The content is no longer the one that was seen."""


class StaleBase(ChangeError):
    """Another change became live in the meantime; this one starts from a version that no longer is."""


class NotOpen(ChangeError):
    """The change has ended, or is not where this verb begins."""


class OwnHand(ChangeError):
    """Nobody votes on what he wrote."""


class NotApproved(ChangeError):
    """Votes are missing, or someone is against."""


class NothingChanges(ChangeError):
    """What is proposed is live, or proposed here, already."""


class ReasonMissing(ChangeError):
    """A vote against says why."""


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
    needed the change is approved at once. Raises NotPermitted, policies.InvalidPolicy, NothingChanges, and ChangeError
    for a retired workflow, an unknown mode or a title that is missing.
    """
    workflow, head = _lock_place(workflow.pk, environment.pk)
    require(by, "changes.propose", workflow, environment=environment)
    if workflow.retired_at is not None:
        raise ChangeError(f"{workflow.name} is retired; nothing new is proposed for it.")
    full = policies.check(document, workflow=workflow, environment=environment)
    mode = _mode(mode, head.mode if head else Mode.OBSERVE)
    _refuse_live(head, full, mode)
    change = Change(
        workflow=workflow,
        environment=environment,
        title=title,
        state=State.IN_REVIEW if environment.votes_needed else State.APPROVED,
        proposed_by=by,
        revision_id=new_id(),
    )
    try:
        store(change, unchecked=["revision", "number"])
    except InvalidInput as error:
        raise ChangeError(str(error), field=error.field) from error
    revision = _write_revision(change, full, head, mode=mode, note=note, by=by, key=change.revision_id)
    audit.record(
        action="changes.propose",
        actor=by,
        object=change,
        summary=f"Proposed change {change.number} for {workflow.name} in {environment.name}: {change.title}",
        version=str(revision.number),
        after=_facts(change, revision),
        reason=note,
    )
    return change


@transaction.atomic
def revise(*, change: Change, document: Mapping[str, Any], by: User, note: str = "", mode: str | None = None) -> Change:
    """Write another revision of an open change, from the version that is live now: an edit and a rebase are one.

    `mode` None keeps the change's. Votes on earlier revisions no longer count, and `by` can vote on this change no
    more. Raises NotPermitted, policies.InvalidPolicy, NotOpen, NothingChanges.
    """
    change, head = _lock(change)
    require(by, "changes.propose", change)
    if change.state not in Change.OPEN:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}; propose a new one.")
    full = policies.check(document, workflow=change.workflow, environment=change.environment)
    before = change.revision
    mode = _mode(mode, before.mode)
    _refuse_live(head, full, mode)
    said = (before.version.digest, before.mode, before.base_version_id)
    if (policies.digest(full), mode, _live(head)) == said:
        raise NothingChanges("This is what the change says already.")
    old_facts = _facts(change, before)
    revision = _write_revision(change, full, head, mode=mode, note=note, by=by)
    change.revision = revision
    change.state = State.IN_REVIEW if change.environment.votes_needed else State.APPROVED
    change.save(update_fields=["revision", "state"])
    audit.record(
        action="changes.revise",
        actor=by,
        object=change,
        summary=f"Wrote revision {revision.number} of change {change.number}; earlier votes no longer count",
        version=str(revision.number),
        before=old_facts,
        after=_facts(change, revision),
        reason=note,
    )
    return change


def vote(*, change: Change, digest: str, choice: str, reason: str, by: User, then_activate: bool = False) -> Change:
    """Vote on the content that has this digest, as the form that was seen carried it; the newest vote counts.

    Enough approvals and nobody against: approved. A rejection ends the change. With `then_activate` an approved change
    goes live right after, by a second verb of its own. Raises NotPermitted, OwnHand, DigestMoved, StaleBase, NotOpen,
    ReasonMissing, and ChangeError for an unknown choice.
    """
    voted = _vote(change=change, digest=digest, choice=choice, reason=reason, by=by)
    if then_activate and voted.state == State.APPROVED and can(by, "changes.activate", voted):
        return activate(change=voted, by=by)
    return voted


@transaction.atomic
def activate(*, change: Change, by: User, single_handed: bool = False) -> Change:
    """Make an approved change live; other open changes that start from the version before go stale.

    With `single_handed` no votes are needed, only while nobody but those who wrote it could vote at all: the change is
    marked, and waits for somebody else to `ratify` it.

    Everything is checked once more: votes and voters as they are now, the stricter of the rule then and now, the base,
    the digest, the document against the register. PostgreSQL checks votes and base by itself again. Raises
    NotPermitted, NotOpen, StaleBase, DigestMoved, NotApproved, policies.InvalidPolicy.
    """
    change, head = _lock(change)
    require(by, "changes.activate", change)
    revision = change.revision
    _refuse_stale(change, head)
    if change.state not in VOTABLE:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}.")
    if revision.payload_digest != payload_digest(change, revision):
        raise DigestMoved(f"Change {change.number} no longer has the content its digest names. Write it anew.")
    standing_now = standing(change)
    if single_handed and standing_now.enough:
        raise ChangeError("This change has the votes it needs: activate it as it is.")
    if single_handed:
        _refuse_voters(change, standing_now)
    elif not standing_now.enough:
        raise NotApproved(
            f"Change {change.number} has {standing_now.counted} of {standing_now.needed} votes"
            + (f" and {standing_now.against} against." if standing_now.against else ".")
        )
    policies.check(revision.version.document, workflow=change.workflow, environment=change.environment)
    if change.state != State.APPROVED:
        change.state = State.APPROVED
        change.save(update_fields=["state"])
    before = _head_facts(head)
    change.single_handed = single_handed
    head = _move_head(change, head, by=by)
    audit.record(
        action="changes.activate",
        actor=by,
        object=change,
        summary=f"Version {revision.version.number} of {change.workflow.name} is live in {change.environment.name}"
        + (", single-handed" if single_handed else ""),
        version=str(revision.number),
        before=before,
        after={
            **_head_facts(head),
            "payload_digest": revision.payload_digest,
            "votes": _voters(standing_now),
            "single_handed": single_handed,
        },
    )
    _mark_stale(change, by=by)
    return change


@transaction.atomic
def ratify(*, change: Change, digest: str, by: User, reason: str = "") -> Ratification:
    """Say, as somebody who had no hand in it, that a change which became live single-handed may stay.

    Raises NotPermitted, OwnHand, NotOpen for one that is none, or is ratified already, and DigestMoved.
    """
    change, _head = _lock(change)
    require(by, "changes.vote", change)
    if not change.single_handed:
        raise NotOpen(f"Change {change.number} did not become live single-handed.")
    if Ratification.objects.filter(change=change).exists():
        raise NotOpen(f"Change {change.number} is ratified already.")
    if had_hand(change, by):
        raise OwnHand(f"You had a hand in change {change.number}: others ratify it.")
    revision = change.revision
    if digest != revision.payload_digest:
        raise DigestMoved(f"Change {change.number} has another content than the one you saw. Open it again.")
    made = store(Ratification(change=change, digest=digest, by=by, reason=reason))
    audit.record(
        action="changes.ratify",
        actor=by,
        object=change,
        summary=f"Ratified change {change.number}, which {change.applied_by} had made live single-handed",
        version=str(revision.number),
        after={"payload_digest": digest, "ratified_by": by.pk},
        reason=reason,
    )
    return made


@transaction.atomic
def withdraw(*, change: Change, by: User, reason: str = "") -> Change:
    """Take an open change back; whoever had a hand in it may. Raises NotPermitted, NotOpen."""
    change, _head = _lock(change)
    require(by, "changes.propose", change)
    if not had_hand(change, by):
        raise NotPermitted("Only those who wrote a change take it back; vote to reject it instead.")
    if change.state not in Change.OPEN:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()} already.")
    before = change.state
    change.state = State.WITHDRAWN
    change.save(update_fields=["state"])
    audit.record(
        action="changes.withdraw",
        actor=by,
        object=change,
        summary=f"Withdrew change {change.number}",
        before={"state": before},
        after={"state": change.state},
        reason=reason,
    )
    return change


def payload_digest(change: Change, revision: Revision) -> str:
    """The SHA-256 of what a vote binds to: the content, where it goes, from which version, and how it takes effect."""
    base = revision.base_version
    return canonical.digest(
        {
            "kind": str(change.kind),
            "workflow": str(change.workflow_id),
            "environment": str(change.environment_id),
            "base_version": base.digest if base else None,
            "version": policies.digest(revision.version.document),
            "document": revision.version.document,
            "activation": {"at": None, "mode": str(revision.mode)},
        }
    )


@transaction.atomic
def _vote(*, change: Change, digest: str, choice: str, reason: str, by: User) -> Change:
    change, head = _lock(change)
    require(by, "changes.vote", change)
    if choice not in Choice.values:
        raise ChangeError(f"choice: vote one of {', '.join(Choice.values)}", field="choice")
    _refuse_stale(change, head)
    if change.state not in VOTABLE:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}; nobody votes on it any more.")
    if had_hand(change, by):
        raise OwnHand(f"You had a hand in change {change.number}: others vote on it.")
    revision = change.revision
    if digest != revision.payload_digest:
        raise DigestMoved(f"Change {change.number} was edited since you opened it. Read revision {revision.number}.")
    if choice in (Choice.REJECT, Choice.REQUEST_CHANGES) and not reason.strip():
        raise ReasonMissing("Say why, so that the author knows what to change.", field="reason")
    mine = Vote.objects.filter(revision=revision, voter=by)
    if choice == Choice.WITHDRAW and not mine.exists():
        raise ChangeError("You have not voted on this revision; there is nothing to take back.", field="choice")
    number = (mine.aggregate(last=Max("number"))["last"] or 0) + 1
    cast = store(Vote(revision=revision, digest=digest, voter=by, number=number, choice=choice, reason=reason))
    before = change.state
    if choice == Choice.REJECT:
        change.state = State.REJECTED
    else:
        change.state = State.APPROVED if standing(change).enough else State.IN_REVIEW
    change.save(update_fields=["state"])
    audit.record(
        action="changes.vote",
        actor=by,
        object=change,
        summary=f"{cast.get_choice_display()}: change {change.number}, revision {revision.number}",
        version=str(revision.number),
        before={"state": before},
        after={"state": change.state, "choice": choice, "payload_digest": digest},
        reason=reason,
    )
    return change


def _lock_place(workflow: UUID, environment: UUID) -> tuple[Workflow, PolicyHead | None]:
    """Lock the workflow, then its head in the environment; None where nothing is live yet.

    Rows are locked alone and read with their relations after: a join in the locking statement would still show the
    relations of before the wait.
    """
    held = Workflow.objects.select_for_update(no_key=True).get(pk=workflow)
    heads = PolicyHead.objects.filter(workflow=workflow, environment=environment)
    heads.select_for_update(no_key=True).first()
    return held, heads.select_related("version").first()


def _lock(change: Change) -> tuple[Change, PolicyHead | None]:
    """Lock a change after its place and read it anew."""
    workflow, head = _lock_place(change.workflow_id, change.environment_id)
    Change.objects.select_for_update().get(pk=change.pk)
    held = Change.objects.for_list().get(pk=change.pk)
    held.workflow = workflow
    return held, head


def _write_revision(
    change: Change,
    document: dict[str, Any],
    head: PolicyHead | None,
    *,
    mode: str,
    note: str,
    by: User,
    key: UUID | None = None,
) -> Revision:
    numbers = PolicyVersion.objects.filter(workflow=change.workflow).aggregate(last=Max("number"))
    version = store(
        PolicyVersion(
            workflow=change.workflow,
            number=(numbers["last"] or 0) + 1,
            document=document,
            digest=policies.digest(document),
            note=note,
            created_by=by,
        )
    )
    revision = Revision(
        id=key or new_id(),
        change=change,
        number=change.revisions.count() + 1,
        base_version=head.version if head else None,
        version=version,
        mode=mode,
        rule={"votes_needed": change.environment.votes_needed},
        created_by=by,
    )
    revision.payload_digest = payload_digest(change, revision)
    store(revision)
    Contributor.objects.get_or_create(change=change, user=by)
    return revision


def _move_head(change: Change, head: PolicyHead | None, *, by: User) -> PolicyHead:
    """Mark the change applied and let the head point to its version. Raises NotApproved if PostgreSQL refuses."""
    change.state, change.applied_at, change.applied_by = State.APPLIED, timezone.now(), by
    change.save(update_fields=["state", "applied_at", "applied_by", "single_handed"])
    head = head or PolicyHead(workflow=change.workflow, environment=change.environment)
    head.version, head.mode, head.change = change.revision.version, change.revision.mode, change
    try:
        with transaction.atomic():
            head.save()
    except IntegrityError as error:
        raise NotApproved(f"The database refuses: {error.args[0].splitlines()[0]}") from error
    return head


def _mark_stale(applied: Change, *, by: User) -> None:
    """Let other open changes of the place that start from an older version say so. Runs under the workflow's lock."""
    others = (
        Change.objects.select_for_update(of=("self",))
        .filter(workflow=applied.workflow, environment=applied.environment, state__in=VOTABLE)
        .select_related("workflow")
        .order_by("pk")
    )
    for other in others:
        before, other.state = other.state, State.STALE
        other.save(update_fields=["state"])
        audit.record(
            action="changes.go_stale",
            actor=by,
            object=other,
            summary=f"Change {other.number} went stale: change {applied.number} became live before it",
            before={"state": before},
            after={"state": other.state},
        )


def _mode(said: str | None, otherwise: str) -> str:
    """The mode that was asked for, or the other. Raises ChangeError for one that is none."""
    if said is not None and said not in Mode.values:
        raise ChangeError(f"mode: choose {' or '.join(Mode.values)}", field="mode")
    return str(said or otherwise)


def _refuse_live(head: PolicyHead | None, document: dict[str, Any], mode: str) -> None:
    if head is not None and (policies.digest(document), mode) == (head.version.digest, head.mode):
        raise NothingChanges(f"This is what version {head.version.number} says and does, which is live already.")


def _refuse_voters(change: Change, standing_now: Standing) -> None:
    if others_may_vote(change):
        raise NotApproved(f"Change {change.number} cannot pass single-handed: somebody else may vote on it.")
    if standing_now.against:
        raise NotApproved(f"Change {change.number} has {standing_now.against} votes against it.")


def _refuse_stale(change: Change, head: PolicyHead | None) -> None:
    moved = change.state in VOTABLE and change.revision.base_version_id != _live(head)
    if moved or change.state == State.STALE:
        now = f"version {head.version.number} is" if head else "nothing is"
        raise StaleBase(f"Since change {change.number} was written, {now} live in its place. Revise it first.")


def _live(head: PolicyHead | None) -> UUID | None:
    return head.version_id if head else None


def _voters(standing_now: Standing) -> list[str]:
    return [str(each.vote.voter_id) for each in standing_now.votes if each.counts]


def _facts(change: Change, revision: Revision) -> dict[str, Any]:
    return {
        "state": change.state,
        "revision": revision.number,
        "version": revision.version.number,
        "base_version": revision.base_version.number if revision.base_version else None,
        "payload_digest": revision.payload_digest,
        "votes_needed": revision.rule["votes_needed"],
        "mode": revision.mode,
    }


def _head_facts(head: PolicyHead | None) -> dict[str, Any]:
    if head is None:
        return {"version": None}
    return {"version": head.version.number, "digest": head.version.digest, "mode": head.mode}
