"""What stands outside and is told: a receiver of webhooks and a mail server, both real, and a second verification."""

import base64
import contextlib
import json
import socketserver
import threading
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from tests.gateway.servers import Served


class Receiver(Served):
    """Takes posts and answers with the statuses it is given, the last one for ever; `began` runs before it answers."""

    def __init__(self, *statuses: int, began: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.statuses = list(statuses) or [204]
        self.began = began
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.asked: list[tuple[str, str]] = []

    def routes(self) -> list[web.RouteDef]:
        """Whatever is asked."""
        return [web.route("*", "/{path:.*}", self.take)]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Keep what came, then answer."""
        self.asked.append((request.method, request.path))
        self.bodies.append(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.began()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    @property
    def told(self) -> list[dict[str, Any]]:
        """What was posted, read as JSON."""
        return [json.loads(body) for body in self.bodies]


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether one of a message's signatures is by this secret, as Standard Webhooks 1.0 says it is computed.

    Written from the specification and with another library than the product, so that both must be right.
    """
    key = base64.b64decode(secret[len("whsec_") :], validate=True)
    assert 24 <= len(key) <= 64
    for one in headers["webhook-signature"].split(" "):
        version, _, given = one.partition(",")
        assert version == "v1"
        mac = HMAC(key, hashes.SHA256())
        for part in (headers["webhook-id"].encode(), b".", headers["webhook-timestamp"].encode(), b".", body):
            mac.update(part)
        with contextlib.suppress(Exception):
            mac.verify(base64.b64decode(given, validate=True))
            return True
    return False


class MailServer:
    """Speaks as much SMTP as a client needs to hand over a message; says 451 to the first `refuses` of them."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.taken: list[tuple[list[str], str]] = []
        mails = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                mails._talk(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _talk(self, connection: socketserver.StreamRequestHandler) -> None:
        def say(line: str) -> None:
            connection.wfile.write(f"{line}\r\n".encode())

        to: list[str] = []
        say("220 here")
        while said := connection.rfile.readline().decode().strip():
            verb = said.split(" ")[0].upper()
            if verb == "RCPT":
                to.append(said.partition(":")[2].strip("<> "))
            if verb == "DATA":
                say("354 go on")
                lines = []
                while (line := connection.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(line)
                if self.refuses:
                    self.refuses -= 1
                    say("451 later")
                    continue
                self.taken.append((to, "\n".join(lines)))
            say("221 bye" if verb == "QUIT" else "250 fine")
            if verb == "QUIT":
                return
