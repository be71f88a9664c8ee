"""An application that asked for no exceptions gets none: it is refused and told why, and the log has the rest."""

import logging
import os
from typing import Any

import pytest

from smallfirst.client import Smallfirst
from smallfirst.records import Opened
from tests.client.shop import TEXT, Shop, wait_for
from tests.gateway.world import new_id, wait

UNSURE = {"confidence": 0.4, "text": "positive", "stop_reason": "stop", "output_tokens": 1, "latency_ms": 3}


@pytest.fixture
def client(shop: Shop, request: pytest.FixtureRequest) -> Smallfirst:
    """A client of the workflow `reviewed` that raises nothing."""
    return shop.client(getattr(request, "param", "reviewed"), raises=False)


def test_without_policies_it_refuses_and_goes_on_when_they_come(shop: Shop) -> None:
    shop.control.down = True
    client = shop.client(wait_seconds=0.2, raises=False)
    d = client.decide(messages=TEXT)
    assert (d.action, d.why.code, d.kept) == ("refuse", "not_ready", None)
    assert d.why.sentence.startswith("No policies have come yet")
    assert d.explain() == [d.why.sentence]
    assert d.next(**UNSURE) == "refuse"
    assert client.report(d) is False
    assert client.ask_person(d) is None
    shop.control.down = False
    wait(lambda: client.decide(messages=TEXT).action == "ask")
    assert client.flush()
    assert shop.stored() == []


def test_a_revoked_key_refuses(shop: Shop, client: Smallfirst, caplog: pytest.LogCaptureFixture) -> None:
    shop.control.credential = "sf_another"
    wait(lambda: client.status()["key"] == "turned away")
    with caplog.at_level(logging.ERROR, "smallfirst"):
        d = client.decide(messages=TEXT)
    assert (d.action, d.why.code) == ("refuse", "invalid_key")
    assert "decide.failed code=invalid_key reason=This API key is unknown or was revoked." in caplog.messages
    assert client.wait(new_id(), timeout=5) is None


@pytest.mark.parametrize(
    "facts", [{"step": ""}, {"data_class": "secret"}, {"signals": {"words": -1}}, {"messages": 7}, {"tags": [1]}]
)
def test_facts_that_cannot_be_used_refuse(shop: Shop, client: Smallfirst, facts: dict[str, Any]) -> None:
    d = client.decide(**facts)
    assert d.action == "refuse"
    assert client.report(d) is False
    assert client.flush()
    assert shop.stored() == []


@pytest.mark.parametrize(
    ("said", "action", "kept_as"),
    [
        # How sure it is cannot be known: not sure.
        ({"confidence": 1.0000001, "label": "positive", "stop_reason": "stop"}, "ask", ("ok", None)),
        ({"confidence": 0.9, "label": "positive", "stop_reason": "stop", "tokens": 9}, "keep", ("ok", None)),
        ({"confidence": 0.9, "label": "positive", "stop_reason": "stop", "output_tokens": -1}, "keep", ("ok", None)),
        # What came of it cannot be known: an error, and the next endpoint is asked.
        ({"confidence": 0.9, "label": "positive", "outcome": "fine"}, "ask", ("error", "unreadable")),
    ],
)
def test_what_cannot_be_used_of_an_attempt_is_not_known(
    shop: Shop, client: Smallfirst, said: dict[str, Any], action: str, kept_as: tuple[str, str | None]
) -> None:
    d = client.decide(messages=TEXT)
    assert d.next(**said) == action
    assert client.report(d) is True
    assert client.flush()
    (event,) = shop.stored("events")
    assert (event["outcome"], event["error"]) == kept_as


def test_what_was_not_due_changes_nothing(shop: Shop, client: Smallfirst) -> None:
    d = client.decide(messages=TEXT)
    assert client.ask_person(d) is None
    assert d.next(**UNSURE | {"confidence": 0.9}) == "keep"
    assert d.next(**UNSURE) == "keep"
    assert client.report(d) is True
    assert client.report(d) is False
    assert client.flush()
    assert len(shop.stored()) == len(shop.stored("events")) == 1


def test_a_full_disk_is_said_by_false(shop: Shop, client: Smallfirst, monkeypatch: pytest.MonkeyPatch) -> None:
    d, unsure = client.decide(messages=TEXT), client.decide(messages=TEXT)
    d.next(**UNSURE | {"confidence": 0.9})
    while unsure.action == "ask":
        unsure.next(**UNSURE)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert client.report(d) is False
        assert client.ask_person(unsure) is None
        assert client.wait(client.ask_person(unsure)) is None
    assert client.report(d) is True
    assert isinstance(client.ask_person(unsure), Opened)
    assert client.flush()
    assert {each["id"] for each in shop.stored()} == {d.id, unsure.id}


def test_nobody_has_decided_in_time(shop: Shop, client: Smallfirst) -> None:
    d = client.decide(messages=TEXT)
    while d.action == "ask":
        d.next(**UNSURE)
    review = client.ask_person(d)
    assert isinstance(review, Opened)
    assert client.wait(review, timeout=0) is None
    wait(lambda: review.id in shop.control.standings)
    shop.control.end_review(review.id, "answered", by="person", action="answer", answer={"label": "negative"})
    assert wait_for(client, review).status == "answered"


def test_once_closed_it_refuses(client: Smallfirst) -> None:
    client.close(1)
    assert client.decide(messages=TEXT).why.code == "not_ready"
