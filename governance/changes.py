"""Changes: proposed, revised, voted on and made live. A vote counts only for exactly the content that was seen.

Every verb locks in one order: the workflow's row, then the head of the environment, then the change. Votes and
revisions are written under the change's lock. See docs/decisions/0002-lock-order.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import Max, Q
from django.utils import timezone

from governance import audit, canonical, policies
from governance.accounts import NotPermitted, can, require
from governance.errors import GovernanceError, InvalidInput, store
from governance.models import (
    Change,
    Contributor,
    Environment,
    Grant,
    Mode,
    PolicyHead,
    PolicyVersion,
    Revision,
    User,
    Vote,
    Workflow,
    new_id,
)
from governance.permissions import roles_with

State = Change.State
Choice = Vote.Choice
VOTABLE = (State.IN_REVIEW, State.APPROVED)


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


@dataclass(frozen=True)
class CastVote:
    """A person's newest vote on the current revision, and why it does not count, if so."""

    vote: Vote
    why_not: str

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return not self.why_not


@dataclass(frozen=True)
class Standing:
    """Where the votes on the current revision stand: approvals that count, how many it takes, and objections."""

    votes: tuple[CastVote, ...]
    counted: int
    needed: int
    against: int

    @property
    def enough(self) -> bool:
        """Whether it may become live."""
        return self.counted >= self.needed and self.against == 0


@transaction.atomic
def propose(
    *, workflow: Workflow, environment: Environment, document: Mapping[str, Any], title: str, note: str, by: User
) -> Change:
    """Propose a policy document for a workflow in an environment; to roll back, propose an older version's document.

    Where nobody's vote is needed the change is approved at once. Raises NotPermitted, policies.InvalidPolicy,
    NothingChanges, and ChangeError for a retired workflow or a title that is missing.
    """
    workflow, head = _lock_place(workflow.pk, environment.pk)
    require(by, "changes.propose", workflow, environment=environment)
    if workflow.retired_at is not None:
        raise ChangeError(f"{workflow.name} is retired; nothing new is proposed for it.")
    full = policies.check(document, workflow=workflow, environment=environment)
    if head is not None and policies.digest(full) == head.version.digest:
        raise NothingChanges(f"This is what version {head.version.number} says, which is live already.")
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
    revision = _write_revision(change, full, head, note=note, by=by, key=change.revision_id)
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
def revise(*, change: Change, document: Mapping[str, Any], by: User, note: str = "") -> Change:
    """Write another revision of an open change, from the version that is live now: an edit and a rebase are one.

    Votes on earlier revisions no longer count, and `by` can vote on this change no more. Raises NotPermitted,
    policies.InvalidPolicy, NotOpen, NothingChanges.
    """
    change, head = _lock(change)
    require(by, "changes.propose", change)
    if change.state not in Change.OPEN:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}; propose a new one.")
    full = policies.check(document, workflow=change.workflow, environment=change.environment)
    before, digest = change.revision, policies.digest(full)
    if head is not None and digest == head.version.digest:
        raise NothingChanges(f"This is what version {head.version.number} says, which is live already.")
    if digest == before.version.digest and before.base_version_id == _live(head):
        raise NothingChanges("This is what the change says already.")
    old_facts = _facts(change, before)
    revision = _write_revision(change, full, head, note=note, by=by)
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
def activate(*, change: Change, by: User) -> Change:
    """Make an approved change live; other open changes that start from the version before go stale.

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
    if not standing_now.enough:
        raise NotApproved(
            f"Change {change.number} has {standing_now.counted} of {standing_now.needed} votes"
            + (f" and {standing_now.against} against." if standing_now.against else ".")
        )
    policies.check(revision.version.document, workflow=change.workflow, environment=change.environment)
    if change.state != State.APPROVED:
        change.state = State.APPROVED
        change.save(update_fields=["state"])
    before = _head_facts(head)
    head = _move_head(change, head, by=by)
    audit.record(
        action="changes.activate",
        actor=by,
        object=change,
        summary=f"Version {revision.version.number} of {change.workflow.name} is live in {change.environment.name}",
        version=str(revision.number),
        before=before,
        after={**_head_facts(head), "payload_digest": revision.payload_digest, "votes": _voters(standing_now)},
    )
    _mark_stale(change, by=by)
    return change


@transaction.atomic
def withdraw(*, change: Change, by: User, reason: str = "") -> Change:
    """Take an open change back; whoever had a hand in it may. Raises NotPermitted, NotOpen."""
    change, _head = _lock(change)
    require(by, "changes.propose", change)
    if not _had_hand(change, by):
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


def standing(change: Change) -> Standing:
    """Count the votes on the current revision as they are now; three queries. Needs `revision` and `environment`."""
    revision = change.revision
    votes = Vote.objects.filter(revision=revision).select_related("voter").order_by("voter_id", "-number")
    newest = list(votes.distinct("voter_id"))
    may = set(
        Grant.objects.in_force()
        .filter(user__in=[each.voter_id for each in newest], role__in=roles_with("changes.vote"))
        .filter(Q(team=None) | Q(team=change.team_id), Q(environment=None) | Q(environment=change.environment_id))
        .values_list("user_id", flat=True)
    )
    hands = set(Contributor.objects.filter(change=change).values_list("user_id", flat=True)) | {change.proposed_by_id}

    def why_not(cast: Vote) -> str:
        if cast.choice == Choice.WITHDRAW:
            return "taken back"
        if not cast.voter.is_active:
            return "may no longer sign in"
        if cast.voter_id in hands:
            return "had a hand in it"
        if cast.voter_id not in may:
            return "may no longer vote here"
        return "is for other content" if cast.digest != revision.payload_digest else ""

    cast = tuple(CastVote(each, why_not(each)) for each in sorted(newest, key=lambda each: each.created_at))
    chosen = [each.vote.choice for each in cast if each.counts]
    return Standing(
        votes=cast,
        counted=chosen.count(Choice.APPROVE),
        needed=max(change.environment.votes_needed, revision.rule["votes_needed"]),
        against=chosen.count(Choice.REQUEST_CHANGES) + chosen.count(Choice.REJECT),
    )


def why_not_vote(change: Change, user: User | AnonymousUser) -> str:
    """Say why this person cannot vote on a change, empty if he can."""
    if not isinstance(user, User) or not can(user, "changes.vote", change):
        return "Your roles here do not let you vote."
    if change.state == State.STALE:
        return "Another change became live: this one has to be revised first."
    if change.state not in VOTABLE:
        return f"This change is {change.get_state_display().lower()}."
    if _had_hand(change, user):
        return "You had a hand in this change, so others vote on it."
    return ""


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
    if _had_hand(change, by):
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
    change: Change, document: dict[str, Any], head: PolicyHead | None, *, note: str, by: User, key: UUID | None = None
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
        mode=Mode.ENFORCE,
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
    change.save(update_fields=["state", "applied_at", "applied_by"])
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


def _refuse_stale(change: Change, head: PolicyHead | None) -> None:
    moved = change.state in VOTABLE and change.revision.base_version_id != _live(head)
    if moved or change.state == State.STALE:
        now = f"version {head.version.number} is" if head else "nothing is"
        raise StaleBase(f"Since change {change.number} was written, {now} live in its place. Revise it first.")


def _live(head: PolicyHead | None) -> UUID | None:
    return head.version_id if head else None


def _had_hand(change: Change, user: User) -> bool:
    return change.proposed_by_id == user.pk or change.contributors.filter(user=user).exists()


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
    }


def _head_facts(head: PolicyHead | None) -> dict[str, Any]:
    if head is None:
        return {"version": None}
    return {"version": head.version.number, "digest": head.version.digest, "mode": head.mode}
