"""What a case said goes when its workflow keeps it no longer, by itself, each with its entry in the audit log."""

from datetime import timedelta

import pytest

from config.celery import app
from governance import review_records, reviews, tasks
from governance.models import AuditEvent, Review, Workflow
from tests.governance.desk import Desk, entries, found, make_desk, rows

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def keeping(days: int) -> Desk:
    """A desk whose workflow keeps texts for so many days."""
    desk = make_desk()
    Workflow.objects.filter(pk=desk.cast.workflow.pk).update(retention_days=days)
    return desk


def fetched(review: Review) -> None:
    """As if the application had its answer."""
    Review.objects.filter(pk=review.pk).update(delivered_at=review.ended_at)


def test_a_text_goes_on_its_day_and_not_before() -> None:
    desk = keeping(30)
    review = desk.answered()
    assert reviews.erase_due(now=desk.now + 30 * DAY - SECOND) == 0
    assert found(review.pk).body.sealed

    assert reviews.erase_due(now=desk.now + 30 * DAY) == 1

    erased = found(review.pk)
    assert (erased.body.sealed, erased.body.answer, erased.body.erased_at) == (None, None, desk.now + 30 * DAY)
    assert (erased.status, erased.outcome, erased.ended_by) == ("answered", "answer", desk.reviewer)
    assert entries(review)[-1] == ("reviews.erase", "sweeper")
    assert AuditEvent.objects.about(review).get(action="reviews.erase").reason == "The workflow keeps texts for 30 days"
    before = rows()
    assert reviews.erase_due(now=desk.now + 60 * DAY) == 0
    assert rows() == before


def test_where_nothing_is_kept_an_answer_waits_for_its_application() -> None:
    desk = keeping(0)
    told, untold, expired = desk.answered(), desk.answered(), desk.expired(opened_at=desk.now - timedelta(hours=2))
    fetched(told)
    assert reviews.erase_due(now=desk.now) == 1
    assert found(told.pk).body.sealed is None
    assert review_records.standing(found(untold.pk))["outcome"]["answer"] == {"label": "positive"}
    assert reviews.erase_due(now=max(desk.now, expired.ended_at or desk.now) + DAY) == 2
    assert Review.objects.filter(body__erased_at=None).count() == 0


def test_what_waits_is_kept_however_old() -> None:
    desk = keeping(0)
    review = desk.open()
    cancelled = reviews.cancel(review=desk.open(), reason="asked twice", by=desk.cast.lead, now=desk.now)
    assert reviews.erase_due(now=desk.now) == 1
    assert found(cancelled.pk).body.erased_at == desk.now
    before = rows()
    assert reviews.erase_due(now=desk.now + 400 * DAY) == 0
    assert rows() == before
    assert found(review.pk).body.sealed


def test_a_turn_is_bounded_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = keeping(1)
    monkeypatch.setattr(reviews, "MOST_ERASED", 2)
    for _ in range(3):
        desk.answered()
    assert [reviews.erase_due(now=desk.now + DAY) for _ in range(3)] == [2, 1, 0]


def test_the_task_runs_every_minute() -> None:
    name = tasks.erase_reviews.name
    assert [entry["schedule"] for entry in app.conf.beat_schedule.values() if entry["task"] == name] == [60]
    desk = keeping(0)
    review = desk.answered()
    fetched(review)

    tasks.erase_reviews()

    assert found(review.pk).body.sealed is None
