"""What travels from a gateway to the control plane, with a bound on every field and errors that name the field."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from smallfirst.engine.decision import Decision as Decision
from smallfirst.engine.facts import Id
from smallfirst.engine.policy import ANY_STEP, AnswerForm, Expiry, Name, Text, Tier, Tokens

EventId = Annotated[
    str, Meta(pattern=r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
]  # a UUIDv7: the ledger's partitions are ranges of it
Moment = Annotated[datetime, Meta(tz=True)]
Duration = Annotated[int, Meta(ge=0, le=86_400_000)]
TagValue = Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a record on the wire: immutable, bounded, with no unknown field."""


class UsageEvent(Record):
    """One attempt, whatever came of it. Token buckets are disjoint: ``input_tokens`` excludes both cache buckets.

    ``occurred_at`` is when the attempt began; durations are milliseconds; ``error`` is a code, never a text.
    """

    id: EventId
    format: Literal[1] = 1
    decision: EventId
    attempt: Annotated[int, Meta(ge=0, le=1000)]
    occurred_at: Moment
    workflow: Id
    environment: Id
    key: Id
    step: Name = ANY_STEP
    run: Name | None = None
    endpoint: Id
    model: Name
    tier: Tier
    model_requested: Name
    model_served: Name | None = None
    outcome: Literal["ok", "error", "timeout", "aborted", "refused"]
    kept: bool
    http_status: Annotated[int, Meta(ge=100, le=599)] | None = None
    error: Name | None = None
    input_tokens: Tokens | None = None
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    output_tokens: Tokens | None = None
    usage_quality: Literal["exact", "partial", "estimated", "missing"]
    latency_ms: Duration
    first_byte_ms: Duration | None = None
    provider_request_id: Name | None = None
    tags: Annotated[dict[Name, TagValue], Meta(max_length=50)] = {}


class WhyReview(Record):
    """Why a person is asked, as a code and as a sentence."""

    code: Name
    text: Text


class OpenReview(Record):
    """A case for a person; ``body`` is a box sealed to the review key, base64url; the gateway cannot open it again."""

    id: Id
    decision: EventId
    workflow: Id
    environment: Id
    key: Id
    step: Name = ANY_STEP
    run: Name | None = None
    request_digest: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    reason: WhyReview
    title: Name | None = None
    role: Name
    opened_at: Moment
    respond_by: Moment
    expires_at: Moment
    on_expiry: Expiry
    answer: AnswerForm
    body: Annotated[str, Meta(min_length=1, max_length=2_000_000, pattern=r"\A[A-Za-z0-9_-]+\Z")]


class Delivered(Record):
    """The application has fetched the outcome of this review."""

    review: Id
    at: Moment


class RefusedRecord(Record):
    """A record that was not stored: its id where one could be read, the field at fault, and what is wrong with it."""

    id: str | None
    field: str
    message: str


class Receipt(Record):
    """The control plane's answer to a batch: stored now, known before, not stored."""

    accepted: int
    repeated: int
    refused: tuple[RefusedRecord, ...] = ()
