"""Posting to addresses that somebody entered on a page: which are asked, how a message is signed, what came of it.

The request comes from our network, so it must not be a way into it. An address is https and leads to the public
internet; http, and private or loopback addresses, only where the operator named the origin, in
SMALLFIRST_WEBHOOK_ORIGINS. Link-local addresses are never asked. All that is checked at the very address that is then
connected to. No redirect is followed, no cookie sent, no proxy used, and of an answer only its status is told.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import aiohttp
from aiohttp.abc import ResolveResult
from django.conf import settings

from governance.errors import InvalidInput
from smallfirst.origins import NoOrigin, origin_of

SECONDS: Final = 8.0
# Ranges that carry another address in them, which is then where one arrives: NAT64, 6to4, Teredo.
CARRIERS: Final = [ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
GONE: Final = 410


class ForbiddenAddress(Exception):
    """An address that is never posted to."""


@dataclass(frozen=True)
class Posted:
    """What came of a post, in words that hold nothing of what was sent or answered. `final`: another try is no use."""

    taken: bool
    text: str
    final: bool = False


def check_url(url: str) -> str:
    """Return the origin of an address that may be posted to. Raises InvalidInput, saying what to do."""
    try:
        origin = origin_of(url)
    except NoOrigin as error:
        raise InvalidInput(
            "url: write an address such as https://hooks.example.com/take, with the host in plain ASCII", field="url"
        ) from error
    if origin in settings.WEBHOOK_ORIGINS:
        return origin
    if not origin.startswith("https:"):
        raise InvalidInput("url: take https: what is told would travel in the open", field="url")
    try:
        _check_address(_host_of(origin), named=False)
    except ForbiddenAddress as error:
        raise InvalidInput(f"url: {_not_asked(origin)}", field="url") from error
    return origin


def signature(secrets: Collection[str], message: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of a signed message by Standard Webhooks, with one signature for each secret (`whsec_…`)."""
    timestamp = str(int(at.timestamp()))
    content = b".".join([message.encode(), timestamp.encode(), body])
    made = [
        base64.b64encode(hmac.new(base64.b64decode(each.removeprefix("whsec_")), content, hashlib.sha256).digest())
        for each in secrets
    ]
    return {
        "webhook-id": message,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{each.decode()}" for each in made),
    }


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
    """Post JSON to an address and say what came of it. Never raises for what a network may do."""
    try:
        origin = origin_of(url)
        named = origin in settings.WEBHOOK_ORIGINS
        if not named and not origin.startswith("https:"):
            raise ForbiddenAddress
        # Resolvers are not asked for what is an address already.
        _check_address(_host_of(origin), named=named)
        async with asyncio.timeout(SECONDS), _session(named=named) as session:
            request = session.post(
                url, data=body, headers={"Content-Type": "application/json", **headers}, allow_redirects=False
            )
            async with request as answer:
                return _told(answer.status)
    except Exception as error:  # noqa: BLE001 (whatever a server does to a client: it is told in words)
        return _failure(error, url)


def _session(*, named: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=_Resolver(named), limit=1),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "smallfirst-webhook"},
        auto_decompress=False,
        trust_env=False,
    )


class _Resolver(aiohttp.ThreadedResolver):
    """Looks names up and refuses those that lead where nothing is posted: the answer is what is then connected to."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self._named = named

    async def resolve(self, *given: Any, **more: Any) -> list[ResolveResult]:
        """Return the addresses of a name."""
        found = await super().resolve(*given, **more)
        for each in found:
            _check_address(each["host"], named=self._named)
        return found


def _check_address(host: str, *, named: bool) -> None:
    """Raise ForbiddenAddress for an IP address that is never posted to; `named` by the operator more are allowed."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        # 127.1 and 2130706433 are addresses too, which no resolver is asked for.
        if host.replace(".", "").isdigit():
            raise ForbiddenAddress from None
        return
    address = (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
    if address.is_link_local:
        raise ForbiddenAddress
    carries = isinstance(address, ipaddress.IPv6Address) and any(address in each for each in CARRIERS)
    if not named and (not address.is_global or address.is_multicast or carries):
        raise ForbiddenAddress


def _host_of(origin: str) -> str:
    """The host of an origin, an IPv6 address without its brackets."""
    host = origin.partition("://")[2]
    return host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]


def _told(status: int) -> Posted:
    if 200 <= status < 300:
        return Posted(True, f"Taken ({status}).")
    if status == GONE:
        return Posted(False, "It answered 410: nothing is taken at this address any more.", final=True)
    if 300 <= status < 400:
        return Posted(False, f"It sends on to another address ({status}), which is not followed: enter that one.")
    if status in (401, 403):
        return Posted(False, f"It refused the message ({status}). Does it hold the right secret?")
    if status == 404:
        return Posted(False, "It answered 404: there is nothing at this path.")
    return Posted(False, f"It answered {status}.")


def _failure(error: Exception, url: str) -> Posted:
    """What went wrong before or instead of an answer."""
    place = _host_of(origin_of(url)) if not isinstance(error, NoOrigin) else "The address"
    match error:
        case ForbiddenAddress():
            return Posted(False, _not_asked(origin_of(url)))
        case TimeoutError():
            return Posted(False, f"No answer within {SECONDS:.0f} seconds.")
        case aiohttp.ClientConnectorCertificateError():
            return Posted(False, f"The certificate of {place} was not accepted.")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return Posted(False, f"{place} speaks no TLS that is accepted here.")
        case aiohttp.ClientConnectorDNSError():
            return Posted(False, f"There is no host {place}.")
        case aiohttp.ClientConnectorError():
            return Posted(False, f"{place} could not be reached.")
    return Posted(False, f"{place} broke off, or did not answer as HTTP does.")


def _not_asked(origin: str) -> str:
    return (
        f"{origin} is not on the public internet. If it belongs here, whoever runs this adds it to "
        "SMALLFIRST_WEBHOOK_ORIGINS and restarts."
    )
