"""The classifiers' server as its callers meet it: a process, the official client, and everything it refuses."""

import asyncio
import json
import math
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from demo import texts
from demo.classifiers import fitted
from demo.classifiers.models import Classifiers
from demo.classifiers.server import MOST_WAITING
from demo.sentence import DEMO_LABEL, DEMO_SENTENCE
from smallfirst.loops import play
from tests.demo.servers import KEY, ROOT, Server

pytestmark = pytest.mark.processes
CHAT = "/v1/chat/completions"


def said(text: str) -> list[ChatCompletionUserMessageParam]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def ask(**more: Any) -> dict[str, Any]:
    """A right request, changed."""
    return {"model": "lexicon", "messages": said(DEMO_SENTENCE)} | more


@pytest.mark.parametrize("model", fitted.MODELS)
def test_a_label_comes_with_its_calibrated_probability(server: Server, classifiers: Classifiers, model: str) -> None:
    answer = server.openai.chat.completions.create(
        model=model, messages=said(DEMO_SENTENCE), logprobs=True, top_logprobs=6
    )
    reading = classifiers.classify(model, DEMO_SENTENCE)
    [choice] = answer.choices
    assert (answer.model, choice.finish_reason) == (model, "stop")
    assert choice.message.content == reading.label
    assert choice.logprobs
    assert choice.logprobs.content
    [token] = choice.logprobs.content
    assert token.token == choice.message.content
    assert math.exp(token.logprob) == pytest.approx(reading.confidence)
    given = {each.token: each.logprob for each in token.top_logprobs}
    assert given == dict(zip(reading.labels, reading.log_probabilities, strict=True))
    assert list(given.values()) == sorted(given.values(), reverse=True)
    assert answer.usage
    used = (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens)
    assert used == (reading.tokens, 1, reading.tokens + 1)


def test_a_stream_says_the_same(server: Server) -> None:
    asked = server.openai.chat.completions
    whole = asked.create(model="minilm", messages=said(DEMO_SENTENCE), logprobs=True, top_logprobs=2)
    stream = asked.create(
        model="minilm",
        messages=said(DEMO_SENTENCE),
        logprobs=True,
        top_logprobs=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == DEMO_LABEL
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    [logprobs] = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices and chunk.choices[0].logprobs]
    assert whole.choices[0].logprobs
    assert logprobs.content == whole.choices[0].logprobs.content
    assert chunks[-1].usage == whole.usage
    assert not chunks[-1].choices


def test_log_probabilities_are_given_to_those_who_ask(server: Server) -> None:
    create = server.openai.chat.completions.create
    assert create(model="lexicon", messages=said("Great.")).choices[0].logprobs is None
    logprobs = create(model="lexicon", messages=said("Great."), logprobs=True).choices[0].logprobs
    assert logprobs
    assert logprobs.content
    assert logprobs.content[0].top_logprobs == []


def test_the_last_user_message_is_read(server: Server) -> None:
    answer = server.openai.chat.completions.create(
        model="lexicon",
        messages=[
            {"role": "system", "content": "Say positive, neutral or negative. Awful, terrible, worst."},
            {"role": "user", "content": "The worst lamp."},
            {"role": "assistant", "content": "negative"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "A great lamp,"}, {"type": "text", "text": "I love it."}],
            },
        ],
    )
    assert answer.choices[0].message.content == "positive"
    assert answer.usage
    assert answer.usage.prompt_tokens == 6


def test_minilm_gives_its_embeddings(server: Server, classifiers: Classifiers) -> None:
    vector, tokens = classifiers.embed(DEMO_SENTENCE)
    answer = server.openai.embeddings.create(model="minilm", input=["Short.", DEMO_SENTENCE], encoding_format="float")
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == 4 + tokens
    assert answer.data[1].embedding == pytest.approx(vector.tolist(), abs=1e-6)
    # Unless told, the client asks for base64.
    [row] = server.openai.embeddings.create(model="minilm", input=DEMO_SENTENCE).data
    assert row.embedding == pytest.approx(vector.tolist(), abs=1e-6)


def test_models_are_listed(server: Server) -> None:
    assert [model.id for model in server.openai.models.list()] == list(fitted.MODELS)


@pytest.mark.parametrize("key", ["another key", KEY[:-1], KEY + "x"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", CHAT), ("POST", "/v1/embeddings")])
def test_a_wrong_key_opens_nothing(server: Server, key: str, method: str, path: str) -> None:
    answer = server.request(method, path, json.dumps(ask()).encode(), key=key)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert KEY not in answer.text


def test_without_a_key_only_health_answers(server: Server) -> None:
    assert httpx2.get(f"{server.url}/v1/models").status_code == 401
    assert httpx2.get(f"{server.url}/health").json() == {"status": "ok"}


def test_the_official_client_knows_the_errors(server: Server) -> None:
    stranger = openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="Authorization: Bearer KEY"):
        stranger.models.list()
    with pytest.raises(openai.NotFoundError, match="there is lexicon, tfidf, minilm") as caught:
        server.openai.chat.completions.create(model="gpt", messages=said("Hello"))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("content", "status", "code", "param"),
    [
        (b'{"model": "lexicon", "mess', 400, "invalid_json", None),
        (b"", 400, "invalid_json", None),
        (b'{"model": "lexicon", "messages": [{"role": "user", "content": "\\ud800"}]}', 400, "invalid_json", None),
        (b"\xff\xfe", 400, "invalid_json", None),
        (b"[1]", 400, "invalid_request", None),
        ({"messages": said("Hi")}, 400, "invalid_request", None),
        (ask(model="gpt"), 404, "model_not_found", "model"),
        (ask(model=7), 400, "invalid_request", "model"),
        (ask(messages="Hi"), 400, "invalid_request", "messages"),
        (ask(messages=[]), 400, "invalid_request", "messages"),
        (ask(messages=[{"role": "system", "content": "Hi"}]), 400, "invalid_request", "messages"),
        (ask(messages=said("  \n")), 400, "invalid_request", "messages"),
        (ask(messages=[{"role": "king", "content": "Hi"}]), 400, "invalid_request", "messages[0].role"),
        (ask(messages=[{"role": "user", "content": 7}]), 400, "invalid_request", "messages[0].content"),
        (
            ask(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
            400,
            "invalid_request",
            "messages[0].content[0].type",
        ),
        (ask(top_logprobs=3), 400, "invalid_request", "top_logprobs"),
        (ask(logprobs=True, top_logprobs=21), 400, "invalid_request", "top_logprobs"),
        (ask(n=2), 400, "invalid_request", "n"),
        (ask(model="minilm", messages=said("good " * 300)), 400, "context_length_exceeded", "messages"),
        (ask(messages=said("a" * 20_000)), 400, "context_length_exceeded", "messages"),
        (ask(messages=said("a" * 1_000_001)), 413, "body_too_large", None),
        (ask(messages=said("a" * 10_000_000)), 413, "body_too_large", None),
    ],
)  # fmt: skip
def test_bad_requests_name_the_field(
    server: Server, content: bytes | dict[str, Any], status: int, code: str, param: str | None
) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = server.request("POST", CHAT, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert set(error) == {"message", "type", "code", "param"}
    assert not param or error["message"].startswith(param)


@pytest.mark.parametrize(
    ("content", "code", "param"),
    [
        ({"model": "lexicon", "input": "Hi"}, "model_not_found", "model"),
        ({"model": "minilm", "input": []}, "invalid_request", "input"),
        ({"model": "minilm", "input": [[1, 2]]}, "invalid_request", "input[0]"),
        ({"model": "minilm", "input": ["Hi"] * 65}, "invalid_request", "input"),
        ({"model": "minilm", "input": "Hi", "dimensions": 8}, "invalid_request", "dimensions"),
        ({"model": "minilm", "input": ["Hi", "good " * 300]}, "context_length_exceeded", "input"),
    ],
)
def test_bad_embedding_requests_name_the_field(server: Server, content: dict[str, Any], code: str, param: str) -> None:
    error = server.request("POST", "/v1/embeddings", json.dumps(content).encode()).json()["error"]
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/health", 405), ("GET", CHAT, 405), ("PUT", CHAT, 405)]
)
def test_other_addresses_are_errors_of_the_same_shape(server: Server, method: str, path: str, status: int) -> None:
    answer = server.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "code", "param"}
    assert status != 405 or answer.headers["allow"]


def test_too_many_at_once_are_sent_away_and_the_rest_is_answered(server: Server) -> None:
    content = json.dumps(ask(model="minilm", messages=said("good lamp, " * 50))).encode()

    async def rush() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx2.AsyncClient(limits=limits, headers=headers, timeout=120) as client:
            return await asyncio.gather(
                *(client.post(server.url + CHAT, content=content) for _ in range(3 * MOST_WAITING))
            )

    answers = play(rush())
    assert set(Counter(answer.status_code for answer in answers)) == {200, 503}
    for answer in answers:
        if answer.status_code == 200:
            assert answer.json()["choices"][0]["message"]["content"] in texts.LABELS
        else:
            assert answer.json()["error"]["code"] == "overloaded"
            assert answer.headers["retry-after"] == "1"
    assert server.openai.chat.completions.create(model="minilm", messages=said("Fine.")).choices


@pytest.mark.parametrize("module", ["demo.classifiers", "demo.smollm2"])
def test_without_a_key_to_ask_for_nothing_is_served(module: str, free_port: Callable[[], int], tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, "--port", str(free_port())]
    environ = {"PATH": "/usr/bin:/bin", "SMALLFIRST_STATE": str(tmp_path)}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "SMALLFIRST_DEMO_MODELS_KEY is not set" in done.stderr


def test_a_port_is_bound_on_this_machine_alone(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    listening = Path("/proc/net/tcp").read_text().splitlines()
    mine = [line.split()[1] for line in listening if line.split()[1].endswith(f":{port:04X}")]
    assert {address.partition(":")[0] for address in mine} == {f"{socket.ntohl(0x7F000001):08X}"}
