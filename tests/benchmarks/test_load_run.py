"""The client and the servers around a gateway: what is counted is what was answered, and every job ends."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from benchmarks import load, machine
from benchmarks.gateway import answers, counts
from benchmarks.servers import CHUNK_SECONDS, CHUNKS, completion, events
from benchmarks.world import document, question, sign
from smallfirst.loops import play

ROOT = Path(__file__).parents[2]


@pytest.fixture
def serve(free_port: Callable[[], int]) -> Iterator[Callable[..., str]]:
    """Starts one of the servers; its address."""
    running: list[subprocess.Popen[bytes]] = []

    def start(kind: str, *more: str) -> str:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.servers", kind, str(port), *more]
        running.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}))
        url = f"http://127.0.0.1:{port}"
        machine.wait(lambda: answers(url, "/counts"), seconds=30, title=kind)
        return url

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_the_models_answer_as_openai_does(serve: Callable[..., str]) -> None:
    url = f"{serve('upstream')}/v1/chat/completions"

    whole = httpx2.post(url, content=question("small"))
    assert whole.content == completion()
    assert 900 <= len(completion()) <= 1100
    assert 900 <= len(question("small")) <= 1100

    streamed = httpx2.post(url, content=question("small", stream=True))
    assert streamed.headers["content-type"] == "text/event-stream"
    assert streamed.content == b"".join(events())
    assert len(events()) == CHUNKS + 3
    said = [json.loads(event.removeprefix(b"data: ")) for event in events()[:CHUNKS]]
    text = json.loads(completion())["choices"][0]["message"]["content"]
    assert "".join(each["choices"][0]["delta"]["content"] for each in said).strip() == text


def test_the_control_plane_counts_and_serves_what_is_signed(serve: Callable[..., str], tmp_path: Path) -> None:
    sign(tmp_path, {"open": document()}, "http://127.0.0.1:9/v1")
    url = serve("control", str(tmp_path))

    first = httpx2.get(f"{url}/api/v1/bundle")
    assert first.content == (tmp_path / "bundle.json").read_bytes()
    assert httpx2.get(f"{url}/api/v1/bundle", headers={"If-None-Match": first.headers["etag"]}).status_code == 304

    receipt = httpx2.post(f"{url}/api/v1/usage", json={"events": [{"id": 1}, {"id": 2}]})
    assert receipt.json() == {"accepted": 2, "repeated": 0, "refused": []}
    assert counts(url) == {"events": 2}


def test_a_job_ends_with_its_requests(serve: Callable[..., str]) -> None:
    job = load.Job(
        f"{serve('upstream')}/v1/chat/completions", question("small"), concurrency=4, requests=50, seconds=60
    )

    found = load.run(job)
    assert (found.answers, found.errors, found.failure) == (50, 0, "")
    assert 0 < found.first_p50 <= found.p50 <= found.p95 <= found.p99
    assert found.seconds > 0


def test_a_job_ends_with_its_time(serve: Callable[..., str]) -> None:
    job = load.Job(f"{serve('upstream')}/v1/chat/completions", question("small"), seconds=0.2)

    found = load.run(job)
    assert found.answers > 0
    assert found.seconds >= 0.2


def test_a_stream_is_timed_to_its_first_event_and_to_its_end(serve: Callable[..., str]) -> None:
    body = question("small", stream=True)
    job = load.Job(f"{serve('upstream')}/v1/chat/completions", body, requests=3, seconds=60, fresh=True)

    found = load.run(job)
    assert (found.answers, found.errors) == (3, 0)
    # The rest of the stream comes in its rhythm after the first event.
    assert found.p50 - found.first_p50 >= 0.9 * CHUNKS * CHUNK_SECONDS * 1e6


def test_what_fails_is_counted_and_told(free_port: Callable[[], int]) -> None:
    """A server that answers twice with an error and then closes, and a port where nothing listens."""
    port = free_port()
    job = load.Job(f"http://127.0.0.1:{port}/x", "{}", requests=3, seconds=20)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"{}")
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
        await reader.readuntil(b"{}")
        writer.close()

    async def served() -> load.Found:
        async with await asyncio.start_server(refuse, "127.0.0.1", port):
            return await load.Load(job).run()

    found = play(served())
    assert (found.answers, found.errors) == (0, 3)
    assert found.failure == "status 503: busy"

    nobody = play(load.Load(replace(job, url=f"http://127.0.0.1:{free_port()}/x")).run())
    assert (nobody.answers, nobody.errors) == (0, 1)
