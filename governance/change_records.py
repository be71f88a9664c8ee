"""How changes are locked, written and made live: what the verbs of governance.changes share."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from governance import audiences, audit, canonical, notifications
from governance.audit import Actor
from governance.errors import GovernanceError, store
from governance.kinds import KINDS
from governance.models import (
    Change,
    Content,
    ContentHead,
    Contributor,
    Emergency,
    Environment,
    Mode,
    Model,
    NotificationKind,
    PolicyHead,
    PolicyVersion,
    Revision,
    Suspension,
    User,
    Vote,
    Workflow,
    new_id,
)
from governance.models.contents import PLACE
from governance.votes import VOTABLE, Standing, requirement, rule_for

State = Change.State
Kind = Change.Kind
Head = PolicyHead | ContentHead


class ChangeError(GovernanceError):
    """A verb on a change refused."""


class DigestMoved(ChangeError):
    """The content is no longer the one that was seen."""


class SimulationMoved(ChangeError):
    """Another simulation came in than the one that was seen."""


class StaleBase(ChangeError):
    """Another change became live in the meantime; this one starts from a version that no longer is."""


class NotOpen(ChangeError):
    """The change has ended, or is not where this verb begins."""


class OwnHand(ChangeError):
    """Nobody votes on what he wrote."""


class NotApproved(ChangeError):
    """Votes are missing, or someone is against."""


class WorkflowRetired(ChangeError):
    """Nothing of a retired workflow is decided or becomes live."""


class NothingChanges(ChangeError):
    """What is proposed is live, or proposed here, already."""


class ReasonMissing(ChangeError):
    """A vote against says why."""


def lock_workflow(workflow: UUID) -> Workflow:
    """Lock a workflow's row: rows may go on referring to it."""
    return Workflow.objects.select_for_update(no_key=True).get(pk=workflow)


def lock_policy(workflow: UUID, environment: UUID) -> tuple[Workflow, PolicyHead | None]:
    """Lock the workflow, then its head in the environment; None where nothing is live yet.

    Rows are locked alone and read with their relations after: a join in the locking statement would still show the
    relations of before the wait.
    """
    held = lock_workflow(workflow)
    heads = PolicyHead.objects.filter(workflow=workflow, environment=environment)
    heads.select_for_update(no_key=True).first()
    return held, heads.select_related("version").first()


def lock_content(change: Change) -> ContentHead:
    """Lock the head of a content's place, below the row of what it is about; make it where there is none.

    One begins with what is live: nothing, or a workflow's entry as it is.
    """
    place = place_of(change)
    if ContentHead.objects.select_for_update(no_key=True).filter(**place).first() is None:
        first = _first_content(change)
        store(ContentHead(**place, content=first))
    return ContentHead.objects.select_related("content").get(**place)


def lock(change: Change) -> tuple[Change, Head | None]:
    """Lock a change after its place and read it anew."""
    workflow, head = lock_place(change)
    Change.objects.select_for_update().get(pk=change.pk)
    held = Change.objects.for_list().get(pk=change.pk)
    held.workflow = workflow
    return held, head


def lock_place(change: Change) -> tuple[Workflow | None, Head | None]:
    """Lock what a change is about, then the head of its place; no policy has one before the first is live."""
    if change.kind == Kind.POLICY and change.workflow_id and change.environment_id:
        return lock_policy(change.workflow_id, change.environment_id)
    held = None
    if change.workflow_id:
        held = change.workflow = lock_workflow(change.workflow_id)
    elif change.model_version is not None:
        Model.objects.select_for_update(no_key=True).get(pk=change.model_version.model_id)
    elif change.environment_id:
        Environment.objects.select_for_update(no_key=True).get(pk=change.environment_id)
    return held, lock_content(change)


def place_of(change: Change) -> dict[str, Any]:
    """Return what a change is about: of its place are its contents, their head and the changes that it makes stale."""
    return {name: getattr(change, name) for name in PLACE}


def refuse_retired(change: Change) -> None:
    """Raise WorkflowRetired for a change of a retired workflow. Needs the change as it is locked."""
    if change.workflow is not None and change.workflow.retired_at is not None:
        raise WorkflowRetired(f"{change.workflow.name} is retired: nothing of it is decided or becomes live any more.")


def refuse_stale(change: Change, head: Head | None) -> None:
    """Raise StaleBase where another version is live than the change starts from. Needs the change as it is locked."""
    now, base = live(head), change.revision.starts_from
    moved = change.state in VOTABLE and (base.pk if base else None) != (now.pk if now else None)
    if moved or change.state == State.STALE:
        said = f"version {now.number} is" if now else "nothing is"
        raise StaleBase(f"Since change {change.number} was written, {said} live in its place. Revise it first.")


def refuse_live(head: Head | None, document: dict[str, Any], mode: str) -> None:
    """Refuse what is live already; what is so by an emergency needs votes to stay."""
    now = live(head)
    if isinstance(head, PolicyHead) and Emergency.objects.holding().filter(change=head.change_id).exists():
        return
    # What is suspended is attested anew by the same words.
    if isinstance(head, ContentHead) and Suspension.objects.filter(content=head.content_id).exists():
        return
    if now is not None and (canonical.digest(document), mode) == (now.digest, live_mode(head) or ""):
        raise NothingChanges(f"This is what version {now.number} says and does, which is live already.")


def refuse_voters(change: Change, standing_now: Standing) -> None:
    if standing_now.voters:
        raise NotApproved(f"Change {change.number} cannot pass single-handed: somebody else may vote on it.")
    if standing_now.against:
        raise NotApproved(f"Change {change.number} has {standing_now.against} votes against it.")


def refuse_rest(change: Change, standing_now: Standing) -> None:
    """Refuse what its rule lets become live later, or no more."""
    now = timezone.now()
    if standing_now.expired(now):
        raise NotOpen(f"Change {change.number} has expired. Revise it, and ask for votes anew.")
    why = standing_now.why_later(now)
    if why:
        raise NotApproved(f"Change {change.number} cannot become live yet: {why}.")


def refuse_expired(change: Change) -> None:
    if requirement(change).expired(timezone.now()):
        raise NotOpen(f"Change {change.number} has expired. Its author can write a new revision of it.")


def live(head: Head | None) -> PolicyVersion | Content | None:
    """Return what is in force at a head."""
    return head.content if isinstance(head, ContentHead) else head.version if head else None


def live_mode(head: Head | None) -> str | None:
    """Return the mode of what is in force; content has none, and neither has nothing."""
    return head.mode if isinstance(head, PolicyHead) else None


def checked(change: Change, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document in full. Raises InvalidDocument, naming every place at fault."""
    return KINDS[change.kind].check(change, document)


def first_state(revision: Revision) -> State:
    """Approved at once where nobody's vote is asked for."""
    asked = revision.rule["votes_needed"] or revision.rule["groups"]
    return State.IN_REVIEW if asked else State.APPROVED


def refuse_unserved(change: Change, document: Mapping[str, Any]) -> None:
    """Raise InvalidDocument for what may be proposed, and must not become live while it keeps others from serving."""
    KINDS[change.kind].serves(change, document)


def mode_of(change: Change, said: str | None, otherwise: str) -> str:
    """Return the mode that was asked for, or the other; none for content. Raises ChangeError for one that is none."""
    if change.kind != Kind.POLICY:
        return ""
    if said is not None and said not in Mode.values:
        raise ChangeError(f"mode: choose {' or '.join(Mode.values)}", field="mode")
    return str(said or otherwise)


def write_revision(
    change: Change,
    document: dict[str, Any],
    head: Head | None,
    *,
    mode: str,
    note: str,
    author: User,
    key: UUID | None = None,
) -> Revision:
    """Write the next revision of a locked change, with its content and the rule for it as it stands."""
    made = {"document": document, "digest": canonical.digest(document), "note": note, "created_by": author}
    leads_to: dict[str, Any]
    if isinstance(head, ContentHead):
        place = place_of(change)
        numbers = Content.objects.filter(**place).aggregate(last=Max("number"))
        content = store(Content(**place, number=(numbers["last"] or 0) + 1, **made))
        leads_to = {"base_content": head.content, "content": content}
    else:
        numbers = PolicyVersion.objects.filter(workflow=change.workflow).aggregate(last=Max("number"))
        version = store(PolicyVersion(workflow=change.workflow, number=(numbers["last"] or 0) + 1, **made))
        leads_to = {"base_version": head.version if head else None, "version": version}
    revision = Revision(
        id=key or new_id(),
        change=change,
        number=change.revisions.count() + 1,
        mode=mode,
        created_by=author,
        **leads_to,
    )
    revision.rule = _rule(change, revision)
    revision.payload_digest = payload_digest(change, revision)
    store(revision)
    Contributor.objects.get_or_create(change=change, user=author)
    return revision


def payload_digest(change: Change, revision: Revision) -> str:
    """The SHA-256 of what a vote binds to: the content, where it goes, from which version, and how it takes effect."""
    base, made = revision.starts_from, revision.leads_to
    return canonical.digest(
        {
            "kind": str(change.kind),
            "workflow": str(change.workflow_id) if change.workflow_id else None,
            "environment": str(change.environment_id) if change.environment_id else None,
            **({"model_version": str(change.model_version_id)} if change.model_version_id else {}),
            **({"team": str(change.for_team_id)} if change.for_team_id else {}),
            "base_version": base.digest if base else None,
            "version": canonical.digest(made.document),
            "document": made.document,
            "activation": {"at": None, "mode": str(revision.mode)},
        }
    )


def move_head(change: Change, head: Head | None, activator: User) -> Head:
    """Mark the change applied and let the head point to what it leads to. Raises NotApproved if PostgreSQL refuses."""
    change.state, change.applied_at, change.applied_by = State.APPLIED, timezone.now(), activator
    change.save(update_fields=["state", "applied_at", "applied_by", "single_handed"])
    moved: Head
    if isinstance(head, ContentHead):
        moved, head.content = head, change.revision.content
    else:
        moved = head or PolicyHead(workflow=change.workflow, environment=change.environment)
        moved.version, moved.mode = change.revision.policy, change.revision.mode
    moved.change = change
    try:
        with transaction.atomic():
            moved.save()
    except IntegrityError as error:
        raise NotApproved(f"The database refuses: {error.args[0].splitlines()[0]}") from error
    KINDS[change.kind].apply(change)
    return moved


def mark_stale(applied: Change, activator: User) -> None:
    """Let other open changes of the place that start from an older version say so. Runs under the place's lock."""
    others = (
        Change.objects.select_for_update(of=("self",)).filter(**place_of(applied), state__in=VOTABLE).order_by("pk")
    )
    for other in others:
        summary = f"Change {other.number} went stale: change {applied.number} became live before it"
        put(other, State.STALE, action="changes.go_stale", actor=activator, summary=summary)
        read = Change.objects.for_list().get(pk=other.pk)
        notifications.tell_of_change(
            kind=NotificationKind.STALE, change=read, to=audiences.authors(read), actor=activator
        )


def facts_of(change: Change, revision: Revision) -> dict[str, Any]:
    """Return what an audit entry says of a change's revision."""
    return {
        "state": change.state,
        "revision": revision.number,
        "version": revision.leads_to.number,
        "base_version": revision.starts_from.number if revision.starts_from else None,
        "payload_digest": revision.payload_digest,
        "votes_needed": revision.rule["votes_needed"],
        "mode": revision.mode,
    }


def head_facts(head: Head | None) -> dict[str, Any]:
    """Return what an audit entry says of a head."""
    now = live(head)
    if now is None:
        return {"version": None}
    told = KINDS[head.kind].facts(now.document) if isinstance(head, ContentHead) else {}
    return {"version": now.number, "digest": now.digest, "mode": live_mode(head) or ""} | told


def put(change: Change, state: State, *, action: str, actor: Actor, summary: str, reason: str = "") -> None:
    """Put a locked change into another state, which is all that the act does."""
    before, change.state = change.state, state
    change.save(update_fields=["state"])
    audit.record(
        action=action,
        actor=actor,
        object=change,
        summary=summary,
        before={"state": before},
        after={"state": change.state},
        reason=reason,
    )


def tell_voters(change: Change, by: User) -> None:
    """Tell who may vote that a change waits for it; of one that needs no vote, that it is approved."""
    if change.state == State.IN_REVIEW:
        asked = audiences.asked_to_vote(change)
        notifications.tell_of_change(kind=NotificationKind.VOTE_NEEDED, change=change, to=asked, actor=by)
    else:
        others = audiences.authors(change) - {by.pk}
        notifications.tell_of_change(kind=NotificationKind.APPROVED, change=change, to=others)


def tell_authors(change: Change, cast: Vote, before: str) -> None:
    """Tell the authors of a change what a vote made of it, if it made something of it."""
    if cast.choice == Vote.Choice.REQUEST_CHANGES:
        kind = NotificationKind.SENT_BACK
    elif change.state != before and change.state in (State.APPROVED, State.REJECTED):
        kind = NotificationKind.APPROVED if change.state == State.APPROVED else NotificationKind.REJECTED
    else:
        return
    notifications.tell_of_change(kind=kind, change=change, to=audiences.authors(change), actor=cast.voter)


def _first_content(change: Change) -> Content | None:
    """What is live in a place before any change of it."""
    document = KINDS[change.kind].begins(change)
    if document is None:
        return None
    return store(Content(**place_of(change), number=1, document=document, digest=canonical.digest(document)))


def _rule(change: Change, revision: Revision) -> dict[str, Any]:
    """What is asked of a revision now, as it is kept with it."""
    rule, least = rule_for(change, base=revision.base_version_id, version=revision.version_id, mode=revision.mode)
    return {
        "name": rule.get("name", ""),
        "votes_needed": max(rule.get("votes", 0), least),
        "groups": rule.get("groups", []),
        "cool_off_minutes": rule.get("cool_off_minutes", 0),
        "due_hours": rule.get("due_hours"),
        "expires_days": rule.get("expires_days"),
        "checks": rule.get("checks", []),
    }
