"""OpenAI's wire: what all requests share, the chat request, and errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw

from smallfirst.cases import ReviewRequest, review_fault
from smallfirst.engine.facts import Facts, KeyPurpose, Kind
from smallfirst.engine.policy import (
    ANY_STEP,
    DATA_CLASS_RANK,
    DATA_CLASSES,
    RISK_RANK,
    RISKS,
    DataClass,
    Name,
    Risk,
)

BODY_BYTES: Final = 8 * 1024 * 1024
CONSUMED: Final = ("metadata", "smallfirst", "smallfirst.review")
TAGS: Final = 50

T = TypeVar("T")

encode = msgspec.json.Encoder().encode


class ApiError(Exception):
    """What the caller is told instead of an answer, in OpenAI's error shape."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        kind: str | None = None,
        param: str | None = None,
        detail: dict[str, object] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind or code
        self.param = param
        self.detail = detail or {}
        self.retry_after = retry_after

    def body(self) -> bytes:
        """The error as JSON: `{"error": {"message", "type", "code", "param", …}}`."""
        shape = {"message": self.message, "type": self.kind, "code": self.code, "param": self.param}
        return encode({"error": shape | self.detail})


def invalid(message: str, param: str | None = None, *, status: int = 400) -> ApiError:
    """A request that cannot be read: `message` names what is wrong and what to send instead, `param` where."""
    return ApiError(status, "invalid_request", message, param=param)


class Part(msgspec.Struct):
    """One part of a message's content: text, an image, a file."""

    type: str
    text: str | None = None


class Message(msgspec.Struct):
    """One message of a request, as far as it is checked here; the models get it as it came."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    refusal: str | None = None
    audio: dict[str, Any] | None = None


class StreamOptions(msgspec.Struct):
    """What a streaming client asks for beside the answer."""

    include_usage: bool | None = None


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body field `smallfirst`."""

    review: ReviewRequest | None = None


PositiveInt = Annotated[int, Meta(ge=1, le=10_000_000)]


class ChatBody(msgspec.Struct, forbid_unknown_fields=False):
    """The fields of a request that are checked before anything is asked; all others pass as they came."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    smallfirst: Extension | None = None
    review: ReviewRequest | None = msgspec.field(default=None, name="smallfirst.review")


class Metadata(msgspec.Struct, frozen=True):
    """The facts that a caller states about a request, each in its bounds."""

    step: Name = ANY_STEP
    run: Name | None = None
    data_class: DataClass | None = None
    risk: Risk | None = None
    language: Annotated[str, Meta(max_length=35, pattern=r"\A[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*\Z")] | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has been read: `fields` is each field's JSON as it came."""

    fields: dict[str, Raw]
    model: str
    metadata: Metadata
    tags: tuple[tuple[str, str], ...]
    kind: Kind

    @property
    def stream(self) -> bool:
        """Whether the caller wants the answer as a stream."""
        return False

    @property
    def max_output_tokens(self) -> int | None:
        """The bound on output tokens that the caller set."""
        return None

    @property
    def wants_logprobs(self) -> bool:
        """Whether the caller asked for token probabilities."""
        return False

    def facts(self, *, workflow: str, purpose: KeyPurpose, data_class: int, risk: int) -> Facts:
        """The engine's facts; `purpose` is the key's, `data_class` and `risk` are the workflow's declared ranks."""
        said_class, said_risk = self.metadata.data_class, self.metadata.risk
        return Facts(
            workflow=workflow,
            step=self.metadata.step,
            data_class=DATA_CLASSES[max(data_class, DATA_CLASS_RANK[said_class] if said_class else 0)],
            risk=RISKS[max(risk, RISK_RANK[said_risk] if said_risk else 0)],
            language=self.metadata.language,
            run=self.metadata.run,
            tags=self.tags,
            model=self.model,
            stream=self.stream,
            max_output_tokens=self.max_output_tokens,
            wants_logprobs=self.wants_logprobs,
            purpose=purpose,
            kind=self.kind,
        )


class ChatRequest(Request, frozen=True, kw_only=True):
    """A chat request; `messages` are its messages decoded."""

    body: ChatBody
    messages: list[dict[str, Any]]
    review: ReviewRequest | None

    @property
    def stream(self) -> bool:
        """Whether the caller wants the answer as a stream."""
        return bool(self.body.stream)

    @property
    def include_usage(self) -> bool:
        """Whether a streaming caller wants usage at the end."""
        return self.body.stream_options is not None and bool(self.body.stream_options.include_usage)

    @property
    def max_output_tokens(self) -> int | None:
        """The bound on output tokens that the caller set."""
        return self.body.max_completion_tokens or self.body.max_tokens

    @property
    def wants_logprobs(self) -> bool:
        """Whether the caller asked for token probabilities."""
        return bool(self.body.logprobs)


_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_body_decoder = msgspec.json.Decoder(ChatBody)
_messages_decoder = msgspec.json.Decoder(list[dict[str, Any]])
_AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_MISSING = re.compile(r"missing required field `(.*?)`")
_UNKNOWN = re.compile(r"unknown field `(.*?)`")
_JSON_TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_PYTHON_TYPE = re.compile(r"\b(str|int|float|bool)\b(?=[^`]*`)")
_HINTS: Final = {
    "metadata.data_class": f"must be one of {', '.join(DATA_CLASSES)}",
    "metadata.risk": f"must be one of {', '.join(RISKS)}",
    "metadata.language": 'must be a language tag such as "en" or "pt-BR"',
    "metadata.step": "must be 1 to 200 characters without control characters",
    "metadata.run": "must be 1 to 200 characters without control characters",
}


def read_chat(raw: bytes) -> ChatRequest:
    """Read a request body; raise an `invalid_request` ApiError that names the field and the fix."""
    with faults_named(raw):
        fields, body = read_fields(raw, _body_decoder)
        messages = _messages_decoder.decode(fields["messages"])
    _check_messages(body.messages)
    if body.smallfirst is not None and body.review is not None:
        raise invalid(
            "Say what a reviewer should see once: in smallfirst or in smallfirst.review.", "smallfirst.review"
        )
    review = body.review or (body.smallfirst.review if body.smallfirst else None)
    fault = None if review is None else review_fault(review)
    if fault is not None:
        where, said = fault
        raise invalid(said, f"smallfirst.review.{where}")
    metadata, tags = read_metadata(body.metadata or {})
    return ChatRequest(
        fields=fields,
        model=body.model,
        metadata=metadata,
        tags=tags,
        kind="chat",
        body=body,
        messages=messages,
        review=review,
    )


@contextmanager
def faults_named(raw: bytes) -> Iterator[None]:
    """Turn what may be wrong with a body into `invalid_request` ApiErrors that name the field and the fix."""
    try:
        yield
    except UnicodeDecodeError:
        raise invalid("The body is not UTF-8. Send JSON encoded as UTF-8.") from None
    except RecursionError:
        raise invalid("The body is nested too deeply. Send flatter JSON.", _deepest_field(raw)) from None
    except msgspec.ValidationError as error:
        raise _named(error) from None
    except msgspec.DecodeError as error:
        raise invalid(f"The body is not JSON: {_reason(error)}. Send one JSON object.") from None


def read_fields(raw: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[dict[str, Raw], T]:
    """Read a body twice: each field as it came, and those that are checked. Faults are raised as they are found."""
    raw.decode()
    fields = _fields_decoder.decode(raw)
    for name in fields:
        if name.startswith("smallfirst") and name not in CONSUMED:
            raise invalid(f"Unknown field. The fields of Smallfirst are {', '.join(CONSUMED[1:])}.", name)
    return fields, decoder.decode(raw)


def _named(error: msgspec.ValidationError) -> ApiError:
    """The error of a typed decode as ours: msgspec says where, in a form close to OpenAI's `param`."""
    text = str(error)
    at = _AT.search(text)
    where = at.group(1) if at else ""
    missing = _MISSING.search(text) or _UNKNOWN.search(text)
    if missing:
        where = f"{where}.{missing.group(1)}" if where else missing.group(1)
    where = where.replace("smallfirst.review.review", "smallfirst.review")
    if where.endswith(".role"):
        return invalid("Unknown role. Use developer, system, user, assistant, tool or function.", where)
    if where == "messages":
        return invalid("messages must be a list with at least one message.", where)
    if not where:
        return invalid(f"The body must be one JSON object: {_reason(error)}.")
    return invalid(f"{where}: {_reason(error)}.", where)


def _reason(error: Exception) -> str:
    """msgspec's sentence without its path, and without what the caller wrote."""
    text = _AT.sub("", str(error))
    if text.startswith("Invalid enum value"):
        return "this value is not one of those allowed"
    if "matching regex" in text:
        return "this string holds characters that are not allowed, or none"
    text = _PYTHON_TYPE.sub(lambda found: _JSON_TYPES[found.group()], text)
    return text[:1].lower() + text[1:]


def _check_messages(messages: list[Message]) -> None:
    for index, message in enumerate(messages):
        if message.content is None and message.role != "assistant":
            raise invalid("content must be a string or a list of parts.", f"messages[{index}].content")
        if message.content is None and not (
            message.tool_calls or message.function_call or message.refusal or message.audio
        ):
            raise invalid(
                "An assistant message without tool calls needs content: a string or a list of parts.",
                f"messages[{index}].content",
            )
        for place, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if part.type == "text" and part.text is None:
                raise invalid("A part of type text needs a text.", f"messages[{index}].content[{place}].text")


def read_metadata(given: dict[str, Any]) -> tuple[Metadata, tuple[tuple[str, str], ...]]:
    """Split the metadata map into facts and tags."""
    facts: dict[str, str] = {}
    tags: list[tuple[str, str]] = []
    for name, value in given.items():
        where = f"metadata.{name[:100]}"
        if not isinstance(value, str):
            raise invalid("The values of metadata are strings.", where)
        if name in Metadata.__struct_fields__:
            facts[name] = value
        elif not 1 <= len(name) <= 200 or re.search(r"[\x00-\x1f\x7f]", name):
            raise invalid("A tag’s name is 1 to 200 characters without control characters.", "metadata")
        elif len(value) > 500 or "\0" in value:
            raise invalid("A tag’s value is at most 500 characters, without NUL.", where)
        else:
            tags.append((name, value))
    if len(tags) > TAGS:
        raise invalid(f"At most {TAGS} tags. Send those that policies and reports use.", "metadata")
    try:
        return msgspec.convert(facts, Metadata), tuple(sorted(tags))
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        where = f"metadata.{at.group(1) if at else ''}"
        raise invalid(f"{where} {_HINTS.get(where, _reason(error))}.", where) from None


def _deepest_field(raw: bytes) -> str | None:
    """The top-level field in which the nesting goes too deep, for the error's `param`."""
    depth, field, previous = 0, None, b""
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:]', raw):
        text = token.group()
        if text == b":" and depth == 1:
            field = previous[1:-1].decode(errors="replace")
        depth += (text in b"[{") - (text in b"]}")
        if depth > 100:
            return field
        previous = text
    return None
