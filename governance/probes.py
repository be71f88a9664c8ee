"""Trying an endpoint from the control plane: is the model there, and does it take the key?

Who may try is who may edit the endpoint, and each try leaves an entry, for the address is his choice and the request
comes from our network. Private and loopback addresses are allowed: self-hosted models live there. So that nobody reads
other services this way, it asks two fixed paths below the address, follows no redirect, sends no cookie, and tells of
what came back only a word, the status and, from a list of models, one name. Link-local addresses are never asked: what
answers there hands out a machine's credentials. A secret is sent only to the origins that this process was told it is
for (`SMALLFIRST_PROVIDER_SECRETS`): otherwise any variable of its environment could be sent anywhere. It is kept
nowhere.
"""

import asyncio
import difflib
import ipaddress
import os
import queue
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import ResolveResult
from django.db import transaction

from governance import audit
from governance.accounts import require
from governance.audit import Actor
from governance.errors import store
from governance.models import Endpoint, Probe, User
from governance.secrets import bound
from smallfirst.origins import SecretRefused

SECONDS: Final = 5.0
LIST_BYTES: Final = 2 * 1024 * 1024
NAME_LETTERS: Final = 100
NOT_KNOWN: Final = "env:{} is not bound to any address here."

Outcome = Probe.Outcome


def try_endpoint(*, endpoint: Endpoint, by: Actor) -> Probe:
    """Ask an endpoint for its models and, where it lists none, for one token; keep what came of it.

    Takes at most about five seconds, and holds no transaction meanwhile. Raises NotPermitted, and RuntimeError inside
    a transaction.
    """
    with transaction.atomic(durable=True):
        tried = Endpoint.objects.select_related("version__model", "environment").get(pk=endpoint.pk)
        require(by, "registry.edit", tried)
    key = Key.of(tried)
    reached = reach(tried.url, tried.upstream_model, key)
    return _record(tried, reached, by)


@dataclass(frozen=True)
class Key:
    """The key an endpoint names: the variable, None where it names none, and its value where this process may send it.

    `why` says what keeps it back, as a sentence; empty where nothing does.
    """

    variable: str | None
    value: str | None
    why: str = ""

    @classmethod
    def of(cls, endpoint: Endpoint) -> "Key":
        """The key of an endpoint, as far as it is at hand and may go to its address."""
        if not endpoint.secret:
            return cls(None, None)
        variable = endpoint.secret.removeprefix("env:")
        try:
            return cls(variable, bound().value(endpoint.secret, endpoint.url, os.environ))
        except SecretRefused as refused:
            return cls(variable, None, refused.text if bound().origins(variable) else NOT_KNOWN.format(variable))


@dataclass(frozen=True)
class Reached:
    """What came of a try, in a word and in words."""

    outcome: Outcome
    text: str


@transaction.atomic(durable=True)
def _record(endpoint: Endpoint, reached: Reached, by: Actor) -> Probe:
    made = store(
        Probe(
            endpoint=endpoint,
            url=endpoint.url,
            outcome=reached.outcome,
            text=reached.text,
            tried_by=by if isinstance(by, User) else None,
        )
    )
    audit.record(
        action="probes.try_endpoint",
        actor=by,
        object=made,
        summary=f"Tried {endpoint.version.model.name} in {endpoint.environment.name}: {reached.outcome.label.lower()}",
        after={"endpoint": endpoint.pk, "url": endpoint.url, "outcome": str(reached.outcome)},
    )
    return made


def reach(url: str, model: str, key: Key) -> Reached:
    """Ask an address whether it serves a model, and say what came of it. Never raises for what a network may do."""
    answers: queue.SimpleQueue[Reached] = queue.SimpleQueue()

    def work() -> None:
        answers.put(asyncio.run(_ask_in_time(url, model, key)))

    # A thread of its own: looking up a name cannot be interrupted, and this one need not be waited for.
    threading.Thread(target=work, name="probe", daemon=True).start()
    try:
        return answers.get(timeout=SECONDS + 0.5)
    except queue.Empty:
        return _in_time()


async def _ask_in_time(url: str, model: str, key: Key) -> Reached:
    try:
        async with asyncio.timeout(SECONDS), _session() as session:
            return await _Asking(session, url.rstrip("/"), model, key).ask()
    except Exception as error:  # noqa: BLE001 (whatever a server does to a client: it is told in words)
        return _failure(error, url)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=_Resolver(), limit=1),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "smallfirst-probe"},
        auto_decompress=False,
        trust_env=False,
    )


class ForbiddenAddress(Exception):
    """An address that is never asked."""


class _Resolver(aiohttp.ThreadedResolver):
    """Looks names up and refuses those that lead to a link-local address: the answer is what is then connected to."""

    async def resolve(self, *given: Any, **more: Any) -> list[ResolveResult]:
        """Return the addresses of a name."""
        found = await super().resolve(*given, **more)
        for each in found:
            _check_address(each["host"])
        return found


def _check_address(host: str) -> None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        # 169.254.43518 is an address too, which no resolver is asked for.
        if host.replace(".", "").isdigit():
            raise ForbiddenAddress from None
        return
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if (mapped or address).is_link_local:
        raise ForbiddenAddress


@dataclass(frozen=True)
class _Asking:
    """One try: where it asks, for which model, and with which key."""

    session: aiohttp.ClientSession
    url: str
    model: str
    key: Key

    async def ask(self) -> Reached:
        """Read the list of models, and where there is none ask for one token."""
        # Resolvers are not asked for what is an address already.
        _check_address(urlsplit(self.url).hostname or "")
        async with self._request("GET", "/models") as answer:
            status = answer.status
            names = _names(await _start(answer)) if status == 200 else []
        if refusal := self._refusal(status):
            return refusal
        if names:
            return self._listed(names)
        body = {"model": self.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        async with self._request("POST", "/chat/completions", json=body) as answer:
            status = answer.status
            said = status == 200 and b'"choices"' in await _start(answer)
        if refusal := self._refusal(status):
            return refusal
        if said:
            return Reached(Outcome.ANSWERED, f"Reached: {self.model} answered.{self._without_key()}")
        if status in (404, 405):
            return Reached(
                Outcome.NOT_FOUND,
                f"A server answers, but has neither models nor chat at this address ({status}). Does it end in /v1?",
            )
        if status == 200:
            return Reached(Outcome.NOT_FOUND, "A server answers, but not as OpenAI’s API does. Does it end in /v1?")
        return Reached(Outcome.FAILED, f"Reached, but a request for one token was answered with {status}.")

    def _request(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key.value}"} if self.key.value else {}
        return self.session.request(method, f"{self.url}{path}", headers=headers, allow_redirects=False, **more)

    def _refusal(self, status: int) -> Reached | None:
        """What a status says by itself; None where it takes more to know."""
        if status in (401, 403):
            if self.key.value:
                return Reached(
                    Outcome.KEY_REFUSED, f"Reached, but the key in env:{self.key.variable} was refused ({status})."
                )
            if self.key.variable:
                return Reached(
                    Outcome.KEY_MISSING,
                    f"Reached: it asks for a key ({status}). {self.key.why} Only a request through a gateway shows "
                    "whether it fits.",
                )
            return Reached(
                Outcome.KEY_MISSING, f"Reached, but it asks for a key ({status}) and this endpoint names none."
            )
        if 300 <= status < 400:
            return Reached(
                Outcome.FAILED, f"It sends on to another address ({status}), which gateways do not follow: name that."
            )
        return Reached(Outcome.FAILED, f"Reached, but it answered {status}.") if status >= 500 else None

    def _listed(self, names: Sequence[str]) -> Reached:
        if self.model in names:
            return Reached(Outcome.LISTED, f"Reached: it lists {self.model}.{self._without_key()}")
        nearest = difflib.get_close_matches(self.model, names, n=1, cutoff=0.0)[0]
        count = "the only one it lists" if len(names) == 1 else f"the nearest of the {len(names)} it lists"
        return Reached(Outcome.NOT_LISTED, f"Reached, but it lists no {self.model}; {count} is {nearest}.")

    def _without_key(self) -> str:
        return f" It asked for no key. {self.key.why}" if self.key.why else ""


async def _start(answer: aiohttp.ClientResponse) -> bytes:
    """The body, or nothing of one that is too large."""
    read = bytearray()
    async for piece in answer.content.iter_chunked(65_536):
        read += piece
        if len(read) > LIST_BYTES:
            return b""
    return bytes(read)


def _names(body: bytes) -> list[str]:
    """The names in OpenAI's list of models; none in anything else."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    rows = read.get("data") if isinstance(read, dict) else None
    found = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [name for name in found if isinstance(name, str) and 0 < len(name) <= NAME_LETTERS and name.isprintable()]


def _failure(error: Exception, url: str) -> Reached:
    """What went wrong before or instead of an answer, in words that hold nothing of what was sent."""
    place = urlsplit(url).netloc.rpartition("@")[2]
    match error:
        case ForbiddenAddress():
            return Reached(Outcome.FORBIDDEN, "Link-local addresses are never asked: no model is served there.")
        case TimeoutError():
            return _in_time()
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(error.certificate_error, "verify_message", "") or "it does not fit"
            return Reached(Outcome.TLS, f"The certificate of {place} was not accepted: {why}.")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return Reached(Outcome.TLS, f"{place} speaks no TLS that is accepted here. Is it http instead of https?")
        case aiohttp.ClientConnectorDNSError():
            return Reached(Outcome.UNKNOWN_HOST, f"There is no host {place}.")
        case aiohttp.ClientConnectorError():
            if isinstance(error.os_error, ConnectionRefusedError):
                return Reached(Outcome.REFUSED, f"The connection was refused: nothing listens at {place}.")
            return Reached(Outcome.REFUSED, f"{place} could not be reached.")
    return Reached(Outcome.FAILED, f"{place} broke off, or did not answer as HTTP does.")


def _in_time() -> Reached:
    return Reached(Outcome.TIMEOUT, f"No answer within {SECONDS:.0f} seconds.")
