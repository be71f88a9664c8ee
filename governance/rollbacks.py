"""Roll-backs: what was live in an environment before, by votes, is live again at once, by one person and a reason.

The one road on which content becomes live without new votes: it had its votes. The database itself says what that is
(governance_earlier), and no rest and no freeze holds it. See docs/decisions/0021-roll-backs.md.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from governance import audiences, audit, notifications
from governance.accounts import require
from governance.change_records import (
    NotApproved,
    StaleBase,
    checked,
    head_facts,
    lock_policy,
    mark_stale,
    move_head,
    refuse_retired,
    write_revision,
)
from governance.confirmations import require_confirmed
from governance.errors import store
from governance.models import Change, Environment, NotificationKind, Rollback, User, Workflow, new_id


@dataclass(frozen=True)
class Earlier:
    """A change whose policy was live in a place until a moment; `why_not` says why nobody goes back to it, if so."""

    change: Change
    live_until: datetime
    why_not: str


def earlier(workflow: Workflow, environment: Environment) -> list[Earlier]:
    """Return what was live in a place before by votes, the last first, each content once; two queries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT change_id, live_until, why_not FROM governance_earlier(%s, %s) ORDER BY live_until DESC",
            [workflow.pk, environment.pk],
        )
        rows: list[tuple[UUID, datetime, str]] = cursor.fetchall()
    found = Change.objects.for_list().in_bulk([change for change, _until, _why_not in rows])
    return [Earlier(found[change], until, why_not) for change, until, why_not in rows]


@transaction.atomic
def go_back(
    *,
    workflow: Workflow,
    environment: Environment,
    seen: UUID | None,
    to: UUID | None,
    reason: str,
    confirmed_at: datetime,
    by: User,
) -> Change:
    """Make live again, at once, what the change `to` had made live there; return the change that did.

    `seen` is the version that was live on the page from which it was asked, `confirmed_at` when the person gave the
    password again. It becomes a version of a number of its own. Raises NotPermitted, WorkflowRetired, NotConfirmed,
    StaleBase if another version is live by now, NotApproved for what nobody goes back to, InvalidPolicy for what no
    longer fits the register, InvalidInput without a reason.
    """
    workflow, head = lock_policy(workflow.pk, environment.pk)
    require(by, "rollbacks.go_back", workflow, environment=environment)
    made = Change(workflow=workflow, environment=environment, proposed_by=by, state=Change.State.APPROVED)
    refuse_retired(made)
    require_confirmed(confirmed_at, timezone.now())
    if head is None or head.version_id != seen:
        raise StaleBase("Another version became live since you opened this page. Look again, then go back.")
    target = _target(workflow, environment, to)
    aim = target.change.revision
    checked(made, aim.policy.document)
    made.title, made.revision_id = f"Roll back to version {aim.policy.number}", new_id()
    store(made, unchecked=["revision", "number"])
    revision = write_revision(
        made, aim.policy.document, head, mode=aim.mode, note=reason, author=by, key=made.revision_id
    )
    made.revision = revision
    store(Rollback(change=made, to=target.change, by=by, reason=reason, confirmed_at=confirmed_at))
    before = head_facts(head)
    moved = move_head(made, head, by)
    audit.record(
        action="rollbacks.go_back",
        actor=by,
        object=made,
        summary=f"Went back to version {aim.policy.number} of {made.place}, live as version {revision.policy.number}",
        version=str(revision.number),
        before=before,
        after={
            **head_facts(moved),
            "payload_digest": revision.payload_digest,
            "approved_by_change": target.change.number,
            "confirmed_at": confirmed_at.isoformat(),
        },
        reason=reason,
    )
    told = audiences.of_rollback(made)
    notifications.tell_of_change(kind=NotificationKind.ROLLED_BACK, change=made, to=told, actor=by)
    mark_stale(made, by)
    return made


def _target(workflow: Workflow, environment: Environment, to: UUID | None) -> Earlier:
    found = next((each for each in earlier(workflow, environment) if each.change.pk == to), None)
    if found is None:
        raise NotApproved(f"This was never live in {environment.name} by votes. Propose it as a change.", field="to")
    if found.why_not:
        number = found.change.revision.policy.number
        raise NotApproved(
            f"Nobody goes back to version {number} at once: {found.why_not}. Propose it as a change.", field="to"
        )
    return found
