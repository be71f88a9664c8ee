"""What stands around a gateway that is measured: models that answer at once, and a control plane that only counts.

    python -m benchmarks.servers upstream PORT
    python -m benchmarks.servers control PORT DIRECTORY     serves bundle.json and state.json from there

uvloop and httptools without a framework, so that the models take about a tenth of what the quickest gateway takes.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop

CHUNKS = 20
CHUNK_SECONDS = 0.005
TEXT = (
    "Your parcel left the warehouse on Monday evening and is with the carrier now. It should reach you on Wednesday "
    "before noon; if nobody is at home, the driver leaves it with a neighbour or at the nearest shop and drops a card "
    "that says where. The lamp you sent back has arrived with us, we have checked it, and the money is on its way to "
    "the card you paid with, which takes your bank up to three working days. Nothing further is needed from you. "
    "Should the parcel be late, answer this message and we look into it at once. The cable of that lamp is 1.8 m long "
    "from the plug to the foot, so yours may be the older model; we are glad to send you a longer one without cost."
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def completion() -> bytes:
    """An answer of about 1 KB as OpenAI's API gives it."""
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    body: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "small-2026-01",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 240, "completion_tokens": 128, "total_tokens": 368},
    }
    return json.dumps(body).encode()


def events(chunks: int = CHUNKS) -> list[bytes]:
    """The same as events: so many pieces, the end with its usage, and `[DONE]`."""
    head: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "small-2026-01",
    }
    words = TEXT.split()
    cuts = [number * len(words) // chunks for number in range(chunks + 1)]
    pieces = [" ".join(words[start:end]) for start, end in pairwise(cuts)]
    deltas: list[dict[str, object]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": f"{piece} "}, "finish_reason": None}]}
        for piece in pieces
    ]
    deltas.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    deltas.append({"choices": [], "usage": {"prompt_tokens": 240, "completion_tokens": 128, "total_tokens": 368}})
    return [*(f"data: {json.dumps(head | delta)}\n\n".encode() for delta in deltas), b"data: [DONE]\n\n"]


class Server(asyncio.Protocol):
    """One connection: reads requests one after the other and answers each as a subclass says."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.etag = b""
        self.pieces: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's own class is none of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls back."""
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Note what is asked for."""
        self.url = url
        self.etag = b""
        self.pieces = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note which document the caller has."""
        if name.lower() == b"if-none-match":
            self.etag = value

    def on_body(self, body: bytes) -> None:
        """Gather the body."""
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        """Answer."""
        self.answer(self.url, b"".join(self.pieces))

    def answer(self, url: bytes, body: bytes) -> None:
        """Write the answer."""
        raise NotImplementedError

    def reply(self, body: bytes) -> None:
        """Write a JSON answer."""
        self.transport.write(HEAD % len(body) + body)


class Upstream(Server):
    """Models that give the same answer to everything: whole, or in pieces where the request asks for a stream."""

    whole = HEAD % len(completion()) + completion()
    parts = tuple(b"%x\r\n%s\r\n" % (len(event), event) for event in events())

    def answer(self, url: bytes, body: bytes) -> None:
        """Answer at once; a stream's first piece too, the others in their rhythm."""
        if b'"stream":true' in body or b'"stream": true' in body:
            self.transport.write(EVENTS_HEAD)
            self._stream(0)
        else:
            self.transport.write(self.whole)

    def _stream(self, number: int) -> None:
        if number >= CHUNKS:
            self.transport.write(b"".join(self.parts[number:]) + b"0\r\n\r\n")
            return
        self.transport.write(self.parts[number])
        asyncio.get_running_loop().call_later(CHUNK_SECONDS, self._stream, number + 1)


class Control(Server):
    """The control plane's side of the contract: serves what is signed, counts what is reported, remembers nothing."""

    documents: dict[bytes, tuple[bytes, bytes]] = {}
    counts: dict[str, int] = {}

    def answer(self, url: bytes, body: bytes) -> None:
        """A document, a receipt, or the counts so far."""
        if url in self.documents:
            self._document(*self.documents[url])
        elif url == b"/counts":
            self.reply(msgspec.json.encode(self.counts))
        else:
            taken = 0
            for kind, records in msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]]).items():
                self.counts[kind] = self.counts.get(kind, 0) + len(records)
                taken += len(records)
            self.reply(b'{"accepted":%d,"repeated":0,"refused":[]}' % taken)

    def _document(self, document: bytes, etag: bytes) -> None:
        if self.etag == etag:
            self.transport.write(b"HTTP/1.1 304 Not Modified\r\nETag: %s\r\nContent-Length: 0\r\n\r\n" % etag)
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: %s\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % (etag, len(document)) + document)


def read_documents(directory: Path) -> None:
    """Take the signed documents from a directory."""
    for name in ("bundle", "state"):
        document = (directory / f"{name}.json").read_bytes()
        Control.documents[f"/api/v1/{name}".encode()] = document, f'"{sha256(document).hexdigest()}"'.encode()


async def serve(protocol: Callable[[], asyncio.Protocol], port: int) -> None:
    """Listen on 127.0.0.1 until killed."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve what the command line says."""
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "control":
        read_documents(Path(sys.argv[3]))
    uvloop.run(serve(Control if kind == "control" else Upstream, port))


if __name__ == "__main__":
    main()
