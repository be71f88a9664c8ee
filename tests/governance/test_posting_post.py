"""Posting: which addresses are never asked, at entry and where it is connected to; the signature's vector."""

import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from governance import posting
from governance.errors import InvalidInput
from smallfirst.loops import play

# The example of Standard Webhooks' own documentation.
SECRET, MESSAGE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT, BODY = datetime.fromtimestamp(1614265330, UTC), b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

INSIDE = [
    *("127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "100.64.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1"),
    *("[::1]", "[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::1]"),
    *("127.1", "2130706433", "0177.0.0.1"),
]


def test_the_signature_is_that_of_the_specification() -> None:
    assert posting.signature([SECRET], MESSAGE, AT, BODY) == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNED,
    }
    both = posting.signature([f"whsec_{'A' * 32}", SECRET], MESSAGE, AT, BODY)["webhook-signature"].split(" ")
    assert (len(both), both[1]) == (2, SIGNED)


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects fails the test."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: pytest.fail("connected"))


@pytest.mark.parametrize("host", INSIDE)
def test_what_is_inside_is_never_asked_unless_the_operator_named_it(
    host: str, unconnected: None, settings: Any
) -> None:
    posted = play(posting.post(f"https://{host}/take", b"{}", {}))
    assert not posted.taken
    assert "is not on the public internet" in posted.text
    with pytest.raises(InvalidInput):
        posting.check_url(f"https://{host}/take")


@pytest.mark.parametrize("found", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:192.168.1.1"])
def test_a_name_that_leads_inside_is_refused_where_it_is_connected_to(
    found: str, monkeypatch: pytest.MonkeyPatch, unconnected: None
) -> None:
    family = socket.AF_INET6 if ":" in found else socket.AF_INET
    place = (found, 443, 0, 0) if ":" in found else (found, 443)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [(family, socket.SOCK_STREAM, 6, "", place)])
    posted = play(posting.post("https://rebound.example.com/take", b"{}", {}))
    assert posted.text.startswith("https://rebound.example.com is not on the public internet.")


def test_link_local_is_not_asked_even_where_the_operator_named_it(unconnected: None, settings: Any) -> None:
    settings.WEBHOOK_ORIGINS = {"http://169.254.169.254"}
    assert not play(posting.post("http://169.254.169.254/latest", b"{}", {})).taken


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.com/take", "ftp://hooks.example.com", "hooks.example.com", ""),
        *("https://user:secret@hooks.example.com/", "https://hooks.example.com./", "https://bücher.example/"),
    ],
)
def test_what_is_not_plainly_an_https_address_is_refused_at_entry(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        posting.check_url(url)
    assert refused.value.field == "url"


def test_what_the_operator_named_may_be_http_and_inside(settings: Any) -> None:
    settings.WEBHOOK_ORIGINS = {"http://10.0.0.7:8065"}
    assert posting.check_url("http://10.0.0.7:8065/hooks/x") == "http://10.0.0.7:8065"
    assert posting.check_url("https://hooks.example.com/x") == "https://hooks.example.com"
