"""The page of a case: what the application wants its reviewer to see, in the form in which it sent it."""

import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from governance.models import Review, User
from smallfirst.gateway.wire import encode, read_chat
from tests.governance.desk import BODY, Desk, make_desk, sealed

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
