"""Reminders: what waits for longer than it should is told again, no oftener than the operator says."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from governance import changes, reminders, reviews, workflows
from governance.models import Notification, NotificationKind
from tests.at_once import at_once
from tests.cast import Cast, make_cast, make_change, make_key, make_review

Kind = NotificationKind


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody."""
    return make_cast()


def remind(after: timedelta) -> int:
    """Let the sweeper come by so much later."""
    with time_machine.travel(timezone.now() + after, tick=True):
        return reminders.remind_due(now=timezone.now())


def asked(kind: Kind) -> set[str]:
    """Who was told last of a kind."""
    last = Notification.objects.filter(kind=kind).order_by("-created_at")[0]
    return {each.person.name for each in last.deliveries.all() if each.person}


def test_voters_of_what_waits_for_a_day_are_told_once_a_day(cast: Cast, settings: Any) -> None:
    change = make_change(cast, by=cast.second_lead)
    digest = change.revision.payload_digest
    assert remind(timedelta(hours=23)) == 0
    changes.vote(change=change, digest=digest, choice="abstain", reason="", by=cast.owner)
    assert remind(timedelta(hours=25)) == 1
    assert asked(Kind.VOTE_NEEDED) == {"Lead"}
    last = Notification.objects.order_by("-created_at")[0]
    assert (last.title, last.facts["reminder"]) == (
        f"Change {change.number} for {change.place} still asks for votes",
        True,
    )
    assert remind(timedelta(hours=48)) == 0
    assert remind(timedelta(hours=50)) == 1
    settings.REMIND_VOTERS_HOURS = 72
    assert remind(timedelta(hours=76)) == 0
    assert Notification.objects.filter(kind=Kind.VOTE_NEEDED).count() == 3


def test_nobody_is_reminded_of_what_no_vote_changes(cast: Cast) -> None:
    make_change(cast)
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
    assert remind(timedelta(days=3)) == 0


def test_of_cases_that_nobody_took_those_are_told_who_may_take_them(cast: Cast) -> None:
    key, _token = make_key(cast)
    now = timezone.now()
    long: dict[str, datetime] = {"respond_by": now + timedelta(days=1), "expires_at": now + timedelta(days=2)}
    first, second = make_review(key, **long), make_review(key, **long)
    assert remind(timedelta(minutes=30)) == 0
    assert remind(timedelta(minutes=61)) == 1
    assert asked(Kind.REVIEWS_WAITING) == {"Reviewer"}
    made = Notification.objects.get(kind=Kind.REVIEWS_WAITING)
    assert made.title == "2 cases of Customer feedback wait and nobody took them"
    assert made.path == "/reviews/?workflow=customer-feedback"
    assert remind(timedelta(minutes=90)) == 0
    assert remind(timedelta(minutes=125)) == 1
    for review in (first, second):
        later = now + timedelta(minutes=180)
        reviews.claim(review=review, by=cast.reviewer, now=later)
    assert remind(timedelta(minutes=190)) == 0


def test_of_two_sweepers_at_once_one_reminds(live_database: Any) -> None:
    make_change(make_cast())
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=True):
        told: list[Any] = at_once(*[lambda: reminders.remind_due(now=timezone.now())] * 3)
    assert sorted(told) == [0, 0, 1]
