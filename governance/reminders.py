"""Reminders: what waits for longer than it should is told once more, no oftener than the operator says."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min

from governance import audiences, notifications
from governance.models import Change, Notification, NotificationKind, Review, Workflow

Kind = NotificationKind


def remind_due(*, now: datetime) -> int:
    """Tell voters of changes that wait for them, and takers of cases that nobody took; return how often.

    For the sweeper. Each in a transaction of its own; a change or workflow that somebody writes to this instant is left
    to the next turn.
    """
    after = timedelta(hours=settings.REMIND_VOTERS_HOURS)
    waiting = Change.objects.in_review().filter(revision__created_at__lte=now - after)
    told = sum([_remind_voters(key, now, after) for key in list(waiting.values_list("pk", flat=True))])
    return told + sum([_remind_takers(place, now) for place in _places(now)])


@transaction.atomic
def _remind_voters(key: UUID, now: datetime, after: timedelta) -> bool:
    if not Change.objects.in_review().select_for_update(skip_locked=True, of=("self",)).filter(pk=key):
        return False
    if Notification.objects.about(key, Kind.VOTE_NEEDED).filter(created_at__gt=now - after).exists():
        return False
    change = Change.objects.for_list().get(pk=key)
    asked = audiences.asked_to_vote(change)
    if asked:
        notifications.tell_of_change(kind=Kind.VOTE_NEEDED, change=change, to=asked, reminder=True)
    return bool(asked)


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
