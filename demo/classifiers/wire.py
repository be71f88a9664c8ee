"""OpenAI's shapes: what a request may say, what an answer, a stream and an error look like."""

import base64
import re
import time
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np

from demo.classifiers.fitted import MODELS
from demo.classifiers.heads import Numbers
from demo.classifiers.minilm import DIMENSIONS
from demo.classifiers.models import Reading

T = TypeVar("T")

MOST_INPUTS = 64
_PLACE = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<where>.*)`$")
_encode = msgspec.json.Encoder().encode
Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is an error, in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        *,
        param: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, headers

    def body(self) -> bytes:
        """The error object."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": str(self), "type": kind, "code": self.code, "param": self.param}
        return _encode({"error": error})


class TextPart(msgspec.Struct, tag="text"):
    """A part of a message; these models read text only."""

    text: str


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or ())


class StreamOptions(msgspec.Struct):
    """What a stream should end with."""

    include_usage: bool | None = False


class ChatRequest(msgspec.Struct):
    """The fields that mean something to a classifier; sampling parameters and unknown fields are ignored."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    logprobs: bool | None = False
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=1)] | None = 1

    @property
    def text(self) -> str:
        """The last user message. Raises ApiError if there is none, or nothing in it."""
        said = next((message.text for message in reversed(self.messages) if message.role == "user"), None)
        if said is None:
            raise ApiError(
                400,
                "messages: none has the role user; its text is what gets a label",
                "invalid_request",
                param="messages",
            )
        if not said.strip():
            raise ApiError(400, "messages: the last user message is empty", "invalid_request", param="messages")
        return said


class EmbeddingsRequest(msgspec.Struct):
    """Texts to embed."""

    model: str
    input: str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_INPUTS)]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = DIMENSIONS


_chat_request = msgspec.json.Decoder(ChatRequest)
_embeddings_request = msgspec.json.Decoder(EmbeddingsRequest)


def read_chat(body: bytes) -> ChatRequest:
    """The request in a body. Raises ApiError naming the field."""
    request = _decode(_chat_request, body)
    _known(request.model, MODELS)
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(400, "top_logprobs: needs logprobs to be true", "invalid_request", param="top_logprobs")
    return request


def read_embeddings(body: bytes) -> EmbeddingsRequest:
    """The request in a body. Raises ApiError naming the field."""
    request = _decode(_embeddings_request, body)
    _known(request.model, ("minilm",))
    if request.dimensions not in (None, DIMENSIONS):
        raise ApiError(400, f"dimensions: minilm gives {DIMENSIONS} numbers", "invalid_request", param="dimensions")
    return request


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        what, where = (found["what"], found["where"]) if found else (str(error), "")
        raise ApiError(400, f"{where or 'body'}: {what}", "invalid_request", param=where or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is not JSON: {error}", "invalid_json") from None


def _known(model: str, among: tuple[str, ...]) -> None:
    if model not in among:
        message = f"model: {model[:80]!r} is not served here; there is {', '.join(among)}"
        raise ApiError(404, message, "model_not_found", param="model")


def models(created: int) -> bytes:
    """The answer to GET /v1/models; `created` is when they were fitted, in seconds."""
    rows = [{"id": name, "object": "model", "created": created, "owned_by": "demo"} for name in MODELS]
    return _encode({"object": "list", "data": rows})


def completion(request: ChatRequest, reading: Reading) -> bytes:
    """A whole answer: the label, one token."""
    message = {"role": "assistant", "content": reading.label, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": _logprobs(request, reading), "finish_reason": "stop"}
    return _encode(_head("chat.completion", request) | {"choices": [choice], "usage": _usage(reading)})


def completion_events(request: ChatRequest, reading: Reading) -> Iterator[bytes]:
    """The same answer as server-sent events."""
    head = _head("chat.completion.chunk", request)
    wants_usage = bool(request.stream_options and request.stream_options.include_usage)
    label = {"index": 0, "delta": {"content": reading.label}, "finish_reason": None}
    choices: list[Json] = [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None},
        label | {"logprobs": _logprobs(request, reading)},
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"},
    ]
    for choice in choices:
        yield _event(head | {"choices": [choice]} | ({"usage": None} if wants_usage else {}))
    if wants_usage:
        yield _event(head | {"choices": [], "usage": _usage(reading)})
    yield b"data: [DONE]\n\n"


def embeddings(request: EmbeddingsRequest, embedded: list[tuple[Numbers, int]]) -> bytes:
    """The embeddings of all inputs, in their order."""
    rows: list[Json] = [
        {"object": "embedding", "index": index, "embedding": _vector(request, vector)}
        for index, (vector, _tokens) in enumerate(embedded)
    ]
    tokens = sum(tokens for _vector, tokens in embedded)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _encode({"object": "list", "data": rows, "model": request.model, "usage": usage})


def health(status: str, **more: str) -> bytes:
    """The answer to GET /health."""
    return _encode({"status": status} | more)


def _head(kind: str, request: ChatRequest) -> Json:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": None,
    }


def _usage(reading: Reading) -> Json:
    return {"prompt_tokens": reading.tokens, "completion_tokens": 1, "total_tokens": reading.tokens + 1}


def _logprobs(request: ChatRequest, reading: Reading) -> Json | None:
    if not request.logprobs:
        return None
    likeliest = sorted(range(len(reading.labels)), key=reading.log_probabilities.__getitem__, reverse=True)
    tokens = [_token(reading.labels[place], reading.log_probabilities[place]) for place in likeliest]
    return {"content": [tokens[0] | {"top_logprobs": tokens[: request.top_logprobs or 0]}], "refusal": None}


def _token(label: str, log_probability: float) -> Json:
    return {"token": label, "logprob": log_probability, "bytes": list(label.encode())}


def _event(chunk: Json) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"


def _vector(request: EmbeddingsRequest, vector: Numbers) -> str | list[float]:
    if request.encoding_format == "base64":
        return base64.b64encode(vector.astype(np.float32).tobytes()).decode()
    return vector.tolist()  # type: ignore[no-any-return]
