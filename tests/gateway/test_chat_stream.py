"""Streams: directly where nothing has to be judged first, retold where a gate has passed, honest when they break."""

import json
import time
from typing import Any

import httpx2
import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.world import ask, wait

WORDS = {"text": "one two three four"}


def events_of(site: Site, decision: str, count: int) -> list[dict[str, Any]]:
    """The usage events of a decision as the control plane got them."""

    def found() -> list[dict[str, Any]]:
        return [event for event in site.control.of_kind("events") if event["decision"] == decision]

    wait(lambda: len(found()) >= count, "the events did not come")
    return sorted(found(), key=lambda event: event["attempt"])


def test_an_ungated_step_streams_the_first_chunk_as_it_comes(site: Site) -> None:
    client = site.process.client(site.token("open"))
    began = time.monotonic()
    times, chunks = [], []
    with client.chat.completions.with_streaming_response.create(
        stream=True, **ask({"small": WORDS | {"pause": 0.2}})
    ) as raw:
        headers = raw.headers
        for chunk in raw.parse():
            times.append(time.monotonic() - began)
            chunks.append(chunk)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three four"
    assert {chunk.model for chunk in chunks} == {"small"}
    assert chunks[-1].choices[0].finish_reason == "stop"
    # The first word was here while the model was still at the second.
    assert times[-1] - times[0] > 0.5
    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["x-smallfirst-model"], headers["x-smallfirst-attempts"]) == ("small", "1")
    assert "x-smallfirst-cost" not in headers

    (event,) = events_of(site, headers["x-smallfirst-decision"], 1)
    assert (event["outcome"], event["kept"], event["input_tokens"], event["output_tokens"]) == ("ok", True, 100, 10)
    assert (event["model_served"], event["usage_quality"]) == ("small-2026-01", "exact")
    assert event["first_byte_ms"] < event["latency_ms"]


def test_usage_is_given_to_those_who_ask_for_it(site: Site) -> None:
    client = site.process.client(site.token("open"))
    silent = list(client.chat.completions.create(stream=True, **ask({"small": WORDS})))
    assert all(chunk.usage is None and chunk.choices for chunk in silent)
    asked = ask({"small": WORDS}, stream_options={"include_usage": True})
    told = list(client.chat.completions.create(stream=True, **asked))
    assert told[-1].choices == []
    assert told[-1].usage is not None
    assert told[-1].usage.total_tokens == 110
    sent = [body for body in site.models.asked if body["messages"] == asked["messages"]]
    assert sent[0]["stream_options"] == {"include_usage": True}


def test_a_gated_step_sends_nothing_before_the_gate_has_passed(site: Site) -> None:
    script = {
        "small": {"text": "positive", "logprob": -2.0},
        "mid": {"text": "negative", "logprob": -0.01, "delay": 0.3},
    }
    client = site.process.client(site.token("gated"))
    asked = ask(script, stream_options={"include_usage": True})
    with client.chat.completions.with_streaming_response.create(stream=True, **asked) as raw:
        headers, chunks = raw.headers, list(raw.parse())
    assert (headers["x-smallfirst-model"], headers["x-smallfirst-attempts"]) == ("mid", "2")
    # All of it is known before the first byte leaves, the cost too.
    assert headers["x-smallfirst-cost"] == "0.00024"
    assert [chunk.choices[0].delta.content for chunk in chunks[:-1]] == ["negative", None]
    assert (chunks[0].model, chunks[-2].choices[0].finish_reason) == ("mid", "stop")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 10
    assert all("stream" not in body for body in site.models.asked if body["messages"] == asked["messages"])


def test_a_kept_last_rung_streams_directly(site: Site) -> None:
    script = {"small": {"text": "?"}, "mid": {"text": "?"}, "big": WORDS | {"pause": 0.1}}
    asked = ask(script)
    client = site.process.client(site.token("gated"))
    with client.chat.completions.with_streaming_response.create(stream=True, **asked) as raw:
        headers, chunks = raw.headers, list(raw.parse())
    assert headers["x-smallfirst-model"] == "big"
    assert len(chunks) == 5
    last = [body for body in site.models.asked if body["messages"] == asked["messages"]][-1]
    assert (last["model"], last["stream"]) == ("big", True)
    assert "logprobs" not in last
    events = events_of(site, headers["x-smallfirst-decision"], 3)
    assert [event["kept"] for event in events] == [False, False, True]


@pytest.mark.parametrize("fault", [{"status": 500}, {"fault": "close"}, {"break_after": 0}, {"fault": "garbage"}])
def test_before_the_first_event_another_model_answers(site: Site, fault: dict[str, Any]) -> None:
    client = site.process.client(site.token("open"))
    asked = ask({"small": fault, "small-2": fault, "mid": WORDS})
    with client.chat.completions.with_streaming_response.create(stream=True, **asked) as raw:
        headers, chunks = raw.headers, list(raw.parse())
    assert (headers["x-smallfirst-model"], headers["x-smallfirst-attempts"]) == ("mid", "3")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three four"
    events = events_of(site, headers["x-smallfirst-decision"], 3)
    assert [event["outcome"] for event in events] == ["error", "error", "ok"]


@pytest.mark.parametrize(
    ("fault", "outcome", "error"),
    [
        ({"break_after": 2}, "error", "disconnected"),
        ({"break_after": 2, "break_with": "error"}, "error", "error_in_stream"),
        ({"break_after": 2, "break_with": "hang"}, "timeout", "timeout"),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error(site: Site, fault: dict[str, Any], outcome: str, error: str) -> None:
    client = site.process.client(site.token("open"))
    got: list[str | None] = []
    with client.chat.completions.with_streaming_response.create(stream=True, **ask({"small": WORDS | fault})) as raw:
        words = (chunk.choices[0].delta.content for chunk in raw.parse())
        with pytest.raises(openai.APIError, match="broke off"):
            got.extend(words)
    assert got == ["one", " two"]
    # Nobody else was asked: what has left cannot be taken back.
    (event,) = events_of(site, raw.headers["x-smallfirst-decision"], 1)
    assert (event["outcome"], event["error"], event["kept"]) == (outcome, error, False)
    assert (event["input_tokens"], event["usage_quality"]) == (None, "missing")
    wait(lambda: raw.headers["x-smallfirst-decision"] in site.control.stored, "the decision did not come")
    assert site.control.stored[raw.headers["x-smallfirst-decision"]]["outcome"] == "failed"


def test_a_broken_stream_is_no_finished_one_on_the_wire(site: Site) -> None:
    answer = site.process.post(site.token("open"), ask({"small": WORDS | {"break_after": 1}}, stream=True))
    lines = [line for line in answer.text.splitlines() if line]
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "no_model_available"
    assert "data: [DONE]" not in lines


def test_errors_of_a_stream_are_plain_answers(site: Site) -> None:
    broken = {"status": 500}
    answer = site.process.post(
        site.token("open"), ask({"small": broken, "small-2": broken, "mid": broken}, stream=True)
    )
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "no_model_available"


@pytest.mark.parametrize("stream", [True, False])
def test_a_caller_who_leaves_stops_the_model_and_is_metered(site: Site, stream: bool) -> None:
    script = {"patient": WORDS | ({"pause": 20} if stream else {"delay": 20})}
    before = len(site.models.cancelled)
    token, run = site.token("patient"), f"left-{stream}"
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(
            f"{site.process.url}/v1/chat/completions",
            json=ask(script, stream=stream, run=run),
            headers={"Authorization": f"Bearer {token}"},
            timeout=1,
        )

    def found() -> list[dict[str, Any]]:
        return [event for event in site.control.of_kind("events") if event["run"] == run]

    wait(lambda: bool(found()), "the attempt was not metered")
    (event,) = found()
    assert (event["outcome"], event["kept"], event["usage_quality"]) == ("aborted", False, "missing")
    wait(lambda: len(site.models.cancelled) == before + 1, "the model went on")
    wait(lambda: event["decision"] in site.control.stored, "the decision did not come")
    assert site.control.stored[event["decision"]]["outcome"] == "failed"


def test_a_whole_answer_is_retold_with_all_that_it_holds(site: Site) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    script = {"small": {"text": "positive", "logprob": -0.01, "message_fields": {"tool_calls": [call]}}}
    client = site.process.client(site.token("gated"))
    chunks = list(client.chat.completions.create(stream=True, logprobs=True, **ask(script)))
    assert chunks[0].choices[0].delta.tool_calls is not None
    assert (chunks[0].choices[0].delta.tool_calls[0].index, chunks[0].choices[0].delta.tool_calls[0].id) == (0, "c1")
    assert chunks[0].choices[0].logprobs is not None
    assert chunks[0].choices[0].delta.role == "assistant"
