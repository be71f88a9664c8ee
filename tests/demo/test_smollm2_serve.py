"""SmolLM2 behind llama.cpp's server: the real weights, the official client, no one without the key."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from tests.demo.servers import Server, started

pytestmark = pytest.mark.processes
ASK = "Reply in one sentence to a customer whose table came a year late."


@pytest.fixture(scope="module")
def smollm2(free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, ready."""
    with started("demo.smollm2", free_port(), tmp_path_factory.mktemp("state")) as running:
        running.wait()
        yield running


def test_it_drafts_a_text(smollm2: Server) -> None:
    answer = smollm2.openai.chat.completions.create(
        model="smollm2-135m", messages=[{"role": "user", "content": ASK}], max_tokens=24, temperature=0
    )
    assert answer.model == "smollm2-135m"
    assert answer.choices[0].message.content
    assert answer.usage
    assert answer.usage.prompt_tokens > 10
    assert 0 < answer.usage.completion_tokens <= 24


def test_a_stream_says_the_same(smollm2: Server) -> None:
    create = smollm2.openai.chat.completions.create
    whole = create(model="smollm2-135m", messages=[{"role": "user", "content": ASK}], max_tokens=12, temperature=0)
    stream = create(
        model="smollm2-135m", messages=[{"role": "user", "content": ASK}], max_tokens=12, temperature=0, stream=True
    )
    parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(parts) == whole.choices[0].message.content
    assert len(parts) > 3


def test_the_model_has_a_name_and_no_path(smollm2: Server) -> None:
    assert [model.id for model in smollm2.openai.models.list()] == ["smollm2-135m"]
    assert ".gguf" not in smollm2.request("GET", "/v1/models").text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/completion"), ("GET", "/slots")],
)
def test_a_wrong_key_opens_nothing(smollm2: Server, method: str, path: str) -> None:
    assert smollm2.request(method, path, b"{}", key="wrong").status_code == 401


def test_pages_of_other_sites_are_not_let_in(smollm2: Server) -> None:
    assert smollm2.request("GET", "/health").headers.get("access-control-allow-origin") != "*"


def test_bad_json_is_refused(smollm2: Server) -> None:
    answer = smollm2.request("POST", "/v1/chat/completions", b'{"mod')
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_more_than_a_slot_holds_is_refused(smollm2: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="context"):
        smollm2.openai.chat.completions.create(
            model="smollm2-135m", messages=[{"role": "user", "content": "table " * 3000}]
        )


def test_four_at_once_are_answered(smollm2: Server) -> None:
    body = json.dumps(
        {"model": "smollm2-135m", "messages": [{"role": "user", "content": ASK}], "max_tokens": 8, "n": 4}
    ).encode()
    answer = smollm2.request("POST", "/v1/chat/completions", body)
    assert len(answer.json()["choices"]) == 4


def test_term_ends_it(free_port: Callable[[], int], tmp_path: Path) -> None:
    with started("demo.smollm2", free_port(), tmp_path) as server:
        server.wait()
        server.process.terminate()
        server.process.communicate(timeout=30)
    assert server.process.returncode == 0


def test_a_taken_port_is_said(smollm2: Server, tmp_path: Path) -> None:
    with started("demo.smollm2", int(smollm2.url.rpartition(":")[2]), tmp_path) as second:
        second.process.communicate(timeout=30)
    assert second.process.returncode == 1
