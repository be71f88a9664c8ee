"""Reviews that an application opens in process: sealed, the policy's terms, once each, and waited for."""

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from smallfirst.client import InvalidInput, NotReady, ReviewNotTaken, ReviewUnknown, Smallfirst, StillWaiting
from smallfirst.deciding import Deciding
from smallfirst.records import review_id
from tests.client.shop import TEXT, Shop, open_review, wait_for
from tests.gateway.world import opened, wait

UNSURE = {"confidence": 0.4, "text": "positive", "stop_reason": "stop", "output_tokens": 1, "latency_ms": 3}


def unsure(client: Smallfirst, **said: Any) -> Deciding:
    """A decision in which no model was sure."""
    d = client.decide(messages=TEXT, **said)
    assert [d.next(**UNSURE) for _ in range(3)] == ["ask", "ask", "person"]
    return d


def test_a_person_is_asked_on_the_policys_terms(shop: Shop) -> None:
    client = shop.client("reviewed")
    d = unsure(client, run="r-1")
    context = [{"label": "Order", "table": {"columns": ["item"], "rows": [["lamp"]]}}]
    review = open_review(client, d, title="Lamp", url="https://shop.example/17", context=context)
    assert client.flush()

    (record,) = shop.stored("reviews")
    assert (record["id"], record["decision"], record["run"]) == (review.id, d.id, "r-1")
    assert record["id"] == review_id(shop.world.key("reviewed"), bytes.fromhex(record["request_digest"]))
    assert (record["role"], record["title"], record["reason"]["code"]) == ("reviewer", "Sentiment", "unsure")
    assert review.respond_by - review.opened_at == timedelta(minutes=15)
    assert review.expires_at - review.opened_at == timedelta(hours=1)
    shown = opened(shop.world.signer, record)
    assert shown["messages"] == TEXT
    assert (shown["title"], shown["url"], shown["context"]) == ("Lamp", "https://shop.example/17", context)
    assert [said["model"] for said in shown["attempts"]] == ["small", "mid", "big"]
    assert [(said["text"], said["label"], said["threshold"]) for said in shown["attempts"]] == [
        ("positive", "positive", 0.8)
    ] * 3
    (decision,) = shop.stored()
    assert (decision["outcome"], decision["review"]) == ("person", review.id)
    assert len(shop.stored("events")) == 3


def test_what_is_on_disk_is_sealed(shop: Shop) -> None:
    client = shop.client("reviewed")
    shop.control.down = True
    client.ask_person(unsure(client), title="Confidential")
    files = b"".join(path.read_bytes() for path in shop.state.rglob("*") if path.is_file())
    assert b"lamp" not in files
    assert b"Confidential" not in files
    shop.control.down = False
    assert client.flush(30)


def test_the_same_request_has_the_same_review(shop: Shop) -> None:
    client = shop.client("reviewed")
    first, second = open_review(client, unsure(client, run="a")), open_review(client, unsure(client, run="b"))
    other = open_review(client, unsure(client, language="en"))
    assert first.id == second.id != other.id
    assert client.flush()
    assert {record["id"] for record in shop.stored("reviews")} == {first.id, other.id}
    assert [decision["review"] for decision in shop.stored()] == [first.id, first.id, other.id]


def test_the_answer_is_waited_for_and_told_once(shop: Shop) -> None:
    client = shop.client("reviewed")
    review = open_review(client, unsure(client))
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(client.wait(review, timeout=20)))
    waiting.start()
    wait(lambda: review.id in shop.control.standings)
    shop.control.end_review(review.id, "answered", by="person", action="answer", answer={"label": "negative"})
    waiting.join(20)
    (standing,) = found
    assert (standing.status, standing.outcome.by, standing.outcome.answer) == (
        "answered",
        "person",
        {"label": "negative"},
    )
    assert wait_for(client, review.id).status == "answered"
    assert client.flush()
    assert shop.control.delivered == [review.id]


def test_nobody_decides_in_time(shop: Shop) -> None:
    client = shop.client("reviewed")
    review = open_review(client, unsure(client))
    with pytest.raises(TimeoutError):
        client.wait(review, timeout=0.1)
    shop.control.down = True
    with pytest.raises(StillWaiting):
        client.wait(review, timeout=0)
    shop.control.down = False
    assert client.flush(30)
    shop.control.end_review(review.id, "cancelled")
    assert wait_for(client, review).outcome is None


def test_a_review_that_is_not_taken_is_not_waited_for(shop: Shop) -> None:
    client = shop.client("reviewed")
    shop.control.refuse.add("*")
    review = open_review(client, unsure(client))
    with pytest.raises(ReviewNotTaken, match="not known here"):
        client.wait(review, timeout=20)
    # Asked again, it is opened anew.
    shop.control.refuse.clear()
    client.ask_person(unsure(client))
    assert client.flush()
    with pytest.raises(StillWaiting):
        client.wait(review, timeout=0)


def test_a_review_that_nobody_knows_is_not_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    client = shop.client("reviewed")
    # It may lie in the spool of who opened it: the first answer is not the last word.
    with pytest.raises(StillWaiting):
        client.wait(str(uuid4()), timeout=0)
    monkeypatch.setattr("smallfirst.client.UNKNOWN_SECONDS", 0.1)
    with pytest.raises(ReviewUnknown, match="knows no review"):
        client.wait(str(uuid4()))
    assert shop.client("reviewed", raises=False).wait(str(uuid4())) is None
    # One that waits here to be delivered is not unknown, nor is any while the control plane is silent.
    shop.control.down = True
    review = open_review(client, unsure(client))
    with pytest.raises(StillWaiting):
        client.wait(review, timeout=1)
    shop.control.down = False
    assert client.flush(30)
    shop.control.end_review(review.id, "cancelled")
    assert wait_for(client, review).status == "cancelled"


def test_closing_ends_the_waiting(shop: Shop) -> None:
    client = shop.client("reviewed")
    review = open_review(client, unsure(client))
    ended: list[str] = []

    def waiting() -> None:
        try:
            client.wait(review)
        except NotReady as error:
            ended.append(str(error))

    thread = threading.Thread(target=waiting)
    thread.start()
    client.close(10)
    thread.join(20)
    assert ended == ["This Smallfirst is closed."]


def test_a_person_is_asked_where_the_policy_says_so_and_nowhere_else(shop: Shop) -> None:
    client = shop.client("reviewed")
    d = client.decide(messages=TEXT)
    with pytest.raises(InvalidInput, match="nobody is to be asked"):
        client.ask_person(d)
    sure = UNSURE | {"confidence": 0.9}
    assert d.next(**sure) == "keep"
    with pytest.raises(InvalidInput, match="nobody is to be asked"):
        client.ask_person(d)
    with pytest.raises(InvalidInput, match="a person must decide"):
        client.report(unsure(client))
    assert client.flush()
    assert shop.stored() == []


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ({"url": "javascript:alert(1)"}, "url"),
        ({"context": [{"label": "Note"}]}, "context[0]"),
        ({"context": [{"label": "Note", "text": "a", "thread": []}]}, "context[0]"),
        ({"context": [{"text": "a"}]}, "context[0].label"),
        ({"answer": {"type": "label"}}, "answer"),
        ({"messages": [{"role": "user", "content": "x" * 1_000_001}]}, "messages"),
        ({"messages": [{"role": "user", "content": object()}]}, "messages"),
    ],
)
def test_what_cannot_be_shown_opens_nothing(shop: Shop, added: dict[str, Any], named: str) -> None:
    client = shop.client("reviewed")
    d = unsure(client)
    with pytest.raises(InvalidInput) as refused:
        client.ask_person(d, **added)
    assert refused.value.field.startswith(named)
    assert client.flush()
    assert shop.stored() == shop.stored("reviews") == []
    # Nothing was lost by it.
    client.ask_person(d)
    assert client.flush()
    assert len(shop.stored("reviews")) == 1


def test_without_texts_there_is_nothing_to_show(shop: Shop) -> None:
    client = shop.client("reviewed")
    d = client.decide(signals={"words": 3})
    for _ in range(3):
        d.next(**UNSURE)
    with pytest.raises(InvalidInput, match="messages"):
        client.ask_person(d)
    assert open_review(client, d, messages=TEXT).decision == d.id
