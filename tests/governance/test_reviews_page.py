"""The page of a case: what the application wants its reviewer to see, in the form in which it sent it."""

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from governance.models import Review, User
from smallfirst.cases import SHOWN_CHARACTERS
from smallfirst.gateway.wire import encode, read_chat
from tests.governance.desk import BODY, Desk, found, make_desk, rows, sealed
from tests.pages import signed_in

pytestmark = pytest.mark.django_db

CONTEXT = [
    {"label": "Order", "table": {"columns": ["item", "price"], "rows": [["lamp <b>", 20.5], ["shade", None]]}},
    {
        "label": "Mails",
        "thread": [
            {"author": "Customer", "text": "It is <i>broken</i>.", "at": "14 Nov"},
            {"author": "Shop", "text": "Which part?"},
        ],
    },
    {"label": "Note", "text": "Second complaint."},
]


def on_the_wire(review: dict[str, Any]) -> dict[str, Any]:
    """What of a request's review field a gateway puts into the box."""
    raw = json.dumps(
        {"model": "auto", "messages": [{"role": "user", "content": "Hello"}], "smallfirst": {"review": review}}
    )
    read = read_chat(raw.encode()).review
    assert read
    sent: dict[str, Any] = json.loads(encode({"title": read.title, "url": read.url, "context": read.context}))
    return sent


def case_with(desk: Desk, review: dict[str, Any]) -> Review:
    """A case that the reviewer has and that shows this."""
    record = desk.record()
    record["body"] = sealed(record["id"], BODY | on_the_wire(review))
    desk.send(record)
    return Review.objects.get(pk=record["id"])


def page(person: User, review: Review, *, take: bool = True) -> str:
    """The case's page as this person sees it, after taking it."""
    client = Client()
    client.force_login(person)
    if take:
        client.post(reverse("review_claim", args=[review.pk]))
    answer = client.get(reverse("review", args=[review.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def text(markup: str) -> str:
    """What is left to read when the tags are gone."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup)))


def test_a_table_a_thread_and_a_text_stand_as_the_application_sent_them() -> None:
    desk = make_desk()
    review = case_with(desk, {"title": "Refund of order 17", "context": CONTEXT})

    markup = page(desk.reviewer, review)

    said = text(markup)
    assert "Refund of order 17" in said
    assert "Order item price lamp <b> 20.5 shade " in said
    assert "Mails Customer 14 Nov It is <i>broken</i>. Shop Which part?" in said
    assert "Note Second complaint." in said
    assert "None" not in said
    assert "<i>broken" not in markup


def test_a_case_without_context_shows_the_request_alone() -> None:
    desk = make_desk()
    said = text(page(desk.reviewer, case_with(desk, {})))
    assert "The request Is this lamp any good?" in said


@pytest.mark.parametrize(("who", "there"), [("reviewer", False), ("auditor", True), ("lead", True)])
def test_the_request_behind_it_is_linked_for_who_may_see_it(who: str, there: bool) -> None:
    desk = make_desk()
    review = desk.open()
    address = reverse("request", args=[review.decision])
    assert (address in page(desk.cast.people[who], review, take=False)) is there


SAID = {"model": "smollm2-135m", "tier": "mid", "outcome": "ok"}
TEXT: dict[str, Any] = {"type": "text", "options": [], "schema": None}


def drafted(desk: Desk, draft: str) -> Review:
    """A case whose answer is a text that a model drafted, for a person to release."""
    record = desk.record(answer=TEXT, reason={"code": "always", "text": "A person releases every answer."})
    record["body"] = sealed(record["id"], BODY | {"attempts": [SAID | {"text": draft}]})
    desk.send(record)
    return found(record["id"])


def test_a_text_to_release_starts_as_its_draft_and_is_sent_as_it_stands() -> None:
    desk = make_desk()
    review = drafted(desk, "We are <sorry>.")

    markup = page(desk.reviewer, review)

    assert "We are &lt;sorry&gt;.</textarea>" in markup
    assert "proposed" in text(markup)
    assert "not sure, climbed" not in markup
    given = {"token": str(found(review.pk).claim_token), "text": "We are <sorry>."}
    signed_in(desk.reviewer).post(reverse("review_answer", args=[review.pk]), given)
    assert "We are &lt;sorry&gt;." in page(desk.reviewer, review, take=False)


def test_a_draft_that_the_case_holds_only_in_part_is_not_offered() -> None:
    desk = make_desk()
    assert "long</textarea>" not in page(desk.reviewer, drafted(desk, "long" * (SHOWN_CHARACTERS // 4)))


def test_a_skipped_case_comes_back_after_the_others_alone() -> None:
    desk = make_desk()
    first, second = desk.open(opened_at=desk.now - timedelta(minutes=5)), desk.open()
    reviewer = signed_in(desk.reviewer)

    taken = reviewer.post(reverse("review_next"))

    assert taken["location"] == reverse("review", args=[first.pk])
    skipped = reviewer.post(
        reverse("review_release", args=[first.pk]), {"token": str(found(first.pk).claim_token), "next": "1"}
    )
    assert skipped["location"] == reverse("review", args=[second.pk])
    assert [found(each.pk).status for each in (first, second)] == ["open", "claimed"]
    put_back = {"token": str(found(second.pk).claim_token)}
    assert reviewer.post(reverse("review_release", args=[second.pk]), put_back)["location"] == reverse("reviews")
    # Both were passed over: the one that is due first comes first again.
    assert reviewer.post(reverse("review_next"))["location"] == reverse("review", args=[first.pk])


@pytest.mark.parametrize("token", ["", "none", "00000000-0000-0000-0000-000000000000"])
def test_who_does_not_hold_a_case_skips_nothing(token: str) -> None:
    desk = make_desk()
    review, other = desk.claimed(), desk.open()
    before = rows()
    answer = signed_in(desk.second).post(reverse("review_release", args=[review.pk]), {"token": token, "next": "1"})
    assert answer["location"] == reverse("review", args=[review.pk])
    assert rows() == before
    assert found(other.pk).status == "open"


def test_an_ended_case_leads_to_the_next_one() -> None:
    desk = make_desk()
    ended = desk.answered()
    address = f'action="{reverse("review_next")}"'
    assert address not in page(desk.reviewer, ended, take=False)
    desk.open()
    assert address in page(desk.reviewer, ended, take=False)
    assert address not in page(desk.cast.auditor, ended, take=False)


def test_the_list_says_who_has_a_case_and_what_came_of_one() -> None:
    desk = make_desk()
    desk.answered()
    desk.claimed()
    said = text(signed_in(desk.reviewer).get(reverse("reviews"), {"status": "all"}).content.decode())
    assert f"with {desk.reviewer}" in said
    assert f"Answered {desk.reviewer}" in said


def test_what_one_decided_today_is_listed_by_itself() -> None:
    desk = make_desk()
    desk.answered()
    desk.claimed()
    for person, count in ((desk.reviewer, 1), (desk.cast.lead, 0)):
        listed = signed_in(person).get(reverse("reviews"), {"status": "mine"})
        assert listed.context["page"].paginator.count == count
    said = text(signed_in(desk.reviewer).get(reverse("reviews")).content.decode())
    assert "1 decided by you today" in said
