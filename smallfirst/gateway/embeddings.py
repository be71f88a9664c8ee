"""One request for embeddings: read, asked of the ladder until a model answers, recorded, passed on as it came."""

from typing import Any, Final, Literal, assert_never

import msgspec
import uuid_utils
from msgspec import UNSET, Raw, UnsetType

from smallfirst.engine.decision import Fail, Keep, Person, Plan
from smallfirst.engine.policy import Name
from smallfirst.gateway.admission import Admitted
from smallfirst.gateway.attempts import Attempt
from smallfirst.gateway.exchange import Exchange
from smallfirst.gateway.walk import Services, Walk
from smallfirst.gateway.wire import (
    CONSUMED,
    PositiveInt,
    Request,
    encode,
    faults_named,
    invalid,
    read_fields,
    read_metadata,
)
from smallfirst.signals import read_texts

# As many texts as OpenAI takes at once.
MOST_INPUTS: Final = 2048


class EmbeddingsBody(msgspec.Struct):
    """The fields of a request that are checked before anything is asked; all others pass as they came."""

    model: Name
    input: Any
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: PositiveInt | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    smallfirst: Raw | UnsetType = UNSET
    review: Raw | UnsetType = msgspec.field(default=UNSET, name="smallfirst.review")


class EmbeddingsRequest(Request, frozen=True, kw_only=True):
    """A request for embeddings: of texts, or of texts that the caller has cut into tokens, `tokens` of them in all."""

    texts: tuple[str, ...]
    tokens: int
    count: int


_body_decoder = msgspec.json.Decoder(EmbeddingsBody)


def read_embeddings(raw: bytes) -> EmbeddingsRequest:
    """Read a request body; raise an `invalid_request` ApiError that names the field and the fix."""
    with faults_named(raw):
        fields, body = read_fields(raw, _body_decoder)
    for name in CONSUMED[1:]:
        if name in fields:
            raise invalid("Nobody reviews embeddings. Leave this field out.", name)
    texts, tokens, count = _inputs(body.input)
    metadata, tags = read_metadata(body.metadata or {})
    return EmbeddingsRequest(
        fields=fields,
        model=body.model,
        metadata=metadata,
        tags=tags,
        kind="embeddings",
        texts=texts,
        tokens=tokens,
        count=count,
    )


def _inputs(given: object) -> tuple[tuple[str, ...], int, int]:
    """Return the texts, the tokens that came in place of texts, and how many embeddings are asked for."""
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not given:
        raise invalid("input must be a text, a list of texts, a list of tokens, or a list of such lists.", "input")
    if _is_tokens(given):
        return (), len(given), 1
    if len(given) > MOST_INPUTS:
        raise invalid(f"At most {MOST_INPUTS} texts at once. Send several requests.", "input")
    texts = isinstance(given[0], str)
    for place, one in enumerate(given):
        if not one or not (isinstance(one, str) if texts else isinstance(one, list) and _is_tokens(one)):
            text = "Every input is a text that is not empty, or every one is a list of tokens."
            raise invalid(text, f"input[{place}]")
    if texts:
        return tuple(given), 0, len(given)
    return (), sum(map(len, given)), len(given)


def _is_tokens(given: list[object]) -> bool:
    return all(type(one) is int and one >= 0 for one in given)


async def answer(exchange: Exchange, admitted: Admitted, services: Services) -> None:
    """Answer a request for embeddings; raise an ApiError when there is no answer."""
    exchange.headers["decision"] = decision_id = str(uuid_utils.uuid7())
    request = read_embeddings(await exchange.read_body())
    async with exchange.cancelled_when_left():
        await Embedding(exchange, admitted, services, request, decision_id).run()


class Embedding(Walk):
    """A request for embeddings that is being decided. No answer of it is judged: the first that comes is kept."""

    def __init__(
        self,
        exchange: Exchange,
        admitted: Admitted,
        services: Services,
        request: EmbeddingsRequest,
        decision_id: str,
    ) -> None:
        signals = read_texts(request.texts, tokens=request.tokens)
        super().__init__(exchange, admitted, services, request, signals, decision_id)
        self._request = request

    async def run(self) -> None:
        """Walk the ladder and answer."""
        plan = self._plan()
        move = await self._walk(plan)
        match move:
            case Keep(rung=rung):
                await self._keep(plan, self._kept(rung))
            case Fail():
                self._fail(plan, move)
            case Person():
                raise ValueError("the engine asks nobody to judge embeddings")
            case _:
                assert_never(move)

    async def _ask(self, plan: Plan, attempt: Attempt, seconds: float) -> None:
        fields: dict[str, object] = {name: raw for name, raw in self._request.fields.items() if name not in CONSUMED}
        body = encode(fields | {"model": attempt.endpoint.upstream_model})
        upstream = self._services.upstream
        attempt.answered_in_numbers(
            await upstream.embed(attempt.endpoint, body, count=self._request.count, seconds=seconds)
        )

    async def _keep(self, plan: Plan, attempt: Attempt) -> None:
        """Send what the model answered, under its registered name."""
        if attempt.embedded is None:
            raise ValueError("an attempt that was kept holds its answer")
        self._record(plan, kept=attempt)
        self._served_headers(attempt)
        await self._exchange.reply(200, encode({**attempt.embedded.fields, "model": attempt.endpoint.model}))
