"""Changes: proposed, revised, voted on and made live. A vote counts only for exactly the content that was seen.

Every verb locks in one order: the workflow's row, then the head of the place, then the change; approval rules have no
workflow. Votes and revisions are written under the change's lock. See
docs/decisions/0002-lock-order.md.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from governance import audiences, audit, canonical, checks, notifications
from governance.accounts import NotPermitted, can, require
from governance.audit import Service
from governance.change_records import (
    ChangeError,
    DigestMoved,
    NotApproved,
    NothingChanges,
    NotOpen,
    OwnHand,
    ReasonMissing,
    SimulationMoved,
    StaleBase,
    WorkflowRetired,
    checked,
    facts_of,
    first_state,
    head_facts,
    live,
    lock,
    mark_stale,
    mode_of,
    move_head,
    payload_digest,
    put,
    refuse_expired,
    refuse_live,
    refuse_rest,
    refuse_retired,
    refuse_stale,
    refuse_unserved,
    refuse_voters,
    tell_authors,
    tell_voters,
    write_revision,
)
from governance.errors import store
from governance.models import (
    Change,
    Check,
    Delegation,
    NotificationKind,
    Ratification,
    User,
    Vote,
)
from governance.proposals import (
    propose,
    propose_admission,
    propose_approval_rules,
    propose_entry,
    propose_exceptions,
    propose_standard,
)
from governance.votes import OF_THE_ORGANISATION, VOTABLE, Standing, had_hand, may_vote, standing, why_later

__all__ = [
    "ChangeError",
    "DigestMoved",
    "NotApproved",
    "NotOpen",
    "NothingChanges",
    "OwnHand",
    "ReasonMissing",
    "SimulationMoved",
    "StaleBase",
    "WorkflowRetired",
    "activate",
    "expire_due",
    "payload_digest",
    "proceed",
    "propose",
    "propose_admission",
    "propose_approval_rules",
    "propose_entry",
    "propose_exceptions",
    "propose_standard",
    "ratify",
    "revise",
    "vote",
    "withdraw",
]

State = Change.State
Choice = Vote.Choice
Kind = Change.Kind
News = NotificationKind
CLOCK = Service("change expiry")


@transaction.atomic
def revise(*, change: Change, document: Mapping[str, Any], by: User, note: str = "", mode: str | None = None) -> Change:
    """Write another revision of an open change, from the version that is live now: an edit and a rebase are one.

    `mode` None keeps the change's. Votes on earlier revisions no longer count, and `by` can vote on this change no
    more. Raises NotPermitted, WorkflowRetired, InvalidDocument, NotOpen, NothingChanges.
    """
    change, head = lock(change)
    require(by, "changes.propose", change)
    refuse_retired(change)
    if change.state not in Change.OPEN:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}; propose a new one.")
    full = checked(change, document)
    before = change.revision
    mode = mode_of(change, mode, before.mode)
    refuse_live(head, full, mode)
    now, base = live(head), before.starts_from
    said = (before.leads_to.digest, before.mode, base.pk if base else None)
    if (canonical.digest(full), mode, now.pk if now else None) == said:
        raise NothingChanges("This is what the change says already.")
    old_facts = facts_of(change, before)
    revision = write_revision(change, full, head, mode=mode, note=note, author=by)
    change.revision = revision
    change.state = first_state(revision)
    change.save(update_fields=["revision", "state"])
    audit.record(
        action="changes.revise",
        actor=by,
        object=change,
        summary=f"Wrote revision {revision.number} of change {change.number}; earlier votes no longer count",
        version=str(revision.number),
        before=old_facts,
        after=facts_of(change, revision),
        reason=note,
    )
    tell_voters(change, by)
    return change


def vote(
    *,
    change: Change,
    digest: str,
    choice: str,
    reason: str,
    by: User,
    simulation: str = "",
    delegation: Delegation | None = None,
    then_activate: bool = False,
) -> Change:
    """Vote on the content that has this digest, as the form that was seen carried it; the newest vote counts.

    `simulation` is the digest of the simulation that was seen, empty where there was none. By a `delegation` it is the
    vote of who gave that, instead of one's own: nobody's hand counts twice.

    Enough approvals and nobody against: approved. A rejection ends the change. With `then_activate` an approved change
    goes live right after, by a second verb of its own, unless it has to rest first or a freeze holds. Raises
    NotPermitted, WorkflowRetired, OwnHand, DigestMoved, SimulationMoved, StaleBase, NotOpen, ReasonMissing, and
    ChangeError for an unknown choice.
    """
    said: dict[str, Any] = {"choice": choice, "reason": reason, "delegation": delegation}
    voted = _vote(change=change, digest=digest, simulation=simulation, by=by, **said)
    return proceed(change=voted, by=by) if then_activate else voted


def proceed(*, change: Change, by: User) -> Change:
    """Make a change live where it is approved, this person may, and it neither rests nor meets a freeze; else leave it.

    Raises what `activate` raises.
    """
    if change.state != State.APPROVED or not can(by, "changes.activate", change):
        return change
    return change if why_later(change, timezone.now()) else activate(change=change, by=by)


@transaction.atomic
def activate(*, change: Change, by: User, single_handed: bool = False, appointed: bool = False) -> Change:
    """Make an approved change live; other open changes that start from the version before go stale.

    With `single_handed` no votes are needed, only while nobody but those who wrote it could vote at all: the change is
    marked, and waits for somebody else to `ratify` it. `appointed`: by an appointment that `by` made, who is told too.

    Everything is checked once more: votes and voters as they are now, the stricter of the rule then and now, the base,
    the digest, the document against the register. PostgreSQL checks votes and base by itself again. Raises
    NotPermitted, WorkflowRetired, NotOpen, StaleBase, DigestMoved, NotApproved, InvalidDocument.
    """
    change, head = lock(change)
    require(by, "changes.activate", change)
    refuse_retired(change)
    revision = change.revision
    refuse_stale(change, head)
    if change.state not in VOTABLE:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}.")
    if revision.payload_digest != payload_digest(change, revision):
        raise DigestMoved(f"Change {change.number} no longer has the content its digest names. Write it anew.")
    standing_now = standing(change)
    refuse_rest(change, standing_now)
    if single_handed and standing_now.enough:
        raise ChangeError("This change has the votes it needs: activate it as it is.")
    if single_handed:
        refuse_voters(change, standing_now)
    elif not standing_now.enough:
        raise NotApproved(f"Change {change.number} has {standing_now.said}.{standing_now.lost}")
    refuse_unserved(change, checked(change, revision.leads_to.document))
    if change.state != State.APPROVED:
        change.state = State.APPROVED
        change.save(update_fields=["state"])
    before = head_facts(head)
    change.single_handed = single_handed
    moved = move_head(change, head, by)
    audit.record(
        action="changes.activate",
        actor=by,
        object=change,
        summary=f"Version {revision.leads_to.number} of {change.place} is live"
        + (", single-handed" if single_handed else ""),
        version=str(revision.number),
        before=before,
        after={
            **head_facts(moved),
            "payload_digest": revision.payload_digest,
            "votes": _voters(standing_now),
            "single_handed": single_handed,
        },
    )
    told = audiences.concerned(change) | ({by.pk} if appointed else frozenset())
    notifications.tell_of_change(kind=News.LIVE, change=change, to=told, actor=None if appointed else by)
    mark_stale(change, by)
    return change


@transaction.atomic
def ratify(*, change: Change, digest: str, by: User, reason: str = "") -> Ratification:
    """Say, as somebody who had no hand in it, that a change which became live single-handed may stay.

    Raises NotPermitted, WorkflowRetired, OwnHand, DigestMoved, and NotOpen for one that is none or is ratified already.
    """
    change, _head = lock(change)
    require(by, "changes.vote", change)
    refuse_retired(change)
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
    change, _head = lock(change)
    require(by, "changes.propose", change)
    if not had_hand(change, by):
        raise NotPermitted("Only those who wrote a change take it back; vote to reject it instead.")
    if change.state not in Change.OPEN:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()} already.")
    summary = f"Withdrew change {change.number}"
    put(change, State.WITHDRAWN, action="changes.withdraw", actor=by, summary=summary, reason=reason)
    return change


def expire_due(*, now: datetime) -> int:
    """End the open changes whose rule lets them wait no longer; return of how many. For the sweeper.

    Each in a transaction of its own.
    """
    return sum([_expire_one(each, now) for each in list(Change.objects.expired(now))])


@transaction.atomic
def _expire_one(change: Change, now: datetime) -> bool:
    change, _head = lock(change)
    if not Change.objects.expired(now).filter(pk=change.pk).exists():
        return False
    summary = f"Change {change.number} expired: its rule let it wait no longer"
    put(change, State.EXPIRED, action="changes.expire", actor=CLOCK, summary=summary)
    notifications.tell_of_change(kind=News.EXPIRED, change=change, to=audiences.authors(change))
    return True


@transaction.atomic
def _vote(
    *,
    change: Change,
    digest: str,
    simulation: str,
    choice: str,
    reason: str,
    delegation: Delegation | None,
    by: User,
) -> Change:
    change, head = lock(change)
    require(by, "changes.vote", change)
    refuse_retired(change)
    if choice not in Choice.values:
        raise ChangeError(f"choice: vote one of {', '.join(Choice.values)}", field="choice")
    refuse_stale(change, head)
    if change.state not in VOTABLE:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}; nobody votes on it any more.")
    _refuse_voter(change, by, delegation)
    refuse_expired(change)
    revision = change.revision
    if digest != revision.payload_digest:
        raise DigestMoved(f"Change {change.number} was edited since you opened it. Read revision {revision.number}.")
    seen = _seen(change, simulation)
    if choice in (Choice.REJECT, Choice.REQUEST_CHANGES) and not reason.strip():
        raise ReasonMissing("Say why, so that the author knows what to change.", field="reason")
    mine = Vote.objects.filter(revision=revision, voter=by)
    if choice == Choice.WITHDRAW and not mine.exists():
        raise ChangeError("You have not voted on this revision; there is nothing to take back.", field="choice")
    number = (mine.aggregate(last=Max("number"))["last"] or 0) + 1
    said: dict[str, Any] = {"digest": digest, "simulation": seen, "choice": choice, "reason": reason}
    cast = store(Vote(revision=revision, voter=by, number=number, delegation=delegation, **said))
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
        summary=f"{cast.get_choice_display()}: change {change.number}, revision {revision.number}"
        + (f", for {delegation.by}" if delegation else ""),
        version=str(revision.number),
        before={"state": before},
        after={
            "state": change.state,
            "choice": choice,
            "payload_digest": digest,
            **({"simulation": simulation} if simulation else {}),
            **({"vote_of": delegation.by_id} if delegation else {}),
        },
        reason=reason,
    )
    tell_authors(change, cast, before)
    return change


def _refuse_voter(change: Change, by: User, delegation: Delegation | None) -> None:
    """Refuse who had a hand in a change himself or votes for one who had, and who is not asked."""
    if had_hand(change, by):
        raise OwnHand(f"You had a hand in change {change.number}: others vote on it.")
    if delegation is not None and had_hand(change, delegation.by):
        raise OwnHand(f"{delegation.by} had a hand in change {change.number}: nobody votes on it for him.")
    if change.kind == Kind.EXCEPTION and by.pk not in may_vote(change):
        raise NotPermitted(OF_THE_ORGANISATION)


def _seen(change: Change, simulation: str) -> Check | None:
    """Return the newest simulation of a locked change's revision, which is the one that was seen."""
    found = checks.newest(change.revision, Check.Kind.SIMULATION)
    if (found.digest if found else "") != simulation:
        raise SimulationMoved(
            f"A simulation of change {change.number} came in that you have not seen. Read what it would have done, "
            "then vote: what you wrote still stands here."
        )
    return found


def _voters(standing_now: Standing) -> list[str]:
    return [str(each.vote.voter_id) for each in standing_now.votes if each.counts]
