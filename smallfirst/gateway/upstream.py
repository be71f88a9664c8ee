"""Calls to the models: one attempt at one endpoint, plain or streamed; its usage, its cost, its failure as a code."""

import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Literal, Self

import aiohttp
import msgspec
from msgspec import Raw

from smallfirst.engine.compiled import Rates
from smallfirst.engine.snapshot import Endpoint
from smallfirst.gateway.wire import CONSUMED, ChatRequest, encode
from smallfirst.origins import ProviderSecrets, SecretRefused

ANSWER_BYTES: Final = 32 * 1024 * 1024
EVENT_BYTES: Final = 4 * 1024 * 1024
CONNECT_SECONDS: Final = 5.0
TOKENS: Final = 100_000_000
# The model refuses the request itself: another endpoint of it would too.
REFUSING: Final = frozenset({400, 413, 415, 422})

Outcome = Literal["error", "timeout", "refused"]


class AttemptFailed(Exception):
    """An attempt brought no answer. `code` is for records and logs; `sent` is False when nothing left the gateway.

    `told` is what the provider said about a request it refused, or why its key was not sent, for the caller alone;
    `retry_after` is in seconds.
    """

    def __init__(
        self,
        outcome: Outcome,
        code: str,
        *,
        sent: bool = True,
        status: int | None = None,
        request_id: str | None = None,
        told: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.outcome: Outcome = outcome
        self.code = code
        self.sent = sent
        self.status = status
        self.request_id = request_id
        self.told = told
        self.retry_after = retry_after


class Usage(msgspec.Struct, frozen=True):
    """Tokens in disjoint buckets, as the ledger counts them; None is not known, which is not zero."""

    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    quality: Literal["exact", "partial", "missing"] = "exact"


MISSING: Final = Usage(None, None, quality="missing")
NOTHING_SENT: Final = Usage(0, 0)
UNPRICED: Final = Rates("USD", None, None, None, None)


class _TokenDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _ProviderUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _TokenDetails | None = None


class _Token(msgspec.Struct):
    logprob: float


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class Said(msgspec.Struct):
    """The message of a choice; fields of other kinds are left as they are."""

    content: str | None = None


class Choice(msgspec.Struct):
    """One choice of a completion, as far as the gate reads it."""

    message: Said
    finish_reason: str | None = None
    logprobs: Raw = Raw(b"null")


class _Completion(msgspec.Struct):
    choices: list[Choice]
    model: Raw = Raw(b"null")
    usage: Raw = Raw(b"null")


class Completion(msgspec.Struct, frozen=True):
    """An answer that came whole: its fields as they came, and what the gate and the ledger read of them."""

    fields: dict[str, Raw]
    choices: list[Choice]
    usage: Usage
    model_served: str | None
    request_id: str | None
    first_byte_ms: int

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].message.content or ""

    @property
    def confidence(self) -> float | None:
        """The probability of the first token of the answer; None when the provider gave none."""
        try:
            tokens = msgspec.json.decode(self.choices[0].logprobs, type=_Logprobs | None)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if tokens is None or not tokens.content or math.isnan(tokens.content[0].logprob):
            return None
        return math.exp(min(0.0, tokens.content[0].logprob))


class _Vector(msgspec.Struct):
    embedding: Raw


class _Embeddings(msgspec.Struct):
    data: list[_Vector]
    model: Raw = Raw(b"null")
    usage: Raw = Raw(b"null")


class Embedded(msgspec.Struct, frozen=True):
    """The embeddings of all texts of a request: the answer's fields as they came, and what the ledger reads of them."""

    fields: dict[str, Raw]
    usage: Usage
    model_served: str | None
    request_id: str | None
    first_byte_ms: int


_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_completion_decoder = msgspec.json.Decoder(_Completion)
_embeddings_decoder = msgspec.json.Decoder(_Embeddings)
_usage_decoder = msgspec.json.Decoder(_ProviderUsage | None)


def read_usage(raw: Raw, *, speaks: bool = True) -> Usage:
    """Split OpenAI's usage into disjoint buckets: prompt_tokens there counts what a cache was asked and given too.

    Without `speaks` there are no output tokens to be told, as of embeddings.
    """
    try:
        said = _usage_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return MISSING
    if said is None:
        return MISSING
    details = said.prompt_tokens_details or _TokenDetails()
    read, write = details.cached_tokens or 0, details.cache_write_tokens or 0
    prompt, output = said.prompt_tokens, said.completion_tokens
    if output is None and prompt is not None and not speaks:
        output = 0
    if any(count is not None and not 0 <= count <= TOKENS for count in (prompt, output, read, write)):
        return MISSING
    if prompt is None and output is None:
        return MISSING
    if prompt is None or read + write > prompt:
        # The buckets contradict the total: only the total is believed.
        return Usage(prompt, output, quality="partial")
    return Usage(prompt - read - write, output, read, write, quality="partial" if output is None else "exact")


def cost_of(usage: Usage, rates: Rates | None) -> tuple[Decimal, str] | None:
    """What an attempt cost and in which currency; None when a bucket's count or price is not known."""
    rates = rates or UNPRICED
    buckets = (
        (usage.input_tokens, rates.input),
        (usage.output_tokens, rates.output),
        (usage.cache_read_tokens, rates.cache_read),
        (usage.cache_write_tokens, rates.cache_write),
    )
    total = Decimal(0)
    for tokens, rate in buckets:
        if tokens is None or (tokens and rate is None):
            return None
        if tokens and rate is not None:
            total += tokens * rate
    return total, rates.currency


def forwarded(
    request: ChatRequest, endpoint: Endpoint, *, stream: bool, ask_logprobs: bool, max_output_tokens: int | None
) -> bytes:
    """The body for an endpoint: every field as it came, but those meant for the gateway and those it must set."""
    fields: dict[str, object] = {name: raw for name, raw in request.fields.items() if name not in CONSUMED}
    fields["model"] = endpoint.upstream_model
    fields.pop("stream", None)
    options = fields.pop("stream_options", None)
    if stream:
        said = msgspec.json.decode(options) if isinstance(options, Raw) else None
        fields["stream"] = True
        fields["stream_options"] = (said or {}) | {"include_usage": True}
    if ask_logprobs and not request.body.logprobs:
        fields["logprobs"] = True
    if max_output_tokens is not None and (request.max_output_tokens or max_output_tokens + 1) > max_output_tokens:
        name = "max_tokens" if request.body.max_tokens and not request.body.max_completion_tokens else None
        fields[name or "max_completion_tokens"] = max_output_tokens
    return encode(fields)


class Stream:
    """An answer that is coming in pieces: `events` yields the data of each event, up to and without `[DONE]`."""

    def __init__(self, response: aiohttp.ClientResponse, first_byte_ms: int) -> None:
        self._response = response
        self.request_id = _request_id(response)
        self.first_byte_ms = first_byte_ms
        self.done = False

    async def events(self) -> AsyncIterator[bytes]:
        """Yield events as they come; raise AttemptFailed when the stream breaks. It ends at `[DONE]` or at its end."""
        pending = b""
        pieces = self._response.content.iter_any()
        while True:
            with _failures_named(self._response):
                piece = await anext(pieces, b"")
            if not piece:
                return
            *lines, pending = (pending + piece).split(b"\n")
            if len(pending) > EVENT_BYTES:
                raise AttemptFailed("error", "too_large", status=200, request_id=self.request_id)
            for line in lines:
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    self.done = True
                    return
                yield data


class Upstream:
    """The client to all models. A provider's key leaves only for the origins it is bound to."""

    def __init__(self, secrets: ProviderSecrets) -> None:
        self._secrets = secrets
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            # Idle connections are dropped before the common five seconds after which servers drop them:
            # a request on a connection that is being closed would be lost.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
            headers={"Accept-Encoding": "identity", "User-Agent": "smallfirst"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def complete(self, endpoint: Endpoint, body: bytes, *, seconds: float) -> Completion:
        """Ask for a whole answer; raise AttemptFailed."""
        return _read_completion(*await self._ask_whole(endpoint, "chat/completions", body, seconds))

    async def embed(self, endpoint: Endpoint, body: bytes, *, count: int, seconds: float) -> Embedded:
        """Ask for the embeddings of `count` texts; raise AttemptFailed."""
        return _read_embedded(*await self._ask_whole(endpoint, "embeddings", body, seconds), count)

    async def _ask_whole(
        self, endpoint: Endpoint, path: str, body: bytes, seconds: float
    ) -> tuple[bytes, str | None, int]:
        """Return a whole answer, the provider's id of the request, and the milliseconds to its first byte."""
        began = time.monotonic()
        response = await self._ask(endpoint, path, body, "application/json", total=seconds, idle=None)
        first_byte_ms = milliseconds(began)
        try:
            pieces: list[bytes] = []
            size = 0
            with _failures_named(response):
                async for piece in response.content.iter_any():
                    size += len(piece)
                    if size > ANSWER_BYTES:
                        raise AttemptFailed("error", "too_large", status=200, request_id=_request_id(response))
                    pieces.append(piece)
            return b"".join(pieces), _request_id(response), first_byte_ms
        finally:
            response.release()

    @asynccontextmanager
    async def stream(self, endpoint: Endpoint, body: bytes, *, seconds: float) -> AsyncIterator[Stream]:
        """Ask for an answer in pieces, none later than `seconds` after the one before; raise AttemptFailed."""
        began = time.monotonic()
        response = await self._ask(endpoint, "chat/completions", body, "text/event-stream", total=None, idle=seconds)
        try:
            if response.content_type != "text/event-stream":
                raise AttemptFailed("error", "not_a_stream", status=200, request_id=_request_id(response))
            yield Stream(response, milliseconds(began))
        finally:
            # Closes the connection when the answer was not read to its end, so the model stops.
            response.release()

    async def _ask(
        self, endpoint: Endpoint, path: str, body: bytes, accept: str, *, total: float | None, idle: float | None
    ) -> aiohttp.ClientResponse:
        url = f"{endpoint.url.rstrip('/')}/{path}"
        headers = {"Content-Type": "application/json", "Accept": accept}
        if endpoint.secret is not None:
            headers["Authorization"] = f"Bearer {self._secret(endpoint.secret, url)}"
        timeout = aiohttp.ClientTimeout(
            total=total, sock_read=idle, sock_connect=min(CONNECT_SECONDS, total or idle or CONNECT_SECONDS)
        )
        with _failures_named(None):
            response = await self._session.post(
                url,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            )
        if response.status == 200:
            return response
        try:
            with _failures_named(response):
                raise await _refusal(response)
        finally:
            response.release()

    def _secret(self, reference: str, url: str) -> str:
        """The provider's key that `env:NAME` names, if it may go to this address; raise AttemptFailed."""
        try:
            return self._secrets.value(reference, url, os.environ)
        except SecretRefused as refused:
            raise AttemptFailed("error", refused.code, sent=False, told=refused.text) from None


@contextmanager
def _failures_named(response: aiohttp.ClientResponse | None) -> Iterator[None]:
    """Turn what the network may do into AttemptFailed; `response` is None until its headers have come."""
    status = response.status if response is not None else None
    request_id = _request_id(response) if response is not None else None
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise AttemptFailed("timeout", "connect_timeout", sent=False) from None
    except TimeoutError:
        raise AttemptFailed("timeout", "timeout", status=status, request_id=request_id) from None
    except aiohttp.ClientConnectorError:
        raise AttemptFailed("error", "connect", sent=False) from None
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError):
        raise AttemptFailed("error", "disconnected", status=status, request_id=request_id) from None
    except (aiohttp.ClientError, ValueError):
        # ValueError: an address that is none, a secret with a line break inside.
        raise AttemptFailed("error", "bad_http", status=status, request_id=request_id) from None


def milliseconds(began: float) -> int:
    """Whole milliseconds since a moment of the monotonic clock."""
    return round((time.monotonic() - began) * 1000)


def _read_completion(raw: bytes, request_id: str | None, first_byte_ms: int) -> Completion:
    try:
        raw.decode()
        fields = _fields_decoder.decode(raw)
        read = _completion_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise AttemptFailed("error", "not_a_completion", status=200, request_id=request_id) from None
    if not read.choices:
        raise AttemptFailed("error", "not_a_completion", status=200, request_id=request_id)
    return Completion(fields, read.choices, read_usage(read.usage), model_name(read.model), request_id, first_byte_ms)


def _read_embedded(raw: bytes, request_id: str | None, first_byte_ms: int, count: int) -> Embedded:
    try:
        raw.decode()
        fields = _fields_decoder.decode(raw)
        read = _embeddings_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise AttemptFailed("error", "not_embeddings", status=200, request_id=request_id) from None
    if len(read.data) != count or any(memoryview(one.embedding)[0] not in b'["' for one in read.data):
        raise AttemptFailed("error", "not_embeddings", status=200, request_id=request_id)
    usage = read_usage(read.usage, speaks=False)
    return Embedded(fields, usage, model_name(read.model), request_id, first_byte_ms)


def model_name(raw: Raw) -> str | None:
    """The model that a provider says has answered, bounded for the records."""
    try:
        name = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return _clean(name) if isinstance(name, str) else None


def _request_id(response: aiohttp.ClientResponse) -> str | None:
    return _clean(response.headers.get("x-request-id", ""))


def _clean(text: str) -> str | None:
    return "".join(letter for letter in text if letter.isprintable())[:200] or None


async def _refusal(response: aiohttp.ClientResponse) -> AttemptFailed:
    """A status other than 200 as a failed attempt; what a refusing provider says is read for the caller."""
    status = response.status
    outcome: Outcome = "refused" if status in REFUSING else "error"
    told = None
    if outcome == "refused":
        error: Any = None
        try:
            error = msgspec.json.decode(await response.content.read(65536))
            told = _clean(str(error["error"]["message"]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            told = None
    after = response.headers.get("Retry-After", "")
    return AttemptFailed(
        outcome,
        f"http_{status}",
        status=status,
        request_id=_request_id(response),
        told=told,
        retry_after=min(int(after), 3600) if after.isdigit() else None,
    )
