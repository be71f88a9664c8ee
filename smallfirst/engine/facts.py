"""What a decision depends on besides the snapshot: facts, signals, state, and what came of each attempt."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from smallfirst.engine.policy import ANY_STEP, AUTO, DataClass, Name, Risk, Text, Tokens

Id = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")]
Ids = Annotated[tuple[Id, ...], Meta(max_length=1000)]
Tag = tuple[Name, Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
KeyPurpose = Literal["application", "trial", "evaluation"]
Kind = Literal["chat", "embeddings"]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what goes into a decision: immutable, bounded, with no unknown field."""


class Facts(Input, frozen=True, kw_only=True):
    """What the caller says about one request. ``workflow`` is an id; class and risk may only raise the declared ones.

    ``step`` is ``*`` when the request names none, ``model`` is ``auto`` when the policy chooses. ``tags`` are sorted by
    name, each name once. ``purpose`` is what the key is for, never the caller's to say: an ``application`` at work, the
    ``trial`` of a person, which is decided alike, or an ``evaluation``, which measures one model of the ladder.
    ``kind`` is what is asked for: the answer to a chat, or the ``embeddings`` of texts, which nobody can judge.
    """

    workflow: Id
    step: Name = ANY_STEP
    data_class: DataClass = "public"
    risk: Risk = "minimal"
    language: Name | None = None
    run: Name | None = None
    tags: Annotated[tuple[Tag, ...], Meta(max_length=50)] = ()
    model: Name = AUTO
    stream: bool = False
    max_output_tokens: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    wants_logprobs: bool = False
    purpose: KeyPurpose = "application"
    kind: Kind = "chat"


class Signals(Input, frozen=True, kw_only=True):
    """Numbers read from a request's text by ``smallfirst.signals``; ``version`` names the way they were counted.

    ``input_tokens`` estimates the whole input; the others count what the user wrote: characters, words, sentences,
    questions, digits and lines that look like code.
    """

    version: Literal[1] = 1
    input_tokens: Tokens = 0
    characters: Count = 0
    words: Count = 0
    sentences: Count = 0
    questions: Count = 0
    digits: Count = 0
    code: Count = 0


class State(Input, frozen=True, kw_only=True):
    """What may not be used just now, all by id; ``at`` is the moment in milliseconds since 1970, UTC."""

    stopped_models: Ids = ()
    stopped_endpoints: Ids = ()
    stopped_workflow: bool = False
    open_breakers: Ids = ()
    at: Annotated[int, Meta(ge=0, le=253_402_300_799_999)] = 0


class AttemptSignals(Input, frozen=True, kw_only=True):
    """What came of one attempt: ``rung`` is its index in the plan, ``endpoint`` its id.

    ``ok``: an answer came. ``error`` and ``timeout``: none came, another endpoint may do better. ``refused``: the model
    refused the request itself, its other endpoints would too. ``aborted``: the caller left, or the stream broke after
    its first byte, so nothing more can be tried. ``confidence`` (0 to 1) is None when the provider gave no logprobs.
    """

    rung: Annotated[int, Meta(ge=0, le=100)]
    endpoint: Id
    outcome: Literal["ok", "error", "timeout", "refused", "aborted"]
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    label: Text | None = None
    stop_reason: Name | None = None
    output_tokens: Tokens | None = None
    latency_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
