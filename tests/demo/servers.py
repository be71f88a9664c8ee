"""Starts the demo's model servers as processes of their own and talks to them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from openai import OpenAI

ROOT = Path(__file__).parents[2]
KEY = "a key of the tests"
# For what hangs; nothing is measured.
PATIENCE = 300.0


@dataclass(frozen=True)
class Server:
    """One of the demo's model servers, running."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def openai(self) -> OpenAI:
        """The official client, which asks once."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0)

    def request(self, method: str, path: str, content: bytes | None = None, key: str = KEY) -> httpx2.Response:
        """One request."""
        headers = {"Authorization": f"Bearer {key}"}
        return httpx2.request(method, self.url + path, content=content, headers=headers, timeout=PATIENCE)

    def health(self) -> tuple[int, str]:
        """What /health says: its status (0 while the port is closed) and its progress."""
        try:
            answer = httpx2.get(f"{self.url}/health", timeout=PATIENCE)
        except httpx2.TransportError:
            return 0, ""
        return answer.status_code, answer.json().get("progress", "")

    def wait(self, until: Callable[[int, str], bool] = lambda status, _progress: status == 200) -> None:
        """Wait until /health says so: ready, if nothing else is asked."""
        deadline = time.monotonic() + PATIENCE
        while not until(*self.health()):
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, f"/health says {self.health()}"
            time.sleep(0.02)


@contextmanager
def started(module: str, port: int, state: Path, **environment: str) -> Iterator[Server]:
    """A model server with a state of its own."""
    command = [sys.executable, "-m", module, "--port", str(port)]
    environ = os.environ | {"SMALLFIRST_STATE": str(state), "SMALLFIRST_DEMO_MODELS_KEY": KEY} | environment
    with subprocess.Popen(command, env=environ, cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            yield Server(f"http://127.0.0.1:{port}", process)
        finally:
            process.kill()
