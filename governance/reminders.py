"""Reminders: what waits for longer than it should is told once more, and authors may nudge who has yet to vote."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min
from django.utils import timezone

from governance import audiences, audit, notifications
from governance.accounts import NotPermitted, require
from governance.change_records import ChangeError, NotOpen, lock, refuse_retired
from governance.models import Change, Notification, NotificationKind, Review, User, Workflow
from governance.votes import had_hand, requirement

Kind = NotificationKind
# At which parts of the time until votes are due those are told once more who have yet to vote.
PARTS = (0.5, 0.9, 1)
NUDGED_EVERY = timedelta(hours=4)


class NudgedLately(ChangeError):
    """Its voters were told a short while ago."""


def remind_due(*, now: datetime) -> int:
    """Tell voters of changes that wait for them, and takers of cases that nobody took; return how often.

    For the sweeper. Each in a transaction of its own; a change or workflow that somebody writes to this instant is left
    to the next turn.
    """
    every = timedelta(hours=settings.REMIND_VOTERS_HOURS)
    waiting = Change.objects.in_review().with_times().select_related("revision")
    late = [each.pk for each in waiting if _told_since(each, now=now, every=every) is not None]
    told = sum([_remind_voters(key, now, every) for key in late])
    return told + sum([_remind_takers(place, now) for place in _places(now)])


@transaction.atomic
def nudge(*, change: Change, by: User) -> Notification:
    """Tell those whose votes are missing once more, as somebody who wrote the change.

    Raises NotPermitted, WorkflowRetired, NotOpen where it waits for no vote or nobody can vote, and NudgedLately where
    they were told within four hours, by whomever.
    """
    change, _head = lock(change)
    require(by, "changes.propose", change)
    refuse_retired(change)
    if not had_hand(change, by):
        raise NotPermitted("Only those who wrote a change nudge its voters.")
    if change.state != Change.State.IN_REVIEW:
        raise NotOpen(f"Change {change.number} is {change.get_state_display().lower()}: it waits for no vote.")
    now = timezone.now()
    last = Notification.objects.about(change.pk, Kind.VOTE_NEEDED).first()
    if last is not None and last.created_at > now - NUDGED_EVERY:
        again = last.created_at + NUDGED_EVERY
        raise NudgedLately(f"They were told at {_said(last.created_at)}: you may nudge them from {_said(again)} on.")
    asked = audiences.asked_to_vote(change)
    if not asked:
        raise NotOpen(f"Nobody who may vote on change {change.number} has yet to vote.")
    due = requirement(change).due_at
    made = notifications.tell_of_change(
        kind=Kind.VOTE_NEEDED, change=change, to=asked, actor=by, reminder=True, due=due
    )
    audit.record(
        action="reminders.nudge",
        actor=by,
        object=change,
        summary=f"Nudged those whose votes on change {change.number} are missing",
        version=str(change.revision.number),
        after={"told": sorted(map(str, asked))},
    )
    return made


def _told_since(change: Change, *, now: datetime, every: timedelta) -> datetime | None:
    """Since when voters should have been told once more of what waits; None where that is not yet.

    At half of the time that they have, at nine tenths, when it is over, and from then on, or without a due time from
    the beginning, as often as the operator says.
    """
    written, due = change.revision.created_at, change.due
    steps = [written + (due - written) * part for part in PARTS] if due is not None else []
    passed = [step for step in steps if step <= now]
    begins = due if due is not None else written
    if begins <= now - every:
        passed.append(now - every)
    return max(passed, default=None)


@transaction.atomic
def _remind_voters(key: UUID, now: datetime, every: timedelta) -> bool:
    if not Change.objects.in_review().select_for_update(skip_locked=True, of=("self",)).filter(pk=key):
        return False
    change = Change.objects.with_times().for_list().get(pk=key)
    since = _told_since(change, now=now, every=every)
    if since is None or Notification.objects.about(key, Kind.VOTE_NEEDED).filter(created_at__gt=since).exists():
        return False
    asked = audiences.asked_to_vote(change)
    if asked:
        notifications.tell_of_change(
            kind=Kind.VOTE_NEEDED, change=change, to=asked, reminder=True, due=change.due, now=now
        )
    return bool(asked)


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B %H:%M} UTC"


Place = tuple[UUID, UUID, str]


def _places(now: datetime) -> list[Place]:
    """Where cases wait that nobody took for too long: workflow, environment and the role that may take them."""
    waiting = Review.objects.unheld(now).filter(created_at__lte=now - _patience()).order_by()
    return list(waiting.values_list("workflow", "environment", "role").distinct())


@transaction.atomic
def _remind_takers(place: Place, now: datetime) -> bool:
    workflow, environment, role = place
    held = Workflow.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=workflow).first()
    about = "/".join(map(str, place))
    recent = Notification.objects.about(about, Kind.REVIEWS_WAITING).filter(created_at__gt=now - _patience())
    if held is None or recent.exists():
        return False
    waiting = Review.objects.unheld(now).filter(workflow=workflow, environment=environment, role=role)
    found = waiting.aggregate(count=Count("pk"), since=Min("created_at"))
    if not found["count"]:
        return False
    to = audiences.holders("reviews.take", team=held.team_id, role=role, environment=environment)
    notifications.tell_of_reviews(workflow=held, about=about, to=to, now=now, **found)
    return True


def _patience() -> timedelta:
    return timedelta(minutes=settings.REMIND_TAKERS_MINUTES)
