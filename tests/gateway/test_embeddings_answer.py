"""Embeddings pass the same door: key, guards, pins, records and errors; only that nobody judges them."""

import json
from typing import Any

import httpx2
import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.test_chat_answer import decision_of, events_of
from tests.gateway.world import new_id

PATH = "/v1/embeddings"


def texts(script: dict[str, Any] | None = None, *more: str) -> list[str]:
    """What to embed; the first text tells the models what to do."""
    return [json.dumps({"nonce": new_id()} | (script or {})), *more]


def embed(site: Site, slug: str, given: Any, **more: Any) -> httpx2.Response:
    """A request by hand."""
    return site.process.post(site.token(slug), {"model": "auto", "input": given} | more, path=PATH)


def test_the_official_client_gets_the_vectors_and_every_record_is_made(site: Site) -> None:
    given = texts(None, "a lamp", "two lamps?")
    raw = site.process.client(site.token("open")).embeddings.with_raw_response.create(
        model="auto",
        input=given,
        dimensions=7,
        encoding_format="float",
        extra_body={"metadata": {"run": "r-1", "team": "a"}, "truncate": "END"},
    )

    answer = raw.parse()
    assert [row.embedding for row in answer.data] == [[0.5, 7.0], [1.5, 7.0], [2.5, 7.0]]
    assert [row.index for row in answer.data] == [0, 1, 2]
    assert (answer.model, answer.usage.prompt_tokens) == ("small", 40)
    assert raw.headers["x-smallfirst-model"] == "small"
    assert raw.headers["x-smallfirst-tier"] == "small"
    assert raw.headers["x-smallfirst-policy"] == "7"
    assert raw.headers["x-smallfirst-attempts"] == "1"
    assert raw.headers["x-smallfirst-cost"] == "0.00004"
    assert "x-smallfirst-confidence" not in raw.headers
    sent = next(body for body in site.models.asked if body.get("input") == given)
    assert sent == {
        "model": "small",
        "input": given,
        "dimensions": 7,
        "encoding_format": "float",
        "truncate": "END",
    }
    decision = decision_of(site, raw.headers["x-smallfirst-decision"])
    assert (decision["outcome"], decision["kept_model"], decision["run"]) == ("kept", "small", "r-1")
    assert (decision["facts"]["kind"], decision["facts"]["tags"]) == ("embeddings", [["team", "a"]])
    assert decision["signals"]["questions"] == 1
    assert decision["signals"]["characters"] == len("\n".join(given))
    (event,) = events_of(site, decision["id"], 1)
    assert (event["input_tokens"], event["output_tokens"], event["usage_quality"]) == (40, 0, "exact")
    assert (event["model_served"], event["provider_request_id"], event["kept"]) == ("small-2026-01", "req-3", True)


def test_the_client_may_leave_the_format_to_itself(site: Site) -> None:
    """It then asks for base64 and reads what comes; the vectors of this model are passed on as they came."""
    given = texts({"small": {"embedding": "AAAAPwAAgD8="}})
    answer = site.process.client(site.token("open")).embeddings.create(model="auto", input=given)
    assert answer.data[0].embedding == [0.5, 1.0]
    sent = next(body for body in site.models.asked if body.get("input") == given)
    assert sent["encoding_format"] == "base64"


@pytest.mark.parametrize(
    ("given", "tokens", "vectors"), [([5, 6, 7], 3, 1), ([[5, 6], [7]], 3, 2), ("just words", 3, 1)]
)
def test_tokens_and_single_texts_are_taken_too(site: Site, given: Any, tokens: int, vectors: int) -> None:
    answer = embed(site, "open", given)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == vectors
    decision = decision_of(site, answer.headers["x-smallfirst-decision"])
    assert decision["signals"]["input_tokens"] == tokens
    assert decision["signals"]["words"] == (2 if isinstance(given, str) else 0)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"fault": "close"},
        {"fault": "garbage"},
        {"count": 0},
        {"embedding": None},
        {"embedding": 3},
    ],
)
def test_failure_asks_the_next_endpoint_then_climbs(site: Site, fault: dict[str, Any]) -> None:
    answer = embed(site, "open", texts({"small": fault, "small-2": fault}))
    assert answer.json()["model"] == "mid"
    assert answer.headers["x-smallfirst-attempts"] == "3"
    events = events_of(site, answer.headers["x-smallfirst-decision"], 3)
    assert [(event["outcome"], event["kept"]) for event in events] == [("error", False)] * 2 + [("ok", True)]


def test_when_no_model_answers_it_says_so(site: Site) -> None:
    down = {"status": 503, "headers": {"Retry-After": "7"}}
    answer = embed(site, "open", texts(dict.fromkeys(("small", "small-2", "mid"), down)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_model_available")
    assert answer.headers["retry-after"] == "7"
    assert decision_of(site, answer.headers["x-smallfirst-decision"])["outcome"] == "failed"


def test_what_every_model_refuses_is_told_in_their_words(site: Site) -> None:
    refusal = {"status": 400, "message": "too long: 300 tokens"}
    answer = embed(site, "open", texts({"small": refusal, "mid": refusal}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "mid said: too long: 300 tokens" in answer.json()["error"]["message"]


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": -1}])
def test_usage_that_is_not_told_is_missing_not_zero(site: Site, usage: Any) -> None:
    answer = embed(site, "open", texts({"small": {"usage": usage}}))
    assert "x-smallfirst-cost" not in answer.headers
    (event,) = events_of(site, answer.headers["x-smallfirst-decision"], 1)
    assert (event["input_tokens"], event["output_tokens"], event["usage_quality"]) == (None, None, "missing")


@pytest.mark.parametrize(("slug", "clause"), [("gated", "gate"), ("reviewed", "gate"), ("always", "review")])
def test_a_step_that_judges_answers_gives_no_embeddings(site: Site, slug: str, clause: str) -> None:
    asked = len(site.models.asked)
    answer = embed(site, slug, texts(), metadata={"step": "release"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["clause"]) == (403, "not_allowed", clause)
    assert "ask for embeddings in a step without a gate and a review" in error["message"]
    assert len(site.models.asked) == asked
    assert decision_of(site, answer.headers["x-smallfirst-decision"])["outcome"] == "refused"


def test_names_and_facts_mean_what_they_mean_for_a_chat(site: Site) -> None:
    assert embed(site, "pinning", texts(), model="big").json()["model"] == "big"
    assert embed(site, "open", texts(), model="big").json()["model"] == "small"
    assert embed(site, "refusing", texts(), model="big").json()["error"]["clause"] == "pin"
    assert embed(site, "pinning", texts(), model="nobody").json()["error"]["param"] == "model"
    assert (
        embed(site, "open", texts(), metadata={"data_class": "confidential"}).json()["error"]["clause"] == "data_class"
    )
    watched = embed(site, "watched", texts(), model="big")
    assert watched.json()["model"] == "big"
    assert decision_of(site, watched.headers["x-smallfirst-decision"])["observed"]["clause"] == "gate"


def test_the_official_client_understands_the_refusals(site: Site) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        site.process.client("sf_nobody").embeddings.create(model="auto", input="x")
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.PermissionDeniedError) as gated:
        site.process.client(site.token("gated")).embeddings.create(model="auto", input="x")
    assert gated.value.code == "not_allowed"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x"}, "model"),
        ({"model": "auto"}, "input"),
        ({"model": 5, "input": "x"}, "model"),
        ({"model": "auto", "input": None}, "input"),
        ({"model": "auto", "input": ""}, "input[0]"),
        ({"model": "auto", "input": []}, "input"),
        ({"model": "auto", "input": {}}, "input"),
        ({"model": "auto", "input": ["a", ""]}, "input[1]"),
        ({"model": "auto", "input": ["a", 3]}, "input[1]"),
        ({"model": "auto", "input": [3, "a"]}, "input[0]"),
        ({"model": "auto", "input": [3, -1]}, "input[0]"),
        ({"model": "auto", "input": [True]}, "input[0]"),
        ({"model": "auto", "input": [[1], []]}, "input[1]"),
        ({"model": "auto", "input": [[1], ["a"]]}, "input[1]"),
        ({"model": "auto", "input": ["a"] * 2049}, "input"),
        ({"model": "auto", "input": "x", "encoding_format": "morse"}, "encoding_format"),
        ({"model": "auto", "input": "x", "dimensions": 0}, "dimensions"),
        ({"model": "auto", "input": "x", "metadata": {"run": 3}}, "metadata.run"),
        ({"model": "auto", "input": "x", "smallfirst": {}}, "smallfirst"),
        ({"model": "auto", "input": "x", "smallfirst.review": {}}, "smallfirst.review"),
        ({"model": "auto", "input": "x", "smallfirst.reviews": {}}, "smallfirst.reviews"),
        (b'{"model": "auto", "input": ' + b"[" * 5000 + b"]" * 5000 + b"}", "input"),
        (b'{"model": "auto", "input', None),
        (b"\xff", None),
    ],
)
def test_what_cannot_be_read_names_the_field_and_asks_nobody(site: Site, body: Any, param: str | None) -> None:
    asked = len(site.models.asked)
    answer = site.process.post(site.token("open"), body, path=PATH)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", param), error
    assert len(site.models.asked) == asked


def test_another_method_is_refused(site: Site) -> None:
    assert site.process.get(site.token("open"), PATH).status_code == 405


def test_no_text_is_on_disk_or_in_a_log(site: Site) -> None:
    secret = "words-to-be-embedded"
    embed(site, "open", texts({"small": {"status": 500, "message": secret}}, secret))
    embed(site, "open", [secret, ""])
    assert secret.encode() not in site.process.files()
