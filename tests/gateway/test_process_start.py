"""The process itself: what it imports, what it wants of its environment, and that it does real work on real models."""

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings

from smallfirst.instances import VERSION
from smallfirst.origins import origin_of
from tests.gateway.world import REVIEW, ROOT, SECRET, Control, Models, Process, World, ask, new_id, opened, step, wait


def test_the_gateway_knows_no_django() -> None:
    """In a fresh interpreter where Django and the control plane's apps cannot be imported at all."""
    program = """
import importlib.abc, sys

class Forbidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"django", "celery", "psycopg", "config", "governance", "ledger", "routing", "demo"}:
            raise ImportError(f"{name} is not for the data plane")

sys.meta_path.insert(0, Forbidden())
import smallfirst.gateway.__main__
import smallfirst.gateway.app
print(sorted(name for name in sys.modules if name.split(".")[0] in {"django", "celery", "psycopg"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "set SMALLFIRST_CONTROL_URL"),
        ({"SMALLFIRST_CONTROL_URL": "control"}, "SMALLFIRST_CONTROL_URL must begin with http:// or https://"),
        ({"SMALLFIRST_GATEWAY_STATE_SECONDS": "often"}, "SMALLFIRST_GATEWAY_STATE_SECONDS must be a number of seconds"),
        ({"SMALLFIRST_GATEWAY_WHEN_EXPIRED": "panic"}, "SMALLFIRST_GATEWAY_WHEN_EXPIRED must be serve or refuse"),
        (
            {"SMALLFIRST_AUDIT_KEY": "AAAA"},
            "SMALLFIRST_AUDIT_KEY must hold the public key of the audit log, which `./run manage audit_key` prints",
        ),
        ({"SMALLFIRST_GATEWAY_UNPROVED": "panic"}, "SMALLFIRST_GATEWAY_UNPROVED must be warn or refuse"),
        (
            {"SMALLFIRST_GATEWAY_UNPROVED": "refuse"},
            "set SMALLFIRST_AUDIT_KEY, which SMALLFIRST_GATEWAY_UNPROVED=refuse needs",
        ),
        (
            {"SMALLFIRST_PROVIDER_SECRETS": "KEY@https://host/v1"},
            "SMALLFIRST_PROVIDER_SECRETS: KEY is bound to 'https://host/v1'; write the origin alone, https://host",
        ),
    ],
)
def test_a_wrong_environment_is_named(environ: dict[str, str], message: str, tmp_path: Path) -> None:
    whole = {
        "SMALLFIRST_CONTROL_URL": "http://127.0.0.1:1",
        "SMALLFIRST_GATEWAY_CREDENTIAL_FILE": str(tmp_path / "credential"),
        "SMALLFIRST_ROOT_KEY": "x",
        "SMALLFIRST_GATEWAY_STATE": str(tmp_path / "state"),
        "SMALLFIRST_GATEWAY_URL": "http://127.0.0.1:2",
    }
    given = {"PATH": os.environ["PATH"]} | (whole | environ if environ else {})
    done = subprocess.run(
        [sys.executable, "-m", "smallfirst.gateway", "--port", "1"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=given,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, f"smallfirst.gateway: {message}\n")
    assert not (tmp_path / "state").exists()


def test_a_missing_credential_is_told(gateway: Process, world: World) -> None:
    (gateway.state.parent / "gateway.credential").unlink()
    wait(lambda: gateway.health()["state"]["problem"] == "no_credential")
    assert gateway.post(world.tokens["open"], ask({})).status_code == 200


def test_a_gateway_goes_by_one_name_also_after_a_restart(gateway: Process, control: Control) -> None:
    def name() -> str | None:
        control.polled_by.clear()
        wait(lambda: bool(control.polled_by))
        ((found, program, proof),) = set(control.polled_by[:1])
        assert (program, proof) == (f"smallfirst-gateway/{VERSION}", "unchecked")
        return found

    wait(lambda: control.bundle_polls > 1)
    before = name()
    gateway.stop()
    assert before
    assert (gateway.state / "instance").read_text() == f"{before}\n"
    gateway.start()
    assert name() == before
    (gateway.state / "instance").write_text("what is this")
    gateway.stop()
    gateway.start()
    assert name() not in (before, "what is this", None)


def test_the_version_is_that_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def events_of(control: Control, decision: str) -> list[dict[str, Any]]:
    """The attempts of a decision that have come up; they travel apart from it."""
    return [event for event in control.of_kind("events") if event["decision"] == decision]


def test_a_missing_provider_secret_is_an_attempt_that_cost_nothing(
    control: Control, world: World, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    for endpoint in world.endpoints:
        if endpoint["model"] == "small":
            endpoint["secret"] = "env:NOBODY_SET_THIS"
    control.publish(world)
    origin = origin_of(world.models_url)
    bound = {"SMALLFIRST_PROVIDER_SECRETS": f"TEST_MODELS_KEY@{origin},NOBODY_SET_THIS@{origin}"}
    made = Process(control=control.url, world=world, state=tmp_path / "gateway", port=free_port(), **bound)
    with made as gateway:
        answer = gateway.start().post(world.tokens["open"], ask({}))
        decision = answer.headers["x-smallfirst-decision"]
        wait(lambda: len(events_of(control, decision)) == 3)
    assert (answer.json()["model"], answer.headers["x-smallfirst-cost"]) == ("mid", "0.00012")
    events = events_of(control, decision)
    assert [(event["error"], event["input_tokens"], event["usage_quality"]) for event in events] == [
        ("no_secret", 0, "exact"),
        ("no_secret", 0, "exact"),
        (None, 100, "exact"),
    ]


def test_a_key_goes_to_no_origin_it_is_not_bound_to_and_the_caller_is_told_the_way_out(
    control: Control, world: World, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Another team's key, at an address of one's own: it stays here, and so does any other variable."""
    with Models() as thief:
        for endpoint in world.endpoints:
            endpoint["url"] = f"{thief.url}/v1"
        world.endpoints[0]["secret"] = "env:SMALLFIRST_ROOT_KEY"
        control.publish(world)
        made = Process(control=control.url, world=world, state=tmp_path / "gateway", port=free_port())
        with made as gateway:
            token = world.tokens["free"]
            answer = gateway.start().post(token, ask({}))
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_model_available")
            assert answer.json()["error"]["message"] == (
                f"No model answered. TEST_MODELS_KEY may not be sent to {thief.url}. If its key belongs there, whoever "
                f"runs this adds TEST_MODELS_KEY@{thief.url} to SMALLFIRST_PROVIDER_SECRETS and restarts."
            )
            stream = gateway.post(token, ask({}) | {"stream": True})
            assert (stream.status_code, stream.json()["error"]["code"]) == (503, "no_model_available")
            embedded = gateway.post(token, {"model": "auto", "input": "text"}, path="/v1/embeddings")
            assert (embedded.status_code, embedded.json()["error"]["code"]) == (503, "no_model_available")
            gateway.post(world.tokens["open"], ask({}))
            decision = answer.headers["x-smallfirst-decision"]
            wait(lambda: bool(events_of(control, decision)))
        (event,) = events_of(control, decision)
        assert (event["error"], event["input_tokens"], event["usage_quality"]) == ("secret_not_bound", 0, "exact")
        assert (thief.asked, thief.headers) == ([], [])
        assert SECRET.encode() not in made.files()
        assert any(line.get("why", "") for line in made.logs())


def test_no_file_of_the_gateway_is_a_secret(gateway: Process, control: Control, world: World, tmp_path: Path) -> None:
    (tmp_path / "provider.key").write_text(SECRET)
    world.endpoints[0]["secret"] = f"file:{tmp_path / 'provider.key'}"
    world.bundle_serial = 2
    control.publish(world)
    wait(lambda: gateway.health()["bundle"]["serial"] == 2)
    decision = gateway.post(world.tokens["open"], ask({})).headers["x-smallfirst-decision"]
    wait(lambda: bool(events_of(control, decision)))
    assert events_of(control, decision)[0]["error"] == "no_secret"


@pytest.fixture(scope="module")
def classifiers(free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo's three classifiers, running; their address."""
    port = free_port()
    environ = os.environ | {"SMALLFIRST_DEMO_MODELS_KEY": SECRET, "SMALLFIRST_STATE": str(settings.STATE)}
    log = tmp_path_factory.mktemp("classifiers") / "log"
    command = [sys.executable, "-m", "demo.classifiers", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 240
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                if httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.processes
def test_three_real_models_climb_to_a_person(
    classifiers: str, control: Control, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    world = World(classifiers)
    names = {"lexicon": "small", "tfidf": "small", "minilm": "mid"}
    world.models = {name: world.model(name, tier) for name, tier in names.items()}
    world.endpoints = [world.endpoint(name) for name in names]
    for endpoint in world.endpoints:
        endpoint["timeout_ms"] = 20_000
    labels = ["positive", "negative", "neutral"]
    gate = {"keep_from": 0.999, "labels": labels, "stop_reasons": ["stop"]}
    sure = step("sure", ladder=tuple(names), gate=gate | {"keep_from": 0.5}, review=REVIEW)
    world.add("feedback", step(ladder=tuple(names), gate=gate, review=REVIEW), sure)
    control.publish(world)
    process = Process(control=control.url, world=world, state=tmp_path / "gateway", port=free_port())
    text = f"The lamp arrived on a {new_id()[:4]} Tuesday, it is a lamp, and I do not know what to say about it."
    with process as gateway:
        gateway.start()
        token = world.tokens["feedback"]
        answer = gateway.post(token, ask(text))
        assert answer.json()["error"]["code"] == "review_required"
        assert answer.headers["x-smallfirst-attempts"] == "3"
        review = answer.headers["x-smallfirst-review"]
        wait(lambda: review in control.stored)
        shown = opened(world.signer, control.stored[review])
        assert [one["model"] for one in shown["attempts"]] == list(names)
        assert all(one["label"] in labels for one in shown["attempts"])
        assert all(0 < one["confidence"] < 0.999 for one in shown["attempts"])
        events = [
            event for event in control.of_kind("events") if event["decision"] == control.stored[review]["decision"]
        ]
        assert all(event["input_tokens"] > 0 and event["usage_quality"] == "exact" for event in events)

        kept = gateway.client(token).chat.completions.create(
            **ask("I love this lamp, it is wonderful and great!", metadata={"step": "sure"})
        )
        assert kept.choices[0].message.content == "positive"
        assert kept.model == "lexicon"
