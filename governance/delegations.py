"""Delegations: a person who is away lets another cast his votes, for a time.

No right is gained by it: at each vote, and again when a change becomes live, the database asks that both may vote there
and that neither had a hand in it (governance_vote_of). See docs/decisions/0024-delegations.md.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from governance import audit, notifications
from governance.accounts import NotPermitted, can, require
from governance.errors import InvalidInput, store
from governance.models import Change, Delegation, NotificationKind, User
from governance.votes import had_hand, may_vote


@transaction.atomic
def delegate(*, to: User, starts_at: datetime, ends_at: datetime, reason: str, by: User) -> Delegation:
    """Let another person vote for `by`, from and until a moment (aware), within 30 days.

    Raises NotPermitted for who may vote nowhere, and InvalidInput for a delegate who may not either, for dates, without
    a reason, beside another delegation, and where a chain would come of it.
    """
    require(by, "changes.vote")
    if not can(to, "changes.vote"):
        raise InvalidInput(f"to: {to} may vote on nothing, and a delegation gives no right.", field="to")
    if ends_at <= timezone.now():
        raise InvalidInput("ends_at: choose an end ahead", field="ends_at")
    made = store(Delegation(by=by, to=to, starts_at=starts_at, ends_at=ends_at, reason=reason))
    audit.record(
        action="delegations.delegate",
        actor=by,
        object=made,
        summary=f"{by} lets {to} cast his votes until {made.ends_at:%-d %B %Y}",
        after={"to": to.pk, "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()},
        reason=reason,
    )
    notifications.tell_of_delegation(kind=NotificationKind.DELEGATED, delegation=made, actor=by)
    return made


@transaction.atomic
def revoke(*, delegation: Delegation, by: User) -> Delegation:
    """End a delegation; who gave it may, and who has it. Votes by it count no more where nothing came of them yet.

    Raises NotPermitted, and InvalidInput for one that is over.
    """
    held = Delegation.objects.select_for_update(of=("self",)).select_related("by", "to").get(pk=delegation.pk)
    if by.pk not in (held.by_id, held.to_id):
        raise NotPermitted("Only the two whose delegation it is end it.")
    now = timezone.now()
    if held.revoked_at is not None or held.ends_at <= now:
        raise InvalidInput("This delegation is over already.")
    held.revoked_at = now
    store(held)
    audit.record(
        action="delegations.revoke",
        actor=by,
        object=held,
        summary=f"{held.to} casts no votes for {held.by} any more",
        before={"revoked_at": None},
        after={"revoked_at": now.isoformat()},
    )
    notifications.tell_of_delegation(kind=NotificationKind.REVOKED, delegation=held, actor=by)
    return held


def usable(change: Change, user: User) -> list[Delegation]:
    """Return by which delegations a person may vote on a change now; one query without any, four at most with some."""
    held = list(Delegation.objects.holding(timezone.now()).filter(to=user).select_related("by"))
    may = may_vote(change) if held else frozenset()
    return [each for each in held if {each.by_id, each.to_id} <= may and not had_hand(change, each.by)]
