"""One request and its response over ASGI: a bounded body, safe headers, streams, and a caller who leaves."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

from smallfirst.gateway.wire import BODY_BYTES, ApiError, invalid

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream; charset=utf-8"
BODY_SECONDS: Final = 60.0
# A caller that is told "too large" while it still writes would see a broken connection instead of the answer,
# so a little more is read and thrown away.
LINGER_BYTES: Final = 32 * 1024 * 1024
LINGER_SECONDS: Final = 2.0

_UNSAFE = re.compile(r"[^\x20-\x7e]")


class Exchange:
    """A request being answered. `headers` (x-smallfirst-…) fill up on the way and leave with any kind of answer.

    For the metrics: `status` and `first_byte` (seconds from the start) once the answer has begun, `asked` once a model
    was, and `waited`, the seconds spent waiting for the body and for models.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[str, str] = {}
        self.started = False
        self.finished = False
        self.left = False
        self.streamed = False
        self.asked = False
        self.status: int | None = None
        self.first_byte: float | None = None
        self.waited = 0.0
        self._began = time.monotonic()
        self._request_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._send = send
        self._unread = True

    @property
    def seconds(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self._began

    def header(self, name: bytes) -> str:
        """A header of the request, or an empty text."""
        for key, value in self._request_headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    async def read_body(self) -> bytes:
        """The whole body; raise an ApiError: 413 once it is or says it is over the limit, 408 when it dawdles."""
        declared = self.header(b"content-length")
        if declared.isdigit() and int(declared) > BODY_BYTES:
            raise _too_large()
        began = time.monotonic()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read_pieces()
        except TimeoutError:
            raise invalid(f"The body did not come within {BODY_SECONDS:.0f} seconds.", status=408) from None
        finally:
            self.waited += time.monotonic() - began

    async def _read_pieces(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.left = True
                raise asyncio.CancelledError
            piece = message.get("body", b"")
            size += len(piece)
            if size > BODY_BYTES:
                raise _too_large()
            pieces.append(piece)
            if not message.get("more_body", False):
                self._unread = False
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @asynccontextmanager
    async def cancelled_when_left(self) -> AsyncIterator[None]:
        """Cancel the task inside when the caller closes the connection; the whole body must have been read."""
        task = asyncio.current_task()

        async def watch() -> None:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            if not self.finished and task is not None:
                self.left = True
                task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()

    async def reply(
        self, status: int, body: bytes, *, retry_after: int | None = None, content_type: str = JSON
    ) -> None:
        """Answer with a body that is whole, JSON unless said."""
        headers = self._response_headers(content_type)
        headers.append((b"content-length", str(len(body)).encode()))
        if retry_after is not None:
            headers.append((b"retry-after", str(retry_after).encode()))
        if self._unread and self._has_body():
            headers.append((b"connection", b"close"))
        await self._start(status, headers)
        if self._unread and self._has_body():
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            await self._discard()
            body = b""
        self.finished = True
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: ApiError) -> None:
        """Answer with an error in OpenAI's shape; a stream that has begun ends with it, and with no `[DONE]`."""
        if self.started:
            await self.end_stream(b"data: " + error.body() + b"\n\n")
        else:
            await self.reply(error.status, error.body(), retry_after=error.retry_after)

    async def start_stream(self) -> None:
        """Begin an answer of server-sent events."""
        headers = [*self._response_headers(EVENTS), (b"x-accel-buffering", b"no")]
        self.streamed = True
        await self._start(200, headers)

    async def stream(self, data: bytes) -> None:
        """Send a piece of the stream."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self, data: bytes) -> None:
        """Send the last piece of the stream."""
        self.finished = True
        await self._send({"type": "http.response.body", "body": data})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        self.status = status
        self.first_byte = self.seconds
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _response_headers(self, content_type: str) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
        for name, value in self.headers.items():
            headers.append((f"x-smallfirst-{name}".encode(), _UNSAFE.sub("?", value)[:500].encode("ascii")))
        return headers

    def _has_body(self) -> bool:
        return self.header(b"content-length") not in ("", "0") or bool(self.header(b"transfer-encoding"))

    async def _discard(self) -> None:
        size = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while size < LINGER_BYTES:
                    message = await self._receive()
                    size += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return


def _too_large() -> ApiError:
    return invalid(f"The body is over the limit of {BODY_BYTES} bytes. Send less, or split the request.", status=413)
