"""Appointments: an approved change becomes live by itself at a moment that somebody named, or says why it did not.

Its end is the database's: a trigger of the change ends the appointment together with what it was for. Locks are those
of a change, then the appointment. See docs/decisions/0019-appointments.md.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from governance import audiences, audit, changes, checks, notifications
from governance.accounts import can, require
from governance.audit import Service
from governance.change_records import ChangeError, DigestMoved, NotApproved, NotOpen, lock, refuse_retired
from governance.errors import GovernanceError, store
from governance.models import Appointment, Change, Check, NotificationKind, User
from governance.models.contents import PLACE
from governance.votes import requirement

State = Appointment.State
CLOCK = Service("appointments")
# Nobody plans further ahead than what he can still answer for.
FURTHEST = timedelta(days=365)


class AppointmentClash(ChangeError):
    """Another change is to become live in the same place by itself; whichever came first would make the other stale."""


@transaction.atomic
def appoint(*, change: Change, digest: str, at: datetime, by: User) -> Appointment:
    """Let an approved change become live by itself at a moment (aware); one made before is cancelled by this.

    `digest` is that of the content as the form that was seen carried it. Everything is checked again when the moment
    comes. Raises NotPermitted, WorkflowRetired, NotOpen, DigestMoved, AppointmentClash, NotApproved where it would
    still rest, and ChangeError for a moment that is past or further ahead than a year.
    """
    change, _head = lock(change)
    require(by, "changes.activate", change)
    refuse_retired(change)
    if change.state != Change.State.APPROVED:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}: only an approved one can wait.")
    revision = change.revision
    if digest != revision.payload_digest:
        raise DigestMoved(f"Change {change.number} was edited since you opened it. Read revision {revision.number}.")
    now = timezone.now()
    if not now < at <= now + FURTHEST:
        raise ChangeError("at: choose a moment after now, within a year", field="at")
    _refuse_rule(change, at)
    _refuse_clash(change)
    if earlier := Appointment.objects.waiting().select_for_update().filter(change=change).first():
        _end(earlier, State.CANCELLED, now)
    place = _place(change)
    made = store(Appointment(change=change, revision=revision, at=at.astimezone(UTC), by=by, **place))
    audit.record(
        action="appointments.appoint",
        actor=by,
        object=change,
        summary=f"Change {change.number} is to become live by itself at {_said(made.at)}",
        version=str(revision.number),
        before={"at": earlier.at.isoformat() if earlier else None},
        after={"at": made.at.isoformat(), "payload_digest": digest},
    )
    return made


@transaction.atomic
def cancel(*, change: Change, by: User) -> Appointment:
    """Take the appointment of a change back; the change stays approved. Raises NotPermitted, NotOpen without one."""
    change, _head = lock(change)
    require(by, "changes.activate", change)
    found = Appointment.objects.waiting().select_for_update().filter(change=change).first()
    if found is None:
        raise NotOpen(f"Change {change.number} has no appointment.")
    _end(found, State.CANCELLED, timezone.now())
    audit.record(
        action="appointments.cancel",
        actor=by,
        object=change,
        summary=f"Change {change.number} no longer becomes live by itself at {_said(found.at)}",
        before={"at": found.at.isoformat()},
        after={"at": None},
    )
    return found


def keep_due(*, now: datetime) -> int:
    """Make the changes live whose moment has come, or suspend their appointments; return how many ended so.

    For the sweeper. Each in a transaction of its own: killed in between, the next turn does the rest.
    """
    due = Appointment.objects.waiting().filter(at__lte=now).select_related("change").order_by("at", "pk")
    return sum([_keep_one(each, now) for each in list(due)])


@transaction.atomic
def _keep_one(due: Appointment, now: datetime) -> bool:
    change, _head = lock(due.change)
    found = Appointment.objects.waiting().select_for_update().filter(pk=due.pk).first()
    if found is None:
        return False
    by = User.objects.get(pk=found.by_id)
    try:
        _refuse_person(change, by)
        changes.activate(change=change, by=by, appointed=True)
    except GovernanceError as error:
        _end(found, State.SUSPENDED, now, why=str(error))
        action, summary = "appointments.suspend", f"Change {change.number} did not become live at {_said(found.at)}"
    else:
        # The change's own trigger has marked the appointment kept.
        action, summary = "appointments.keep", f"Change {change.number} became live by itself, as {by} had appointed"
    found.refresh_from_db()
    audit.record(
        action=action,
        actor=CLOCK,
        object=change,
        summary=summary,
        before={"appointment": State.WAITING},
        after={"appointment": found.state, "at": found.at.isoformat(), "appointed_by": found.by_id},
        reason=found.why,
    )
    if found.state == State.SUSPENDED:
        told = audiences.authors(change) | {by.pk}
        notifications.tell_of_change(kind=NotificationKind.SUSPENDED, change=change, to=told)
    return True


def _refuse_person(change: Change, by: User) -> None:
    if not by.is_active:
        raise NotApproved(f"{by}, who made the appointment, may no longer sign in.")
    if not can(by, "changes.activate", change):
        raise NotApproved(f"{by}, who made the appointment, may no longer make changes live here.")


def _refuse_rule(change: Change, at: datetime) -> None:
    """Refuse a moment at which its rule lets it not become live yet, or no more."""
    needed, simulation = requirement(change), checks.standing(change, Check.Kind.SIMULATION)
    if "simulation" in needed.checks and simulation.valid_until and simulation.valid_until <= at:
        raise NotApproved(
            f"The simulation of change {change.number} holds until {_said(simulation.valid_until)}, and its rule asks "
            "for one: choose an earlier moment."
        )
    if needed.rests_until is not None and needed.rests_until > at:
        raise NotApproved(f"Change {change.number} rests until {_said(needed.rests_until)}: choose a later moment.")
    if needed.expired(at):
        raise NotApproved(f"Change {change.number} will have expired by then: choose an earlier moment.")


def _refuse_clash(change: Change) -> None:
    other = (
        Appointment.objects.waiting().filter(**_place(change)).exclude(change=change).select_related("change").first()
    )
    if other is not None:
        raise AppointmentClash(
            f"Change {other.change.number} is to become live for {change.place} by itself at {_said(other.at)}, "
            "and would make this one stale. Cancel that appointment first, or revise this change afterwards."
        )


def _place(change: Change) -> dict[str, Any]:
    return {name: getattr(change, name) for name in PLACE}


def _end(found: Appointment, state: State, now: datetime, *, why: str = "") -> None:
    found.state, found.ended_at, found.why = state, now, why
    found.save(update_fields=["state", "ended_at", "why"])


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B %Y %H:%M} UTC"
