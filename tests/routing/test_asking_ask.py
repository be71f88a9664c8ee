"""The gateway is asked as anybody asks it; what does not answer is named."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from governance import registry
from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import Environment
from routing import asking
from tests.cast import BOOTSTRAP, make_cast, make_environment

pytestmark = pytest.mark.django_db


class Listener(BaseHTTPRequestHandler):
    """Answers with what it was asked, or with what a gateway never says."""

    def do_POST(self) -> None:
        """Echo."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said: Any = {"asked": asked, "as": self.headers["authorization"], "at": self.path}
        body = json.dumps([] if asked.get("odd") else said).encode()
        self.send_response(422)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-smallfirst-decision", "d1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Something that listens."""
    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def place(url: str) -> Environment:
    """An environment whose gateway is reached there."""
    return registry.set_gateway_url(environment=make_environment(), url=url, by=BOOTSTRAP)


def test_an_answer_is_told_whole(address: str) -> None:
    answer = asking.ask(place(address), token="sf_x", body={"model": "auto"}, seconds=5)
    assert (answer.status, answer.said["decision"]) == (422, "d1")
    assert answer.body == {"asked": {"model": "auto"}, "as": "Bearer sf_x", "at": "/v1/chat/completions"}


def test_what_is_no_gateway_is_named(address: str) -> None:
    with pytest.raises(asking.NotReached, match=f"at {address} is no gateway"):
        asking.ask(place(address), token="sf_x", body={"odd": True}, seconds=5)


def test_silence_is_named() -> None:
    silent = place("http://127.0.0.1:9")
    with pytest.raises(asking.NotReached, match="did not answer"):
        asking.ask(silent, token="sf_x", body={}, seconds=5)
    unknown = registry.set_gateway_url(environment=silent, url="", by=BOOTSTRAP)
    with pytest.raises(asking.NotReached, match="name its address"):
        asking.ask(unknown, token="sf_x", body={}, seconds=5)


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "http://host/path", "ftp://host", "http://host?x=1"])
def test_an_address_is_one(url: str) -> None:
    environment = make_environment()
    with pytest.raises(InvalidInput, match="address"):
        registry.set_gateway_url(environment=environment, url=url, by=BOOTSTRAP)
    environment.refresh_from_db()
    assert environment.gateway_url == ""


def test_only_who_keeps_the_register_names_it() -> None:
    cast = make_cast()
    with pytest.raises(NotPermitted):
        registry.set_gateway_url(environment=cast.production, url="http://127.0.0.1:1", by=cast.owner)
    cast.production.refresh_from_db()
    assert cast.production.gateway_url == ""
