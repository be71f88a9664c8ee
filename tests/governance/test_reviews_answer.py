"""Deciding a case: by who has it, in the form the policy asks for, once; kept sealed, told to the application."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from governance import review_records, reviews
from governance.accounts import NotPermitted
from governance.models import AuditEvent, Review
from smallfirst.seal import SealError, open_box, read_key_file
from tests.governance.desk import Desk, entries, found, make_desk, rows, take_away_role

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
ADDRESS = {
    "type": "object",
    "required": ["street"],
    "properties": {"street": {"type": "string", "minLength": 1}, "number": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}
LABEL: dict[str, Any] = {"type": "label", "options": ["positive", "negative"], "schema": None}
TEXT: dict[str, Any] = {"type": "text", "options": [], "schema": None}
FIELDS: dict[str, Any] = {"type": "fields", "options": [], "schema": ADDRESS}


def answer(desk: Desk, held: Review, said: Any, **given: Any) -> Review:
    """What the reviewer who has the case sends."""
    facts = {"token": held.claim_token, "by": desk.reviewer, "now": desk.now} | given
    return reviews.answer(review=held, answer=said, **facts)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (LABEL, {"label": "negative"}),
        (TEXT, {"text": "We refund the lamp.\nSorry!"}),
        (FIELDS, {"fields": {"street": "Kiehnlestraße", "number": 8}}),
    ],
    ids=["label", "text", "fields"],
)
def test_an_answer_ends_the_case_and_reaches_the_application(form: dict[str, Any], said: dict[str, Any]) -> None:
    desk = make_desk()
    held = desk.claimed(answer=form)

    answer(desk, held, said, now=desk.now + 3 * MINUTE)

    ended = found(held.pk)
    assert (ended.status, ended.outcome, ended.ended_by) == ("answered", "answer", desk.reviewer)
    assert (ended.ended_at, ended.claim_token, ended.claimed_until) == (desk.now + 3 * MINUTE, None, None)
    standing = review_records.standing(ended)
    assert standing["status"] == "answered"
    assert standing["outcome"] == {"by": "person", "action": "answer", "answer": said, "ended_at": ended.ended_at}
    assert entries(held)[-1] == ("reviews.answer", "Reviewer")


def test_an_answer_is_kept_sealed_and_stands_in_no_record() -> None:
    desk = make_desk()
    held = desk.claimed(answer=TEXT)
    answer(desk, held, {"text": "The customer is called Grete"})

    box = bytes(found(held.pk).body.answer or b"")

    assert b"Grete" not in box
    key = read_key_file(Path(settings.KEYS) / "review.key")
    assert json.loads(open_box(key, box, held.pk.bytes + b"answer")) == {"text": "The customer is called Grete"}
    with pytest.raises(SealError):
        open_box(key, box, held.pk.bytes)
    written = [str(vars(event)) for event in AuditEvent.objects.all()]
    assert not [text for text in written if "Grete" in text]


@pytest.mark.parametrize(
    ("form", "said", "field"),
    [
        (LABEL, {"label": "great"}, "label"),
        (LABEL, {"label": ""}, "label"),
        (LABEL, {"label": None}, "label"),
        (LABEL, {"label": ["positive"]}, "label"),
        (LABEL, {"text": "positive"}, "label"),
        (LABEL, {"label": "positive", "text": "and more"}, "label"),
        (LABEL, {}, "label"),
        (TEXT, {"text": "  \n "}, "text"),
        (TEXT, {"text": "a\x00b"}, "text"),
        (TEXT, {"text": "a" * 20_001}, "text"),
        (TEXT, {"text": 7}, "text"),
        (FIELDS, {"fields": {"number": 8}}, "fields"),
        (FIELDS, {"fields": {"street": ""}}, "fields.street"),
        (FIELDS, {"fields": {"street": "x", "number": 0}}, "fields.number"),
        (FIELDS, {"fields": {"street": "x", "extra": 1}}, "fields"),
        (FIELDS, {"fields": ["x"]}, "fields"),
        (FIELDS, {"fields": {"street": "x" * 100_001}}, "fields"),
        (FIELDS, {"fields": {"street": "x", "number": 2**60}}, "fields"),
        (FIELDS, {"fields": {"street": "x", "number": float("nan")}}, "fields"),
        (FIELDS, {"fields": {"street": "\ud800"}}, "fields"),
        (FIELDS | {"schema": {"$ref": "http://127.0.0.1:1/schema"}}, {"fields": {}}, "fields"),
        (FIELDS | {"schema": {"$ref": "file:///etc/hostname"}}, {"fields": {}}, "fields"),
        (FIELDS | {"schema": {"type": "nonsense"}}, {"fields": {}}, "fields"),
    ],
)
def test_a_bad_answer_names_its_field_and_changes_nothing(
    form: dict[str, Any], said: dict[str, Any], field: str
) -> None:
    desk = make_desk()
    held = desk.claimed(answer=form)
    before = rows()

    with pytest.raises(reviews.InvalidAnswer) as refused:
        answer(desk, held, said)

    assert refused.value.field == field
    assert str(refused.value).startswith(field)
    assert rows() == before


def test_a_pattern_that_would_take_for_ever_takes_no_time() -> None:
    desk = make_desk()
    schema = {"type": "object", "properties": {"name": {"pattern": "^(a+)+$"}}}
    held = desk.claimed(answer=FIELDS | {"schema": schema})
    with pytest.raises(reviews.InvalidAnswer):
        answer(desk, held, {"fields": {"name": "a" * 5000 + "!"}})


def test_without_a_claim_nothing_is_decided() -> None:
    desk = make_desk()
    review = desk.open()
    before = rows()
    with pytest.raises(reviews.ClaimLost):
        answer(desk, review, {"label": "positive"})
    assert rows() == before


def test_who_was_too_slow_and_lost_the_case_decides_nothing() -> None:
    desk = make_desk()
    held = desk.claimed()
    reviews.claim(review=held, by=desk.second, now=desk.now + 16 * MINUTE)
    before = rows()
    with pytest.raises(reviews.ClaimLost, match="Second reviewer took it"):
        answer(desk, held, {"label": "positive"}, now=desk.now + 17 * MINUTE)
    assert rows() == before


def test_who_was_slow_but_was_not_replaced_decides() -> None:
    desk = make_desk()
    held = desk.claimed()
    answer(desk, held, {"label": "positive"}, now=desk.now + 40 * MINUTE)
    assert found(held.pk).status == "answered"


def test_a_token_is_worth_nothing_in_another_hand() -> None:
    desk = make_desk()
    held = desk.claimed()
    before = rows()
    with pytest.raises(reviews.ClaimLost):
        answer(desk, held, {"label": "positive"}, by=desk.second)
    assert rows() == before


def test_who_lost_his_role_while_he_had_the_case_decides_nothing() -> None:
    desk = make_desk()
    held = desk.claimed()
    take_away_role(desk.reviewer, desk.cast.admin)
    before = rows()
    with pytest.raises(NotPermitted):
        answer(desk, held, {"label": "positive"})
    assert rows() == before


def test_a_late_click_is_told_honestly_and_changes_nothing() -> None:
    desk = make_desk()
    first, expired, cancelled, over = desk.claimed(), desk.claimed(), desk.claimed(), desk.claimed()
    answer(desk, first, {"label": "negative"})
    reviews.cancel(review=cancelled, reason="asked twice", by=desk.cast.lead, now=desk.now)
    later = over.expires_at
    assert reviews.expire_due(now=later) == 2
    still = desk.claimed(opened_at=desk.now + MINUTE)
    before = rows()

    for review, words in (
        (first, "Reviewer answered this case at"),
        (cancelled, "Lead cancelled this case at"),
        (expired, "ran out at .* the application is told that it is refused"),
        (still, "ran out at"),
    ):
        with pytest.raises(reviews.AlreadyEnded, match=f"{words}.*What you wrote was not sent"):
            answer(desk, review, {"label": "positive"}, now=still.expires_at)
    assert rows() == before


def test_an_answer_is_given_once() -> None:
    desk = make_desk()
    held = desk.claimed()
    answer(desk, held, {"label": "negative"})
    before = rows()
    with pytest.raises(reviews.AlreadyEnded):
        answer(desk, held, {"label": "positive"})
    assert rows() == before


@pytest.mark.parametrize(
    "change", [{"status": "open"}, {"outcome": "refuse"}, {"ended_by": None}, {"status": "cancelled", "outcome": None}]
)
def test_the_database_lets_nothing_end_twice(change: dict[str, Any]) -> None:
    desk = make_desk()
    review = desk.answered()
    with pytest.raises(IntegrityError), transaction.atomic():
        Review.objects.filter(pk=review.pk).update(**change)
