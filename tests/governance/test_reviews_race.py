"""Answer, expiry and cancellation at once, on connections of their own: exactly one ends the case."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from governance import review_records, reviews
from governance.models import AuditEvent, Review
from smallfirst.records import Receipt
from tests.at_once import at_once, while_held
from tests.conftest import LiveDatabase
from tests.governance.desk import Desk, found, make_desk, wire

ENDS = ("answered", "expired", "cancelled")
END_ACTIONS = ("reviews.answer", "reviews.expire", "reviews.cancel")


def enders(desk: Desk, held: Review) -> dict[str, Callable[[], object]]:
    """The three ways in which a case that is due this very moment can end."""
    just_in_time = held.expires_at - timedelta(microseconds=1)
    said = {"label": "positive"}
    return {
        "answered": lambda: reviews.answer(
            review=held, token=held.claim_token, answer=said, by=desk.reviewer, now=just_in_time
        ),
        "expired": lambda: reviews.expire_due(now=held.expires_at),
        "cancelled": lambda: reviews.cancel(review=held, reason="late", by=desk.cast.lead, now=just_in_time),
    }


def ended_once(review: Review) -> str:
    """How it ended, once everything about that agrees."""
    stored = found(review.pk)
    assert stored.status in ENDS
    (event,) = AuditEvent.objects.about(stored).filter(action__in=END_ACTIONS)
    assert event.action == dict(zip(ENDS, END_ACTIONS, strict=True))[stored.status]
    assert (stored.body.answer is not None) == (stored.status == "answered")
    standing = review_records.standing(stored)
    assert standing["status"] == stored.status
    told = standing["outcome"]
    assert (told and told["by"]) == {"answered": "person", "expired": "expiry", "cancelled": None}[stored.status]
    return stored.status


@pytest.mark.parametrize("_", range(4))
def test_all_three_at_once_have_one_outcome(_: int, live_database: LiveDatabase) -> None:
    desk = make_desk()
    held = desk.claimed()

    results = dict(zip(ENDS, at_once(*enders(desk, held).values()), strict=True))

    how = ended_once(held)
    for name in ("answered", "cancelled"):
        won = isinstance(results[name], Review)
        assert won == (how == name)
        assert won or isinstance(results[name], reviews.AlreadyEnded), results[name]
    # A sweeper that met a locked case leaves it to whoever has it, and finds it ended at the next turn.
    assert results["expired"] == int(how == "expired")
    assert reviews.expire_due(now=held.expires_at) == 0


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(ENDS, 2)))
def test_whoever_comes_while_another_is_ending_the_case_changes_nothing(
    first: str, second: str, live_database: LiveDatabase
) -> None:
    """The first has done its work and not committed when the second begins."""
    desk = make_desk()
    held = desk.claimed()
    acts = enders(desk, held)

    result, waited = while_held(acts[first], acts[second])

    if second == "expired":
        assert (result, waited) == (0, False)
    else:
        assert waited
        assert isinstance(result, reviews.AlreadyEnded), result
    assert ended_once(held) == first


def test_two_who_ask_for_the_next_case_get_two(live_database: LiveDatabase) -> None:
    desk = make_desk()
    cases = {desk.open().pk for _ in range(4)}
    people = [desk.reviewer, desk.second] * 2

    taken = at_once(*[lambda by=by: reviews.claim_next(by=by, now=desk.now) for by in people])

    assert {review.pk for review in taken if isinstance(review, Review)} == cases


def test_who_asks_for_the_next_case_does_not_wait_for_one_being_taken(live_database: LiveDatabase) -> None:
    desk = make_desk()
    first, other = desk.open(opened_at=desk.now - timedelta(minutes=1)), desk.open()
    result, waited = while_held(
        lambda: reviews.claim_next(by=desk.reviewer, now=desk.now),
        lambda: reviews.claim_next(by=desk.second, now=desk.now),
    )
    assert (result, waited) == (other, False)
    assert found(first.pk).claimed_by == desk.reviewer


def test_two_who_take_the_same_case_have_it_one_at_a_time(live_database: LiveDatabase) -> None:
    desk = make_desk()
    review = desk.open()
    results = at_once(
        *[lambda by=by: reviews.claim(review=review, by=by, now=desk.now) for by in (desk.reviewer, desk.second)]
    )
    (holder,) = [result.claimed_by for result in results if isinstance(result, Review)]
    assert [type(result) for result in results if not isinstance(result, Review)] == [reviews.TakenByAnother]
    assert found(review.pk).claimed_by == holder


def test_who_loses_the_case_while_he_answers_decides_nothing(live_database: LiveDatabase) -> None:
    desk = make_desk()
    held = desk.claimed()
    later = desk.now + timedelta(minutes=16)
    result, waited = while_held(
        lambda: reviews.claim(review=held, by=desk.second, now=later),
        lambda: reviews.answer(
            review=held, token=held.claim_token, answer={"label": "positive"}, by=desk.reviewer, now=later
        ),
    )
    assert waited
    assert isinstance(result, reviews.ClaimLost), result
    assert found(held.pk).status == "claimed"


def test_two_gateways_that_open_the_same_case_open_one(live_database: LiveDatabase) -> None:
    desk = make_desk()
    record = desk.record()

    receipts = at_once(*[lambda: desk.send(record)] * 4)

    assert sorted((receipt.accepted, receipt.repeated) for receipt in receipts if isinstance(receipt, Receipt)) == [
        (0, 1),
        (0, 1),
        (0, 1),
        (1, 0),
    ]
    assert AuditEvent.objects.filter(action="reviews.open").count() == 1


def test_an_outcome_is_delivered_once(live_database: LiveDatabase) -> None:
    desk = make_desk()
    review = desk.answered()
    fetched = {"review": str(review.pk), "at": wire(desk.now)}
    receipts = at_once(*[lambda: desk.send(delivered=(fetched,))] * 3)
    assert sum(receipt.accepted for receipt in receipts if isinstance(receipt, Receipt)) == 1
    assert AuditEvent.objects.filter(action="reviews.deliver").count() == 1
