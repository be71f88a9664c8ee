"""Emergencies: a change becomes live without its votes, for hours, and goes back by itself.

Who breaks the glass had no hand in the change, so that two people are in it; a third looks back at it within two days.
The database says what speaks against it (governance_why_no_emergency). Locks are those of a change, then the emergency.
See docs/decisions/0023-emergencies.md.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from governance import audiences, audit, notifications
from governance.accounts import require
from governance.audit import Actor, Service
from governance.change_records import (
    ChangeError,
    DigestMoved,
    NotApproved,
    NotOpen,
    OwnHand,
    checked,
    head_facts,
    lock,
    mark_stale,
    move_head,
    refuse_retired,
    refuse_stale,
    write_revision,
)
from governance.confirmations import require_confirmed
from governance.errors import store
from governance.models import Change, Emergency, Hindsight, NotificationKind, PolicyHead, User, new_id
from governance.votes import VOTABLE, had_hand, standing

CLOCK = Service("emergencies")
HOURS = range(1, 25)
USUAL_HOURS = 4
Outcome = Emergency.Outcome


def why_not(change: Change) -> str:
    """Say why no emergency makes this change live, as the end of a sentence; empty if one may. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT governance_why_no_emergency(%s)", [change.pk])
        (said,) = cursor.fetchone() or ("",)
    return str(said)


@transaction.atomic
def begin(*, change: Change, digest: str, hours: int, reason: str, confirmed_at: datetime, by: User) -> Emergency:
    """Make a change live without the votes it needs, for so many hours; no rest and no freeze holds it.

    `digest` is that of the content as the form that was seen carried it, `confirmed_at` when the person gave the
    password again. Raises NotPermitted, WorkflowRetired, NotConfirmed, OwnHand, NotOpen, StaleBase, DigestMoved,
    NotApproved for what the database refuses, InvalidPolicy, InvalidInput without a reason, and ChangeError for hours
    that are not 1 to 24.
    """
    change, head = lock(change)
    require(by, "emergencies.begin", change)
    refuse_retired(change)
    now = timezone.now()
    require_confirmed(confirmed_at, now)
    if change.state not in VOTABLE:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}.")
    refuse_stale(change, head)
    if had_hand(change, by):
        raise OwnHand(f"You had a hand in change {change.number}: another decides whether this is an emergency.")
    revision = change.revision
    if digest != revision.payload_digest:
        raise DigestMoved(f"Change {change.number} was edited since you opened it. Read revision {revision.number}.")
    if hours not in HOURS:
        raise ChangeError("hours: choose 1 to 24", field="hours")
    if said := why_not(change):
        raise NotApproved(f"No emergency makes change {change.number} live: {said}.")
    checked(change, revision.leads_to.document)
    votes = standing(change)
    if change.state != Change.State.APPROVED:
        change.state = Change.State.APPROVED
        change.save(update_fields=["state"])
    until = now + timedelta(hours=hours)
    said_of = {"reason": reason, "confirmed_at": confirmed_at, "created_at": now}
    made = store(Emergency(change=change, digest=digest, by=by, until=until, **said_of))
    before = head_facts(head)
    moved = move_head(change, head, by)
    audit.record(
        action="emergencies.begin",
        actor=by,
        object=change,
        summary=f"Broke the glass: version {revision.leads_to.number} of {change.place} is live until {_said(until)}",
        version=str(revision.number),
        before=before,
        after={
            **head_facts(moved),
            "payload_digest": digest,
            "votes": f"{votes.counted} of {votes.needed}",
            "until": until.isoformat(),
            "confirmed_at": confirmed_at.isoformat(),
        },
        reason=reason,
    )
    told = audiences.of_rollback(change)
    notifications.tell_of_change(kind=NotificationKind.EMERGENCY, change=change, to=told, actor=by)
    mark_stale(change, by)
    return made


@transaction.atomic
def end(*, change: Change, reason: str, by: User) -> Emergency:
    """Take a change back that is live by an emergency, before its time is over. Raises NotPermitted, NotOpen."""
    change, head = lock(change)
    require(by, "emergencies.end", change)
    found = _holding(change)
    if found is None or not isinstance(head, PolicyHead):
        raise NotOpen(f"Change {change.number} is not live by an emergency.")
    return _revert(found, head, applied_by=by, actor=by, reason=reason)


@transaction.atomic
def look_back(*, change: Change, opinion: str, reason: str, by: User) -> Hindsight:
    """Say of an emergency afterwards whether it was right, as somebody who had no hand in it.

    Raises NotPermitted, OwnHand, NotOpen for a change without one and for a second time, InvalidInput.
    """
    change, _head = lock(change)
    require(by, "changes.vote", change)
    found = Emergency.objects.filter(change=change).first()
    if found is None:
        raise NotOpen(f"Change {change.number} did not become live by an emergency.")
    if had_hand(change, by) or found.by_id == by.pk:
        raise OwnHand("You had a hand in this emergency: another looks back at it.")
    if Hindsight.objects.filter(emergency=found).exists():
        raise NotOpen("Somebody looked back at this emergency already.")
    made = store(Hindsight(emergency=found, by=by, opinion=opinion, reason=reason))
    audit.record(
        action="emergencies.look_back",
        actor=by,
        object=change,
        summary=f"Looked back at the emergency of change {change.number}: {made.get_opinion_display().lower()}",
        after={"opinion": made.opinion, "payload_digest": found.digest},
        reason=reason,
    )
    return made


def end_due(*, now: datetime) -> int:
    """Take back what is live by an emergency whose time is over; return how many.

    For the sweeper. Each in a transaction of its own: killed in between, the next turn does the rest.
    """
    due = Emergency.objects.over(now).select_related("change").order_by("until", "pk")
    return sum([_end_one(each, now) for each in list(due)])


@transaction.atomic
def _end_one(due: Emergency, now: datetime) -> bool:
    change, head = lock(due.change)
    found = _holding(change)
    if found is None or found.until > now or not isinstance(head, PolicyHead):
        return False
    by = User.objects.get(pk=found.by_id)
    _revert(found, head, applied_by=by, actor=CLOCK, reason=f"Its time was over at {_said(found.until)}.")
    return True


def _holding(change: Change) -> Emergency | None:
    return Emergency.objects.holding().select_for_update().filter(change=change).first()


def _revert(found: Emergency, head: PolicyHead, *, applied_by: User, actor: Actor, reason: str) -> Emergency:
    """Make live again what was live before an emergency, under the locks of its change; as a change of its own."""
    change = Change.objects.for_list().get(pk=found.change_id)
    base = change.revision.base_version
    if base is None:
        raise NotOpen("An emergency has something to go back to.")
    back = Change(
        workflow=change.workflow,
        environment=change.environment,
        proposed_by=applied_by,
        state=Change.State.APPROVED,
        title=f"Back to version {base.number} after the emergency",
        revision_id=new_id(),
    )
    store(back, unchecked=["revision", "number"])
    back.revision = write_revision(
        back, base.document, head, mode=base.revision.mode, note=reason, author=applied_by, key=back.revision_id
    )
    found.outcome, found.ended_at, found.back = Outcome.REVERTED, timezone.now(), back
    found.save(update_fields=["outcome", "ended_at", "back"])
    before = head_facts(head)
    moved = move_head(back, head, applied_by)
    for about in (back, change):
        audit.record(
            action="emergencies.end",
            actor=actor,
            object=about,
            summary=f"Went back to version {base.number} of {back.place} after the emergency of change {change.number}",
            before=before,
            after=head_facts(moved),
            reason=reason,
        )
    notifications.tell_of_change(kind=NotificationKind.ROLLED_BACK, change=back, to=audiences.of_rollback(back))
    mark_stale(back, applied_by)
    return found


def _said(moment: datetime) -> str:
    return f"{moment:%-d %B %Y %H:%M} UTC"
