"""What a case says: opened for who has it, written down once, and gone when it is erased."""

from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from governance import review_records, reviews
from governance.accounts import NotPermitted
from governance.models import AuditEvent, Review, ReviewBody
from smallfirst.seal import new_secret, write_key_file
from tests.governance.desk import BODY, entries, found, make_desk, rows

pytestmark = pytest.mark.django_db


def test_who_has_the_case_reads_it_and_the_audit_says_so_once() -> None:
    desk = make_desk()
    held = desk.claimed()

    assert reviews.read_body(review=held, by=desk.reviewer) == BODY
    assert reviews.read_body(review=held, by=desk.reviewer) == BODY

    assert entries(held).count(("reviews.read", "Reviewer")) == 1


def test_each_claim_is_a_look_of_its_own() -> None:
    desk = make_desk()
    held = desk.claimed()
    reviews.read_body(review=held, by=desk.reviewer)
    reviews.release(review=held, token=held.claim_token, by=desk.reviewer, now=desk.now)
    again = reviews.claim(review=held, by=desk.second, now=desk.now)

    reviews.read_body(review=again, by=desk.second)

    looks = [actor for action, actor in entries(held) if action == "reviews.read"]
    assert looks == ["Reviewer", "Second reviewer"]


@pytest.mark.parametrize("who", ["second", "lead", "owner", "integrator", "auditor", "admin"])
def test_nobody_else_reads_it(who: str) -> None:
    desk = make_desk()
    held = desk.claimed()
    person = desk.second if who == "second" else desk.cast.people[who]
    before = rows()
    with pytest.raises(NotPermitted):
        reviews.read_body(review=held, by=person)
    assert rows() == before


def test_nobody_reads_it_before_taking_it_or_after_the_end() -> None:
    desk = make_desk()
    for review in (desk.open(), desk.answered()):
        with pytest.raises(NotPermitted, match="take it first"):
            reviews.read_body(review=review, by=desk.reviewer)


def test_auditors_see_that_there_is_a_case_and_not_what_was_answered() -> None:
    desk = make_desk()
    review = desk.answered()
    assert review in Review.objects.visible_to(desk.cast.auditor)
    assert review not in Review.objects.visible_to(desk.cast.stranger)
    with pytest.raises(NotPermitted):
        reviews.read_answer(review=review, by=desk.cast.auditor)


def test_an_answer_is_read_by_reviewers_and_that_is_written_down() -> None:
    desk = make_desk()
    review = desk.answered()
    assert reviews.read_answer(review=review, by=desk.reviewer) == {"label": "positive"}
    for _ in range(2):
        assert reviews.read_answer(review=review, by=desk.second) == {"label": "positive"}
    assert [actor for action, actor in entries(review) if action == "reviews.read"] == ["Second reviewer"]


def test_a_case_without_an_answer_has_none() -> None:
    desk = make_desk()
    assert reviews.read_answer(review=desk.open(), by=desk.reviewer) is None


def test_another_review_key_opens_nothing_and_says_so(tmp_path: Path, settings: Settings) -> None:
    desk = make_desk()
    held = desk.claimed()
    write_key_file(tmp_path / "review.key", new_secret())
    settings.KEYS = tmp_path
    before = rows()
    with pytest.raises(reviews.Unreadable, match="review key"):
        reviews.read_body(review=held, by=desk.reviewer)
    assert rows() == before


def test_a_body_swapped_with_another_cases_does_not_open() -> None:
    desk = make_desk()
    held, other = desk.claimed(), desk.open()
    sealed = bytes(found(other.pk).body.sealed or b"")
    ReviewBody.objects.filter(pk=held.pk).update(sealed=sealed)
    with pytest.raises(reviews.Unreadable):
        reviews.read_body(review=held, by=desk.reviewer)


def test_erasing_takes_the_words_and_leaves_the_record() -> None:
    desk = make_desk()
    review = desk.answered()
    before = AuditEvent.objects.about(review).count()
    digests = AuditEvent.objects.about(review).get(action="reviews.answer").after or {}

    reviews.erase(review=review, reason="The customer asked for it", by=desk.cast.lead, now=desk.now)

    erased = found(review.pk)
    assert (erased.body.sealed, erased.body.answer, erased.body.erased_at) == (None, None, desk.now)
    assert (erased.status, erased.outcome, erased.ended_by) == ("answered", "answer", desk.reviewer)
    assert len(digests["sealed_answer_sha256"]) == 64
    assert AuditEvent.objects.about(review).count() == before + 1
    event = AuditEvent.objects.about(review).get(action="reviews.erase")
    assert (event.actor_name, event.reason) == ("Lead", "The customer asked for it")
    assert reviews.read_answer(review=review, by=desk.reviewer) is None
    standing = review_records.standing(erased)
    assert (standing["status"], standing["outcome"]) == ("cancelled", None)


def test_what_still_waits_is_not_erased() -> None:
    desk = make_desk()
    before_open = desk.open()
    before = rows()
    with pytest.raises(reviews.StillWaiting, match="cancel it first"):
        reviews.erase(review=before_open, reason="asked for", by=desk.cast.lead, now=desk.now)
    assert rows() == before


def test_what_is_erased_stays_so() -> None:
    desk = make_desk()
    review = desk.answered()
    given: dict[str, Any] = {"review": review, "reason": "asked for", "by": desk.cast.lead, "now": desk.now}
    reviews.erase(**given)
    before = rows()
    with pytest.raises(reviews.BodyErased):
        reviews.erase(**given)
    assert rows() == before


@pytest.mark.parametrize("who", ["reviewer", "owner", "integrator", "auditor", "admin", "stranger"])
def test_nobody_but_a_lead_erases(who: str) -> None:
    desk = make_desk()
    review = desk.answered()
    before = rows()
    with pytest.raises(NotPermitted):
        reviews.erase(review=review, reason="asked for", by=desk.cast.people[who], now=desk.now)
    with pytest.raises(reviews.ReasonMissing):
        reviews.erase(review=review, reason=" ", by=desk.cast.lead, now=desk.now)
    assert rows() == before
