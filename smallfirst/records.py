"""What travels from a gateway to the control plane, with a bound on every field and errors that name the field."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from smallfirst.engine.decision import Decision as Decision
from smallfirst.engine.facts import Id
from smallfirst.engine.policy import ANY_STEP, AUTO, AnswerForm, Expiry, Name, Text, Tier, Tokens
from smallfirst.engine.reading import shape_problem

T = TypeVar("T")

# One batch is one transaction; a gateway that was offline for long sends many.
MOST_RECORDS = 1000
YEARS = range(2020, 2101)

Status = Literal["open", "claimed", "answered", "expired", "cancelled"]
# Of a review that has not ended.
WAITING: Final[tuple[Status, ...]] = ("open", "claimed")

EventId = Annotated[
    str, Meta(pattern=r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
]  # a UUIDv7: the ledger's partitions are ranges of it
Moment = Annotated[datetime, Meta(tz=True)]
Duration = Annotated[int, Meta(ge=0, le=86_400_000)]
TagValue = Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a record on the wire: immutable, bounded, with no unknown field."""


class UsageEvent(Record, frozen=True, kw_only=True):
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


class WhyReview(Record, frozen=True, kw_only=True):
    """Why a person is asked, as a code and as a sentence."""

    code: Name
    text: Text


class OpenReview(Record, frozen=True, kw_only=True):
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


class Delivered(Record, frozen=True, kw_only=True):
    """The application has fetched the outcome of this review."""

    review: Id
    at: Moment


class RefusedRecord(Record, frozen=True, kw_only=True):
    """A record that was not stored: its id where one could be read, the field at fault, and what is wrong with it."""

    id: str | None
    field: str
    message: str


class Receipt(Record, frozen=True, kw_only=True):
    """The control plane's answer to a batch: stored now, known before, not stored."""

    accepted: int
    repeated: int
    refused: tuple[RefusedRecord, ...] = ()


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A review as it was opened; `policy` is the version's number, which only the gateway that opened it knows."""

    id: str
    key: str
    workflow: str
    decision: str
    opened_at: datetime
    respond_by: datetime
    expires_at: datetime
    policy: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How a review ended; `answer` is there for the action `answer`."""

    by: Literal["person", "expiry"]
    action: Literal["answer", "refuse"]
    ended_at: datetime
    answer: Any = None


class Standing(Opened, frozen=True, kw_only=True):
    """What the control plane says of a review."""

    status: Status
    outcome: Outcome | None = None


class BatchError(ValueError):
    """The batch as a whole cannot be read; ``field`` is empty when it is not even JSON."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


class Batch(Record, Generic[T], frozen=True, kw_only=True):
    """The records of a batch that can be stored, in their order, and those that cannot."""

    records: tuple[T, ...]
    refused: tuple[RefusedRecord, ...]


class _Reviews(Record, frozen=True, kw_only=True):
    reviews: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MOST_RECORDS)] = ()
    delivered: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MOST_RECORDS)] = ()


class ReviewBatch(Record, frozen=True, kw_only=True):
    """Reviews opened and outcomes delivered; each is read by itself, so a broken one takes no other with it."""

    reviews: Annotated[tuple[OpenReview, ...], Meta(max_length=MOST_RECORDS)] = ()
    delivered: Annotated[tuple[Delivered, ...], Meta(max_length=MOST_RECORDS)] = ()


class _Named(msgspec.Struct):
    """As much of a broken record as tells which one it is."""

    id: Id | None = None
    review: Id | None = None


def read_reviews(body: bytes) -> tuple[Batch[OpenReview], Batch[Delivered]]:
    """Return both lists of ``{"reviews": […], "delivered": […]}``. Raises BatchError when the batch is broken."""
    envelope = _envelope(body, _Reviews)
    return (
        _read_all(envelope.reviews, OpenReview, _review_fault),
        _read_all(envelope.delivered, Delivered, _delivered_fault),
    )


def review_id(key: str, request_digest: bytes) -> str:
    """Return the id that this key's review of this request has on every gateway: UUID version 8 of a hash of both."""
    value = bytearray(sha256(b"smallfirst-review-v1" + UUID(key).bytes + request_digest).digest()[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(value)))


def moment_text(moment: datetime) -> str:
    """Return a UTC-aware moment as a decision holds it: RFC 3339 with six digits of a second and ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _envelope(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        problem = shape_problem("", error)
        raise BatchError(problem.path, f"{problem.message}; {problem.fix}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchError("", f"not JSON: {error}") from error


def _read_all(raws: Sequence[msgspec.Raw], kind: type[T], fault: Callable[[T], tuple[str, str] | None]) -> Batch[T]:
    """Read each record by itself, so that a broken one takes none of its neighbours with it."""
    decoder = msgspec.json.Decoder(kind)
    records: list[T] = []
    refused: list[RefusedRecord] = []
    for raw in raws:
        try:
            record = decoder.decode(raw)
        except msgspec.ValidationError as error:
            problem = shape_problem("", error)
            refused.append(RefusedRecord(id=_id_of(raw), field=problem.path, message=problem.message))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refused.append(RefusedRecord(id=_id_of(raw), field="", message=f"not JSON: {error}"))
        else:
            found = fault(record)
            if found is None:
                records.append(record)
            else:
                refused.append(RefusedRecord(id=_id_of(raw), field=found[0], message=found[1]))
    return Batch(records=tuple(records), refused=tuple(refused))


def _id_of(raw: msgspec.Raw) -> str | None:
    try:
        named = msgspec.json.decode(raw, type=_Named)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return named.id or named.review


def observed_fault(decision: Decision) -> tuple[str, str] | None:
    """Say what a watched policy cannot have done, as field and words: it starts at its ladder's first, or refuses."""
    observed = decision.observed
    if observed is None:
        return None
    if decision.facts.model == AUTO or decision.facts.purpose == "evaluation":
        return "observed", "stands only where a request names the model that serves it"
    if (observed.model is None) != (observed.clause is not None):
        return "observed.clause", "stands exactly where no model would have been asked"
    if (observed.model is None) != (observed.tier is None):
        return "observed.tier", "stands exactly where a model would have been asked"
    if observed.ladder[:1] != (() if observed.model is None else (observed.model,)):
        return "observed.ladder", "begins with the model that would have been asked first"
    return None


def _review_fault(review: OpenReview) -> tuple[str, str] | None:
    moments = (
        ("opened_at", review.opened_at),
        ("respond_by", review.respond_by),
        ("expires_at", review.expires_at),
    )
    for field, moment in moments:
        fault = _moment_fault(field, moment)
        if fault is not None:
            return fault
    for (before, earlier), (field, later) in itertools.pairwise(moments):
        if later < earlier:
            return field, f"lies before {before}"
    return None


def _delivered_fault(delivered: Delivered) -> tuple[str, str] | None:
    return _moment_fault("at", delivered.at)


def _moment_fault(field: str, moment: datetime) -> tuple[str, str] | None:
    """A moment far off would open a partition of its own, or not fit into the database at all."""
    if moment.year not in YEARS:
        return field, f"the year is not between {YEARS.start} and {YEARS.stop - 1}"
    return None
