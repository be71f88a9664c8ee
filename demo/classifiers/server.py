"""The HTTP server of the classifiers: raw ASGI; reading happens in a few threads behind a bounded queue."""

import asyncio
import hmac
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from demo import texts
from demo.classifiers import fitted, wire
from demo.classifiers.models import Classifiers, TextTooLongError

THREADS = 2
# Requests that may be waiting or read at once. MiniLM reads about 150 texts a second: the last one waits half a second.
MOST_WAITING = 64
MOST_BYTES = 1_000_000
# A sender who is refused should hear why, so what he is still sending is read away, up to here.
MOST_DRAINED = 32_000_000

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
T = TypeVar("T")


class Preparation:
    """Gets the models ready in a thread, with a process of its own for fitting when their numbers are missing.

    `models` is None until then. `progress` is a line for people, in the log too; once `failed`, it says why.
    """

    def __init__(self, directory: Path, on_failure: Callable[[], None]) -> None:
        self.directory = directory
        self.models: Classifiers | None = None
        self.progress = "loading"
        self.failed = False
        self._on_failure = on_failure
        self._closing = threading.Event()
        self._fitting: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="preparation")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop, also in the middle."""
        self._closing.set()
        if self._fitting:
            self._fitting.kill()

    def _run(self) -> None:
        try:
            models = Classifiers.load(self.directory)
            if models is None and self._fit():
                models = Classifiers.load(self.directory)
                if models is None:
                    self._say(f"The models in {self.directory} cannot be read; remove it and start again.")
            self.models = models
        finally:
            if self.models is None and not self._closing.is_set():
                self.failed = True
                self._on_failure()

    def _fit(self) -> bool:
        """Run the fitting process to its end; whether it went well."""
        command = [sys.executable, "-m", "demo.classifiers.fitting"]
        pipe = subprocess.PIPE
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as process:
            self._fitting = process
            if self._closing.is_set():
                process.kill()
            for line in process.stdout or ():
                self._say(line.strip())
        # One that could not fetch the texts has said why.
        if process.returncode not in (0, texts.UNAVAILABLE) and not self._closing.is_set():
            self._say(f"Fitting the models ended with code {process.returncode} after: {self.progress}")
        return process.returncode == 0

    def _say(self, text: str) -> None:
        self.progress = text
        print(text, file=sys.stderr, flush=True)


class Application:
    """The ASGI application. `key` is what a caller must present; `preparation` starts and ends with the server."""

    def __init__(self, key: str, preparation: Preparation) -> None:
        self._authorization = f"Bearer {key}".encode()
        self._preparation = preparation
        self._pool = ThreadPoolExecutor(THREADS, "reading")
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            try:
                await self._route(scope, receive, send)
            except wire.ApiError as error:
                await _answer(send, error.status, error.body(), error.headers)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                self._preparation.start()
            else:
                self._preparation.close()
                self._pool.shutdown()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        routes = {"/health": "GET", "/v1/models": "GET", "/v1/chat/completions": "POST", "/v1/embeddings": "POST"}
        if path not in routes:
            raise wire.ApiError(404, f"there is no {path}", "not_found")
        if method != routes[path]:
            allowed = routes[path]
            headers = ((b"allow", allowed.encode()),)
            raise wire.ApiError(405, f"{path} takes {allowed} only", "method_not_allowed", headers=headers)
        if path == "/health":
            await self._health(send)
            return
        self._check_key(scope)
        body = await _body(receive) if method == "POST" else b""
        models = self._preparation.models
        if models is None:
            message = f"the models are not ready: {self._preparation.progress}"
            raise wire.ApiError(503, message, "loading", headers=((b"retry-after", b"1"),))
        if path == "/v1/models":
            created = int(fitted.path(self._preparation.directory).stat().st_mtime)
            await _answer(send, 200, wire.models(created))
        elif path == "/v1/embeddings":
            await self._embed(models, wire.read_embeddings(body), send)
        else:
            await self._classify(models, wire.read_chat(body), send)

    async def _health(self, send: Send) -> None:
        ready = self._preparation.models is not None
        body = wire.health("ok") if ready else wire.health("loading", progress=self._preparation.progress)
        await _answer(send, 200 if ready else 503, body)

    def _check_key(self, scope: Scope) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._authorization):
            message = "the API key is missing or wrong: send it as Authorization: Bearer KEY"
            raise wire.ApiError(401, message, "invalid_api_key", headers=((b"www-authenticate", b"Bearer"),))

    async def _classify(self, models: Classifiers, request: wire.ChatRequest, send: Send) -> None:
        text = request.text
        reading = await self._read(lambda: models.classify(request.model, text), "messages")
        if not request.stream:
            await _answer(send, 200, wire.completion(request, reading))
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in wire.completion_events(request, reading):
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _embed(self, models: Classifiers, request: wire.EmbeddingsRequest, send: Send) -> None:
        inputs = [request.input] if isinstance(request.input, str) else request.input
        embedded = await self._read(lambda: [models.embed(text) for text in inputs], "input")
        await _answer(send, 200, wire.embeddings(request, embedded))

    async def _read(self, work: Callable[[], T], field: str) -> T:
        """Do the work in a thread, in turn. Raises ApiError if too many wait, or if the text in `field` is too long."""
        if self._waiting >= MOST_WAITING:
            message = f"{MOST_WAITING} requests are waiting already"
            raise wire.ApiError(503, message, "overloaded", headers=((b"retry-after", b"1"),))
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except TextTooLongError as error:
            raise wire.ApiError(400, f"{field}: {error}", "context_length_exceeded", param=field) from None
        finally:
            self._waiting -= 1


async def _body(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more and size <= MOST_DRAINED:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= MOST_BYTES:
            parts.append(part)
        more = message.get("more_body", False)
    if size > MOST_BYTES:
        raise wire.ApiError(413, f"the body has more than {MOST_BYTES} bytes", "body_too_large")
    return b"".join(parts)


async def _answer(send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    described = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})
