"""A chat request is answered under its workflow's policy, and every attempt is in the spool first."""

import json
from typing import Any

import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.world import USAGE, ask, wait

SURE, UNSURE = -0.05, -0.9


def said(text: str, logprob: float | None = None, **more: Any) -> dict[str, Any]:
    """What a model answers."""
    return {"text": text} | ({} if logprob is None else {"logprob": logprob}) | more


def events_of(site: Site, decision: str, count: int) -> list[dict[str, Any]]:
    """The usage events of a decision as the control plane got them, in the order of the attempts."""

    def found() -> list[dict[str, Any]]:
        return [event for event in site.control.of_kind("events") if event["decision"] == decision]

    wait(lambda: len(found()) >= count, f"{len(found())} of {count} events came")
    assert len(found()) == count
    return sorted(found(), key=lambda event: event["attempt"])


def decision_of(site: Site, decision: str) -> dict[str, Any]:
    """A decision as the control plane got it."""
    wait(lambda: decision in site.control.stored, "the decision did not come")
    return site.control.stored[decision]


def test_the_first_rung_of_an_ungated_step_answers(site: Site) -> None:
    client = site.process.client(site.token("open"))
    request = ask({"small": said("hello")}, run="r-1", metadata={"team": "a"})
    raw = client.chat.completions.with_raw_response.create(**request)

    answer = raw.parse()
    assert answer.choices[0].message.content == "hello"
    assert answer.model == "small"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 110
    assert raw.headers["x-smallfirst-model"] == "small"
    assert raw.headers["x-smallfirst-tier"] == "small"
    assert raw.headers["x-smallfirst-policy"] == "7"
    assert raw.headers["x-smallfirst-attempts"] == "1"
    assert raw.headers["x-smallfirst-cost"] == "0.00012"
    assert "x-smallfirst-review" not in raw.headers

    decision = decision_of(site, raw.headers["x-smallfirst-decision"])
    assert (decision["outcome"], decision["kept_model"], decision["tier"]) == ("kept", "small", "small")
    assert decision["key"] == site.world.key("open")
    (event,) = events_of(site, decision["id"], 1)
    assert event["workflow"] == site.world.workflow("open")
    assert event["environment"] == site.world.environment
    assert (event["outcome"], event["kept"], event["usage_quality"]) == ("ok", True, "exact")
    assert (event["input_tokens"], event["output_tokens"], event["cache_read_tokens"]) == (100, 10, 0)
    assert (event["model"], event["model_requested"], event["model_served"]) == ("small", "auto", "small-2026-01")
    assert (event["run"], event["tags"], event["provider_request_id"]) == ("r-1", {"team": "a"}, "req-1")


def test_doubt_climbs_until_a_model_is_sure(site: Site) -> None:
    script = {"small": said("positive", UNSURE), "mid": said("neutral", SURE), "big": said(" Negative\n", SURE)}
    answer = site.process.post(site.token("gated"), ask(script))

    assert answer.status_code == 200
    assert answer.json()["model"] == "big"
    assert answer.headers["x-smallfirst-attempts"] == "3"
    assert answer.headers["x-smallfirst-tier"] == "frontier"
    assert answer.headers["x-smallfirst-cost"] == "0.00036"
    # The gate asked for probabilities; this caller did not.
    assert answer.json()["choices"][0]["logprobs"] is None
    decision = decision_of(site, answer.headers["x-smallfirst-decision"])
    assert [attempt["label"] for attempt in decision["attempts"]] == ["positive", None, "negative"]
    assert decision["attempts"][0]["confidence"] == pytest.approx(0.4066, abs=0.001)
    assert [event["kept"] for event in events_of(site, decision["id"], 3)] == [False, False, True]


def test_a_caller_who_asks_for_logprobs_gets_them(site: Site) -> None:
    script = {"small": said("positive", SURE)}
    answer = site.process.post(site.token("gated"), ask(script, logprobs=True)).json()
    assert answer["choices"][0]["logprobs"]["content"][0]["logprob"] == SURE


def test_the_last_rung_is_kept_where_no_person_is_asked(site: Site) -> None:
    script = {"small": said("maybe", SURE), "mid": said("maybe", SURE), "big": said("perhaps")}
    answer = site.process.post(site.token("gated"), ask(script))
    assert answer.json()["choices"][0]["message"]["content"] == "perhaps"
    assert answer.json()["model"] == "big"


def test_an_error_asks_the_next_endpoint_then_climbs(site: Site) -> None:
    script = {"small": {"status": 500}, "small-2": {"status": 429}, "mid": said("hi")}
    answer = site.process.post(site.token("open"), ask(script))

    assert answer.json()["model"] == "mid"
    events = events_of(site, answer.headers["x-smallfirst-decision"], 3)
    assert [(event["outcome"], event["error"], event["http_status"]) for event in events] == [
        ("error", "http_500", 500),
        ("error", "http_429", 429),
        ("ok", None, 200),
    ]
    # What a failed answer took is not known, which is not zero; so neither is the total.
    assert [event["input_tokens"] for event in events] == [None, None, 100]
    assert [event["usage_quality"] for event in events] == ["missing", "missing", "exact"]
    assert "x-smallfirst-cost" not in answer.headers


@pytest.mark.parametrize(
    ("fault", "outcome", "error"),
    [
        ({"fault": "hang"}, "timeout", "timeout"),
        ({"fault": "close"}, "error", "disconnected"),
        ({"fault": "cut"}, "error", "disconnected"),
        ({"fault": "garbage"}, "error", "not_a_completion"),
        ({"status": 404}, "error", "http_404"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "error", "http_302"),
    ],
)
def test_whatever_the_network_does_another_model_answers(
    site: Site, fault: dict[str, Any], outcome: str, error: str
) -> None:
    script = {"small": fault, "small-2": fault, "mid": said("saved")}
    answer = site.process.post(site.token("open"), ask(script))
    assert answer.json()["choices"][0]["message"]["content"] == "saved"
    events = events_of(site, answer.headers["x-smallfirst-decision"], 3)
    assert [(event["outcome"], event["error"]) for event in events[:2]] == [(outcome, error)] * 2


def test_no_model_answers(site: Site) -> None:
    script = {"small": {"status": 503, "headers": {"Retry-After": "17"}}, "small-2": {"status": 500}}
    with pytest.raises(openai.APIStatusError) as caught:
        site.process.client(site.token("open")).chat.completions.create(**ask(script | {"mid": {"status": 500}}))
    assert (caught.value.status_code, caught.value.code) == (503, "no_model_available")
    assert caught.value.response.headers["retry-after"] == "17"
    decision = decision_of(site, caught.value.response.headers["x-smallfirst-decision"])
    assert (decision["outcome"], decision["kept_model"]) == ("failed", None)
    assert len(events_of(site, decision["id"], 3)) == 3


def test_a_request_that_every_model_refuses_is_the_callers_to_mend(site: Site) -> None:
    refusal = {"status": 400, "message": "tools are not known here"}
    answer = site.process.post(site.token("open"), ask({"small": refusal, "mid": refusal}))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_request")
    assert "tools are not known here" in error["message"]
    # Its other endpoint would refuse as well: not asked.
    events = events_of(site, answer.headers["x-smallfirst-decision"], 2)
    assert [event["outcome"] for event in events] == ["refused", "refused"]


def test_a_request_ends_at_its_deadline(site: Site) -> None:
    slow = {"delay": 5}
    answer = site.process.post(site.token("short"), ask({"small": slow, "small-2": slow, "mid": slow}))
    assert answer.status_code == 503
    events = events_of(site, answer.headers["x-smallfirst-decision"], 1)
    assert events[0]["outcome"] == "timeout"
    assert events[0]["latency_ms"] >= 900


def test_unknown_fields_pass_and_ours_do_not(site: Site) -> None:
    request = ask(
        {"small": said("x")},
        run="r",
        metadata={"step": "any", "team": "a"},
        top_k=40,
        exact=[1.0, 1e2, {"é": None}],
        user="u-1",
        stream=False,
        smallfirst={"review": {"title": "Case"}},
    )
    site.process.post(site.token("open"), request)
    sent = next(body for body in reversed(site.models.asked) if body["messages"] == request["messages"])
    assert sent == {
        "model": "small",
        "messages": request["messages"],
        "top_k": 40,
        "exact": [1.0, 1e2, {"é": None}],
        "user": "u-1",
    }


def test_a_policys_limit_on_output_is_sent(site: Site) -> None:
    cases: tuple[tuple[dict[str, Any], dict[str, int]], ...] = (
        ({}, {"max_completion_tokens": 50}),
        ({"max_tokens": 80}, {"max_tokens": 50}),
        ({"max_tokens": 20}, {"max_tokens": 20}),
        ({"max_completion_tokens": 80}, {"max_completion_tokens": 50}),
    )
    for given, sent in cases:
        request = ask({"small": said("x")}, **given)
        assert site.process.post(site.token("short"), request).status_code == 200
        body = next(body for body in reversed(site.models.asked) if body["messages"] == request["messages"])
        assert {name: value for name, value in body.items() if name.startswith("max_")} == sent


@pytest.mark.parametrize(
    ("usage", "buckets", "quality", "cost"),
    [
        (USAGE, (100, 0, 0, 10), "exact", "0.00012"),
        (
            {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 80}},
            (20, 80, 0, 10),
            "exact",
            "0.000048",
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, 0, 0), "exact", "0"),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 4}},
            (5, 0, 4, 1),
            "exact",
            None,  # writing to a cache has no price here
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}},
            (9, 0, 0, 1),
            "partial",
            "0.000011",
        ),
        ({"prompt_tokens": 9}, (9, 0, 0, None), "partial", None),
        (None, (None, 0, 0, None), "missing", None),
        ({"prompt_tokens": -1, "completion_tokens": 1}, (None, 0, 0, None), "missing", None),
        ("many", (None, 0, 0, None), "missing", None),
    ],
)
def test_usage_is_split_into_disjoint_buckets(
    site: Site, usage: object, buckets: tuple[int | None, ...], quality: str, cost: str | None
) -> None:
    answer = site.process.post(site.token("open"), ask({"small": said("x", usage=usage)}))
    assert answer.status_code == 200
    (event,) = events_of(site, answer.headers["x-smallfirst-decision"], 1)
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    assert tuple(event[name] for name in names) == buckets
    assert event["usage_quality"] == quality
    assert answer.headers.get("x-smallfirst-cost") == cost


def test_an_unpriced_model_has_no_cost(site: Site) -> None:
    answer = site.process.post(site.token("free"), ask({"free": said("x")}))
    assert answer.status_code == 200
    assert "x-smallfirst-cost" not in answer.headers


def test_a_name_is_a_pin_as_the_policy_says(site: Site) -> None:
    replaced = site.process.post(site.token("open"), ask({}) | {"model": "big"})
    assert replaced.json()["model"] == "small"
    allowed = site.process.post(site.token("pinning"), ask({}) | {"model": "big"})
    assert allowed.json()["model"] == "big"
    refused = site.process.post(site.token("refusing"), ask({}) | {"model": "big"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    assert refused.json()["error"]["clause"] == "pin"
    unknown = site.process.post(site.token("pinning"), ask({}) | {"model": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "model")


def test_facts_only_raise(site: Site) -> None:
    """The workflow declares internal and limited: a caller may say more, never less."""
    token = site.token("ruled")
    lower = site.process.post(token, ask({}, metadata={"data_class": "public", "risk": "minimal"}))
    assert lower.status_code == 200
    facts = decision_of(site, lower.headers["x-smallfirst-decision"])["facts"]
    assert (facts["data_class"], facts["risk"]) == ("internal", "limited")

    refused = site.process.post(token, ask({}, metadata={"risk": "high"}))
    assert (refused.status_code, refused.json()["error"]["clause"]) == (403, "rule")
    decision = decision_of(site, refused.headers["x-smallfirst-decision"])
    assert (decision["outcome"], decision["attempts"]) == ("refused", [])

    guarded = site.process.post(token, ask({}, metadata={"data_class": "confidential"}))
    assert (guarded.status_code, guarded.json()["error"]["clause"]) == (403, "data_class")


def test_a_step_that_the_policy_does_not_have_is_not_allowed(site: Site) -> None:
    answer = site.process.post(site.token("always"), ask({}, metadata={"step": "other"}))
    assert (answer.status_code, answer.json()["error"]["clause"]) == (403, "step")


def test_tool_calls_and_other_kinds_of_content_pass(site: Site) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    script = {"small": said("", message_fields={"content": None, "tool_calls": [call], "reasoning": "…"})}
    answer = site.process.post(site.token("open"), ask(script)).json()
    assert answer["choices"][0]["message"]["tool_calls"] == [call]
    assert answer["choices"][0]["message"]["reasoning"] == "…"
    assert answer["system_fingerprint"] == "fp"


def test_headers_stay_one_line_each_whatever_the_provider_says(site: Site) -> None:
    answer = site.process.post(site.token("open"), ask({"small": said("x", served="a\r\nx-evil: 1", finish="s\r\n")}))
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    (event,) = events_of(site, answer.headers["x-smallfirst-decision"], 1)
    assert event["model_served"] == "ax-evil: 1"


def test_no_text_and_no_key_is_on_disk_or_in_a_log(site: Site) -> None:
    secret = "the-customers-own-words"
    token = site.token("gated")
    script = {"note": secret, "small": said(secret, UNSURE), "mid": {"status": 500, "message": secret}}
    site.process.post(token, ask(script))
    site.process.post(token, json.dumps({"model": "auto", "messages": [{"role": secret}]}).encode())
    site.process.post(secret, ask({}))
    kept = site.process.files()
    assert b"gateway.started" in kept
    for text in (secret, token):
        assert text.encode() not in kept
    assert all("event" in line for line in site.process.logs())
