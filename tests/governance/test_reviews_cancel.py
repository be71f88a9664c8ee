"""Ending a case without an answer: by lead or integrator, with a reason."""

from datetime import timedelta

import pytest

from governance import review_records, reviews
from governance.accounts import NotPermitted
from governance.models import AuditEvent
from tests.governance.desk import entries, found, make_desk, rows

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("who", ["lead", "integrator"])
@pytest.mark.parametrize("held", [False, True], ids=["open", "claimed"])
def test_a_case_is_cancelled_and_the_application_told(who: str, held: bool) -> None:
    desk = make_desk()
    review = desk.claimed() if held else desk.open()
    person = desk.cast.people[who]

    reviews.cancel(review=review, reason="The order was withdrawn", by=person, now=desk.now)

    ended = found(review.pk)
    assert (ended.status, ended.outcome, ended.ended_by, ended.claim_token) == ("cancelled", None, person, None)
    standing = review_records.standing(ended)
    assert (standing["status"], standing["outcome"]) == ("cancelled", None)
    assert entries(review)[-1] == ("reviews.cancel", person.name)
    assert AuditEvent.objects.about(review).get(action="reviews.cancel").reason == "The order was withdrawn"


@pytest.mark.parametrize("who", ["reviewer", "owner", "finance", "auditor", "admin", "stranger"])
def test_nobody_else_cancels(who: str) -> None:
    desk = make_desk()
    review = desk.open()
    before = rows()
    with pytest.raises(NotPermitted):
        reviews.cancel(review=review, reason="I say so", by=desk.cast.people[who], now=desk.now)
    assert rows() == before


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_reason_is_needed(reason: str) -> None:
    desk = make_desk()
    review = desk.open()
    before = rows()
    with pytest.raises(reviews.ReasonMissing) as refused:
        reviews.cancel(review=review, reason=reason, by=desk.cast.lead, now=desk.now)
    assert refused.value.field == "reason"
    assert rows() == before


def test_what_has_ended_is_not_cancelled() -> None:
    desk = make_desk()
    answered, over = desk.answered(), desk.open(opened_at=desk.now - timedelta(hours=2))
    before = rows()
    for review in (answered, over):
        with pytest.raises(reviews.AlreadyEnded):
            reviews.cancel(review=review, reason="too late", by=desk.cast.lead, now=desk.now)
    assert rows() == before
