"""What cannot be read is refused with the field and the fix, before any model is asked and with nothing recorded."""

import http.client
import json
import socket
import time
from typing import Any

import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.world import ask

MESSAGES = [{"role": "user", "content": "hi"}]


def body(**fields: Any) -> dict[str, Any]:
    """A request that would be answered, but for these fields."""
    return {"model": "auto", "messages": MESSAGES, **fields}


@pytest.mark.parametrize("token", ["sf_wrong_key", "", "é"])
def test_an_unknown_key_is_refused(site: Site, token: str) -> None:
    asked = len(site.models.asked)
    connection = http.client.HTTPConnection("127.0.0.1", site.process.port)
    connection.request("POST", "/v1/chat/completions", json.dumps(body()), {"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    assert (answer.status, error["code"], error["param"]) == (401, "invalid_api_key", None)
    assert len(site.models.asked) == asked


def test_the_official_client_understands_the_refusals(site: Site) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        site.process.client("sf_nobody").chat.completions.create(**ask({}))
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as wrong:
        site.process.client(site.token("open")).chat.completions.create(model="auto", messages=[])
    assert (wrong.value.code, wrong.value.param) == ("invalid_request", "messages")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (body(model=5), "model"),
        (body(model=""), "model"),
        (body(model="a\nb"), "model"),
        ({"messages": MESSAGES}, "model"),
        ({"model": "auto"}, "messages"),
        (body(messages=[]), "messages"),
        (body(messages="hi"), "messages"),
        (body(messages=[3]), "messages[0]"),
        (body(messages=[{"role": "boss", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"content": "x"}]), "messages[0].role"),
        (body(messages=[*MESSAGES, {"role": "user"}]), "messages[1].content"),
        (body(messages=[{"role": "assistant", "content": None}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text"),
        (body(messages=[{"role": "user", "content": [{"text": "x"}]}]), "messages[0].content[0].type"),
        (body(stream="yes"), "stream"),
        (body(stream_options={"include_usage": 1}), "stream_options.include_usage"),
        (body(max_tokens=0), "max_tokens"),
        (body(n=0), "n"),
        (body(temperature="hot"), "temperature"),
        (body(stop=3), "stop"),
        (body(tools={}), "tools"),
        (body(logprobs=1), "logprobs"),
        (body(top_logprobs=21), "top_logprobs"),
        (body(metadata=[]), "metadata"),
        (body(metadata={"run": 3}), "metadata.run"),
        (body(metadata={"run": ""}), "metadata.run"),
        (body(metadata={"step": "a\x00"}), "metadata.step"),
        (body(metadata={"data_class": "secret"}), "metadata.data_class"),
        (body(metadata={"risk": "huge"}), "metadata.risk"),
        (body(metadata={"language": "english please"}), "metadata.language"),
        (body(metadata={"team": "x" * 501}), "metadata.team"),
        (body(metadata={str(number): "x" for number in range(51)}), "metadata"),
        (body(smallfirst={"reviews": {}}), "smallfirst.reviews"),
        (body(**{"smallfirst.reviews": {}}), "smallfirst.reviews"),
        (body(**{"smallfirst.review": {"tittle": "x"}}), "smallfirst.review.tittle"),
        (body(smallfirst={"review": {"title": 3}}), "smallfirst.review.title"),
        (body(smallfirst={"review": {}}, **{"smallfirst.review": {}}), "smallfirst.review"),
        (body(smallfirst={"review": {"url": "javascript:alert(1)"}}), "smallfirst.review.url"),
        (body(smallfirst={"review": {"context": [{"label": "x"}]}}), "smallfirst.review.context[0]"),
        (
            body(smallfirst={"review": {"context": [{"label": "x", "text": "a", "thread": []}]}}),
            "smallfirst.review.context[0]",
        ),
        (
            body(smallfirst={"review": {"context": [{"label": "x", "table": {"columns": ["a"], "rows": [[1, 2]]}}]}}),
            "smallfirst.review.context[0].table.rows",
        ),
        (body(smallfirst={"review": {"answer": {"type": "label"}}}), "smallfirst.review.answer.options"),
        (body(smallfirst={"review": {"answer": {"type": "fields"}}}), "smallfirst.review.answer.schema"),
        (body(smallfirst={"review": {"answer": {"type": "mood"}}}), "smallfirst.review.answer.type"),
    ],
)
def test_a_wrong_field_is_named(site: Site, given: dict[str, Any], param: str) -> None:
    asked, waiting = len(site.models.asked), site.process.health()["spool"]
    answer = site.process.post(site.token("gated"), given)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", param), error
    assert error["message"].endswith(".")
    assert answer.headers["x-smallfirst-decision"]
    assert len(site.models.asked) == asked
    assert site.process.health()["spool"]["refused_records"] == waiting["refused_records"]


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"", None),
        (b'{"model":', None),
        (b"[]", None),
        (b"null", None),
        (b"{} {}", None),
        (b'{"model":"auto","messages":[{"role":"user","content":"\xff"}]}', None),
        (b'{"model":"auto","messages":[{"role":"user","content":"\\ud800"}]}', None),
        (b'{"model":"auto","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "messages"),
        (b'{"model":"auto","messages":[],"tools":' + b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000 + b"}", "tools"),
    ],
)
def test_what_is_not_json_is_refused(site: Site, raw: bytes, param: str | None) -> None:
    answer = site.process.post(site.token("open"), raw)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_several_answers_cannot_pass_one_gate(site: Site) -> None:
    answer = site.process.post(site.token("gated"), ask({}, n=2))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")
    assert site.process.post(site.token("open"), ask({}, n=2)).status_code == 200


def test_ten_megabytes_are_refused_and_the_client_reads_why(site: Site) -> None:
    client = site.process.client(site.token("open"))
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**ask("x" * 10_000_000))
    assert (caught.value.status_code, caught.value.code) == (413, "invalid_request")
    assert "8388608 bytes" in caught.value.message
    assert client.chat.completions.create(**ask("x" * 8_000_000)).model == "small"


def test_a_body_without_a_length_is_cut_off_at_the_limit(site: Site) -> None:
    """Reading ends at the limit, long before the whole gigabyte that is promised has come."""
    with socket.create_connection(("127.0.0.1", site.process.port)) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {site.token('open')}\r\n"
        connection.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        connection.settimeout(5)
        sent = 0
        began = time.monotonic()
        try:
            while sent < 100 * 1024 * 1024:
                connection.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
                sent += 0x100000
        except OSError:
            pass
        assert sent < 60 * 1024 * 1024
        assert time.monotonic() - began < 10
    assert site.process.health()["status"] == "ok"


def test_a_length_over_the_limit_is_answered_before_the_body_comes(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.process.port)) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {site.token('open')}\r\n"
        connection.sendall(f"{head}content-length: 900000000\r\n\r\n".encode())
        connection.settimeout(5)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/images/generations", 404),
        ("GET", "/", 404),
        ("GET", "/v1/reviews/x", 404),
        ("GET", "/v1/reviews/00000000-0000-8000-8000-000000000000", 404),
        ("GET", "/%0d%0ax-evil:%201", 404),
    ],
)
def test_other_paths_answer_in_the_same_shape(site: Site, method: str, path: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.process.port)
    connection.request(method, path, headers={"Authorization": f"Bearer {site.token('open')}"})
    answer = connection.getresponse()
    assert answer.status == status
    assert json.loads(answer.read())["error"]["code"] == "invalid_request"
    assert answer.getheader("x-evil") is None


def test_keys_see_the_models_of_their_own_workflow(site: Site) -> None:
    names = [model.id for model in site.process.client(site.token("free")).models.list()]
    assert names == ["auto", "free"]
    allowed = {model.id for model in site.process.client(site.token("pinning")).models.list()}
    assert allowed == {"auto", "small", "mid", "big", "mute", "patient", "free"}
    with pytest.raises(openai.AuthenticationError):
        site.process.client("sf_nobody").models.list()
