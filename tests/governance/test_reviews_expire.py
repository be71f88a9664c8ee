"""When nobody decides in time, the policy's safe default is applied, once, by the sweeper."""

from datetime import timedelta
from typing import Any

import pytest

from config.celery import app
from governance import review_records, reviews, tasks
from governance.models import AuditEvent, Review
from tests.governance.desk import entries, found, make_desk, rows

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("held", [False, True], ids=["open", "claimed"])
def test_a_case_ends_when_its_time_is_over_and_not_before(held: bool) -> None:
    desk = make_desk()
    review = desk.claimed() if held else desk.open()
    assert reviews.expire_due(now=review.expires_at - SECOND) == 0
    assert found(review.pk).status == review.status

    assert reviews.expire_due(now=review.expires_at) == 1

    ended = found(review.pk)
    assert (ended.status, ended.outcome, ended.ended_by, ended.claim_token) == ("expired", "refuse", None, None)
    assert ended.ended_at == review.expires_at
    assert entries(review)[-1] == ("reviews.expire", "sweeper")
    assert AuditEvent.objects.about(review).get(action="reviews.expire").actor_kind == "service"


@pytest.mark.parametrize(
    ("on_expiry", "form", "told"),
    [
        ({"action": "refuse", "answer": None}, "label", None),
        ({"action": "answer", "answer": "negative"}, "label", {"label": "negative"}),
        ({"action": "answer", "answer": "We call you back."}, "text", {"text": "We call you back."}),
    ],
)
def test_the_application_is_told_the_safe_default(
    on_expiry: dict[str, Any], form: str, told: dict[str, str] | None
) -> None:
    desk = make_desk()
    options = ["positive", "negative"] if form == "label" else []
    ended = desk.expired(on_expiry=on_expiry, answer={"type": form, "options": options, "schema": None})
    assert review_records.standing(ended)["outcome"] == {
        "by": "expiry",
        "action": on_expiry["action"],
        "answer": told,
        "ended_at": ended.ended_at,
    }


def test_the_sweeper_leaves_what_has_ended_or_has_time() -> None:
    desk = make_desk()
    desk.answered()
    desk.open()
    reviews.cancel(review=desk.open(), reason="asked twice", by=desk.cast.lead, now=desk.now)
    before = rows()
    assert reviews.expire_due(now=desk.now + timedelta(minutes=59)) == 0
    assert rows() == before


def test_one_turn_ends_all_that_is_due_the_oldest_first() -> None:
    desk = make_desk()
    cases = [desk.open(opened_at=desk.now - timedelta(hours=hours)) for hours in (1, 3, 2)]
    assert reviews.expire_due(now=desk.now) == 3
    ended = AuditEvent.objects.filter(action="reviews.expire").order_by("at", "id")
    assert [event.object_id for event in ended] == [str(cases[place].pk) for place in (1, 2, 0)]
    assert reviews.expire_due(now=desk.now) == 0


def test_a_turn_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk()
    monkeypatch.setattr(reviews, "MOST_EXPIRED", 2)
    for _ in range(3):
        desk.open(opened_at=desk.now - timedelta(hours=2))
    assert [reviews.expire_due(now=desk.now) for _ in range(3)] == [2, 1, 0]


def test_the_task_runs_every_five_seconds() -> None:
    desk = make_desk()
    review = desk.open(opened_at=desk.now - timedelta(hours=2))
    name = tasks.expire_reviews.name
    assert [entry["schedule"] for entry in app.conf.beat_schedule.values() if entry["task"] == name] == [5]

    tasks.expire_reviews()

    assert Review.objects.get(pk=review.pk).status == "expired"
