"""A closed-loop client: so many connections that each send the next request when the last one is answered.

`python -m benchmarks.load` reads a job as JSON on standard input and prints what it found as JSON. A process of its
own, so that it can be kept to another core than what it measures. Both the time and the number of requests are bounded.
"""

import asyncio
import gc
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

from benchmarks.machine import on_core
from benchmarks.measures import percentile

# Longest job, whatever is asked for.
MOST_SECONDS = 120.0
MOST_REQUESTS = 1_000_000


@dataclass(frozen=True)
class Job:
    """What to send, how often, for how long. ``fresh``: each request on a connection of its own, made before its clock.

    It ends after ``seconds`` or ``requests``, whichever comes first.
    """

    url: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    concurrency: int = 1
    seconds: float = 3.0
    requests: int = MOST_REQUESTS
    fresh: bool = False


@dataclass(frozen=True)
class Found:
    """What came of a job: answers with status 200, others, seconds from first to last, and times in microseconds.

    ``first_*`` are the times to the first event of a stream, or to the first byte of a body; ``failure`` tells of the
    first request that failed.
    """

    answers: int
    errors: int
    seconds: float
    p50: float
    p95: float
    p99: float
    first_p50: float
    first_p95: float
    failure: str = ""


class Load:
    """A job that is running."""

    def __init__(self, job: Job) -> None:
        self.job = job
        where = urlsplit(job.url)
        self.host, self.port = where.hostname or "127.0.0.1", where.port or 80
        body = job.body.encode()
        headers = {"Host": f"{self.host}:{self.port}", "Content-Type": "application/json", **job.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.request = f"POST {where.path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.left = min(job.requests, MOST_REQUESTS)
        self.times: list[float] = []
        self.firsts: list[float] = []
        self.errors = 0
        self.failure = ""
        self.open = 0
        self.deadline = 0.0
        self.done = asyncio.Event()

    async def run(self) -> Found:
        """Send until time or number is used up, and wait for what was sent."""
        began = time.perf_counter()
        self.deadline = began + min(self.job.seconds, MOST_SECONDS)
        for _ in range(min(self.job.concurrency, self.left)):
            await self.connect()
        try:
            async with asyncio.timeout(MOST_SECONDS + 30):
                await self.done.wait()
        except TimeoutError:
            self.failed("no answer", self.open)
        seconds = time.perf_counter() - began
        times, firsts = self.times or [float("nan")], self.firsts or [float("nan")]
        return Found(
            answers=len(self.times),
            errors=self.errors,
            seconds=seconds,
            p50=percentile(times, 0.5) * 1e6,
            p95=percentile(times, 0.95) * 1e6,
            p99=percentile(times, 0.99) * 1e6,
            first_p50=percentile(firsts, 0.5) * 1e6,
            first_p95=percentile(firsts, 0.95) * 1e6,
            failure=self.failure,
        )

    async def connect(self) -> None:
        """Open one connection more."""
        self.open += 1
        try:
            await asyncio.get_running_loop().create_connection(lambda: Caller(self), self.host, self.port)
        except OSError as error:
            self.failed(str(error))
            self.left = 0
            self.ended()

    def take(self) -> bool:
        """Whether another request is to be sent; counts it."""
        if self.left <= 0 or time.perf_counter() >= self.deadline:
            return False
        self.left -= 1
        return True

    def failed(self, why: str, times: int = 1) -> None:
        """Count requests that failed."""
        self.errors += times
        self.failure = self.failure or why

    def ended(self) -> None:
        """One connection has gone."""
        self.open -= 1
        if not self.open:
            self.done.set()


class Caller(asyncio.Protocol):
    """One connection of a job."""

    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self.load = load
        self.parser = httptools.HttpResponseParser(self)
        self.sent_at = self.first_at = 0.0
        self.waiting = False
        self.head = b""
        self.reconnecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's own class is none of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        if not self.load.take():
            self.transport.close()
            return
        self.head, self.first_at, self.waiting = b"", 0.0, True
        self.sent_at = time.perf_counter()
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls back."""
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Note when the first event is whole; of an answer that is no stream, when its first byte came."""
        if self.first_at:
            return
        self.head += body
        if not self.head.startswith((b"data:", b"event:", b":")) or b"\n\n" in self.head:
            self.first_at = time.perf_counter()

    def on_message_complete(self) -> None:
        """Count the answer and send the next request."""
        now = time.perf_counter()
        self.waiting = False
        if self.parser.get_status_code() == 200:
            self.load.times.append(now - self.sent_at)
            self.load.firsts.append((self.first_at or now) - self.sent_at)
        else:
            self.load.failed(f"status {self.parser.get_status_code()}: {self.head[:200].decode(errors='replace')}")
        if self.load.job.fresh or not self.parser.should_keep_alive():
            self.transport.close()
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Open another connection while requests are left; a request that was not answered is an error."""
        if self.waiting:
            self.load.failed(f"connection lost: {error}")
        load = self.load
        if load.left > 0 and time.perf_counter() < load.deadline:
            self.reconnecting = asyncio.get_running_loop().create_task(load.connect())
        load.ended() if self.reconnecting is None else self.reconnecting.add_done_callback(lambda _: load.ended())


def run(job: Job, *, core: int | None = None) -> Found:
    """Run a job in a process of its own, kept to a core where that is possible."""
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(
        command if core is None else on_core(core, command),
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        check=True,
        timeout=MOST_SECONDS + 60,
    )
    return Found(**json.loads(done.stdout))


async def _run(job: Job) -> Found:
    return await Load(job).run()


def main() -> None:
    """Run the job that standard input tells."""
    job = Job(**json.load(sys.stdin))
    # A collection in the middle would be counted as the gateway's.
    gc.freeze()
    gc.disable()
    print(json.dumps(asdict(uvloop.run(_run(job)))))


if __name__ == "__main__":
    main()
