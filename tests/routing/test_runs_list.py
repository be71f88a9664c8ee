"""Runs: the list, one pass through the steps of a workflow, and the same in their file."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import reviews
from governance.models import Review
from tests.pages import file, signed_in, text
from tests.routing.asked import Shop, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    """Three runs, oldest first: both steps kept, one waits for a person, one was refused; and a request without one."""
    made = make_shop()
    now = timezone.now()
    made.ask(0.9, at=now - timedelta(minutes=9), run="mail 1/a", step="language")
    made.ask(0.2, 0.9, at=now - timedelta(minutes=8), run="mail 1/a")
    made.ask(0.9, at=now - timedelta(minutes=7), run="mail-2", step="language")
    made.ask(0.2, 0.3, 0.4, at=now - timedelta(minutes=6), run="mail-2")
    made.ask(at=now - timedelta(minutes=5), run="mail-3", data_class="restricted")
    made.ask(0.9, at=now - timedelta(minutes=4))
    return made


def test_each_run_stands_once_with_its_sum_and_what_came_of_it(shop: Shop) -> None:
    answer = signed_in(shop.cast.lead).get(reverse("runs"))
    rows = [
        (run.name, run.requests, run.steps, run.amounts.get("USD"), run.standing.words, len(drawn))
        for run, drawn in answer.context["rows"]
    ]
    assert rows == [
        ("mail-3", 1, 1, None, "failed", 1),
        ("mail-2", 2, 2, Decimal("0.024"), "waits for a person", 2),
        ("mail 1/a", 2, 2, Decimal("0.018"), "all kept", 2),
    ]
    assert "Of the 3 runs shown, 1 waits for a person and 1 went wrong" in text(answer)
    oldest_first = signed_in(shop.cast.lead).get(reverse("runs"), {"sort": "when"}).context["rows"]
    assert [run.name for run, _drawn in oldest_first] == ["mail 1/a", "mail-2", "mail-3"]


def test_the_file_holds_the_same(shop: Shop) -> None:
    rows = file(signed_in(shop.cast.lead).get(reverse("runs_csv")))
    assert [(row["run"], row["requests"], row["amount"], row["outcome"]) for row in rows] == [
        ("mail-3", "1", "", "failed"),
        ("mail-2", "2", "0.0240000000", "waits for a person"),
        ("mail 1/a", "2", "0.0180000000", "all kept"),
    ]


def test_one_run_shows_its_requests_in_their_order(shop: Shop) -> None:
    answer = signed_in(shop.cast.lead).get(reverse("run", args=["customer-feedback", "mail 1/a"]))
    assert [row.decision.step for row in answer.context["rows"]] == ["language", "sentiment"]
    said = text(answer)
    assert "All 2 steps answered: USD 0.018 in 60 ms" in said
    assert "All 2 requests" in said


def test_a_step_asked_again_counts_by_what_came_of_it_at_last(shop: Shop) -> None:
    shop.ask(0.9, run="mail-3")
    answer = signed_in(shop.cast.lead).get(reverse("run", args=["customer-feedback", "mail-3"]))
    run = answer.context["run"]
    assert (run.requests, run.steps, run.standing.words) == (2, 1, "all kept")


def test_a_persons_answer_ends_a_run(shop: Shop) -> None:
    review, now = Review.objects.get(), timezone.now()
    held = reviews.claim(review=review, by=shop.cast.reviewer, now=now)
    reviews.answer(review=held, token=held.claim_token, answer={"label": "positive"}, by=shop.cast.reviewer, now=now)
    said = text(signed_in(shop.cast.lead).get(reverse("run", args=["customer-feedback", "mail-2"])))
    assert "All 2 steps answered, 1 by a person" in said


def test_a_time_that_nobody_used_is_said(shop: Shop) -> None:
    review = Review.objects.get()
    assert reviews.expire_due(now=review.expires_at) == 1
    said = text(signed_in(shop.cast.lead).get(reverse("run", args=["customer-feedback", "mail-2"])))
    assert "1 of 2 steps went to a person and nobody decided" in said


def test_whose_runs_are_read(shop: Shop) -> None:
    stranger = signed_in(shop.cast.stranger)
    assert list(stranger.get(reverse("runs")).context["rows"]) == []
    assert file(stranger.get(reverse("runs_csv"))) == []
    assert stranger.get(reverse("runs"), {"workflow": "customer-feedback"}).status_code == 422
    for person in (shop.cast.stranger, shop.cast.reviewer):
        assert signed_in(person).get(reverse("run", args=["customer-feedback", "mail-2"])).status_code == 404
    assert signed_in(shop.cast.reviewer).get(reverse("runs")).status_code == 403
    lead = signed_in(shop.cast.lead)
    assert lead.get(reverse("run", args=["customer-feedback", "nothing"])).status_code == 404
    assert lead.get(reverse("runs"), {"kind": "nonsense"}).status_code == 422


def test_runs_of_a_kind(shop: Shop) -> None:
    lead = signed_in(shop.cast.lead)
    assert len(lead.get(reverse("runs"), {"kind": "work"}).context["rows"]) == 3
    assert "No run matches" in text(lead.get(reverse("runs"), {"kind": "evaluation"}))


def test_nothing_here_says_how_a_run_is_named() -> None:
    said = text(signed_in(make_shop().cast.lead).get(reverse("runs")))
    assert "Requests that carry the same run in their metadata stand here together." in said
