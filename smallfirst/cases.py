"""Cases for a person, whoever asks for him: what the application adds, what he sees, and the record on the wire."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from smallfirst import seal
from smallfirst.engine.decision import Person, Plan
from smallfirst.engine.facts import Facts
from smallfirst.engine.policy import AnswerForm, Name, Tier
from smallfirst.records import Opened, OpenReview, WhyReview, review_id

# What a request may weigh that a person may have to see.
REVIEWABLE_BYTES: Final = 1_000_000
# It has to fit into one record: `OpenReview.body` holds 2,000,000 characters of base64.
SHOWN_BYTES: Final = 1_490_000
SHOWN_CHARACTERS: Final = 8_000

_encode = msgspec.json.Encoder().encode


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table that a reviewer should see; every row has as many cells as there are columns."""

    columns: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=50)]
    rows: Annotated[tuple[tuple[str | int | float | bool | None, ...], ...], Meta(max_length=500)]


class Remark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contribution to a thread that a reviewer should see."""

    author: Name
    text: str
    at: str | None = None


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a reviewer should see, in exactly one form."""

    label: Name
    text: str | UnsetType = UNSET
    table: Table | UnsetType = UNSET
    thread: Annotated[tuple[Remark, ...], Meta(max_length=500)] | UnsetType = UNSET


class ReviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reviewer should see beside the request, and what he fills in: the body field `smallfirst.review`."""

    title: Name | None = None
    url: Annotated[str, Meta(max_length=2000)] | None = None
    context: Annotated[tuple[Context, ...], Meta(max_length=50)] = ()
    answer: AnswerForm | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one model answered, as a reviewer sees it; ``cost`` is decimal text, with its currency unless US dollars."""

    model: Name
    tier: Tier
    outcome: str
    text: str | None
    label: str | None
    confidence: float | None
    threshold: float | None
    cost: str | None


def review_fault(review: ReviewRequest) -> tuple[str, str] | None:
    """Say what is wrong with a well-formed request for a person, as a path in it and a sentence."""
    if review.url is not None and not re.match(r"https?://[^\s\x00-\x1f]+\Z", review.url):
        return "url", "url must be an http or https address."
    for index, context in enumerate(review.context):
        forms = [form for form in ("text", "table", "thread") if getattr(context, form) is not UNSET]
        if len(forms) != 1:
            return f"context[{index}]", "Give exactly one of text, table and thread."
        if isinstance(context.table, Table) and any(
            len(row) != len(context.table.columns) for row in context.table.rows
        ):
            return f"context[{index}].table.rows", "Every row needs as many cells as there are columns."
    if review.answer is not None:
        if review.answer.type == "label" and not review.answer.options:
            return "answer.options", "An answer of type label needs options to choose from."
        if review.answer.type == "fields" and review.answer.schema is None:
            return "answer.schema", "An answer of type fields needs a JSON schema."
    return None


def case_of(
    plan: Plan,
    move: Person,
    facts: Facts,
    *,
    decision: str,
    environment: str,
    key: str,
    digest: bytes,
    asked: ReviewRequest | None,
    body: bytes,
    review_key: str,
    now: datetime,
) -> OpenReview:
    """Return the record of a review, on the policy's terms: `digest` is the request's, `body` what `shown` makes.

    Whatever comes from the request or from a model is inside the box, which is sealed to the public `review_key`.
    """
    terms = plan.review
    if terms is None:
        raise ValueError("the engine asks for a person only where the policy says how")
    review = review_id(key, digest)
    return OpenReview(
        id=review,
        decision=decision,
        workflow=facts.workflow,
        environment=environment,
        key=key,
        step=facts.step,
        run=facts.run,
        request_digest=digest.hex(),
        reason=WhyReview(code=move.reason.code, text=move.reason.sentence),
        title=terms.title,
        role=terms.role,
        opened_at=now,
        respond_by=now + timedelta(seconds=terms.respond_within),
        expires_at=now + timedelta(seconds=terms.expire_after),
        on_expiry=terms.on_expiry,
        answer=(asked.answer if asked else None) or terms.answer,
        body=seal.encode_base64url(seal.seal_box(review_key, body, UUID(review).bytes)),
    )


def opened(record: OpenReview, plan: Plan) -> Opened:
    """Return a review as it was opened, for whoever waits for it."""
    return Opened(
        id=record.id,
        key=record.key,
        workflow=record.workflow,
        decision=record.decision,
        policy=plan.policy_version.number,
        opened_at=record.opened_at,
        respond_by=record.respond_by,
        expires_at=record.expires_at,
    )


def shown(messages: object, said: Sequence[Said], asked: ReviewRequest | None) -> bytes:
    """Return what a reviewer sees as JSON; of each answer the beginning, or nothing where all would be too long."""
    body = _shown(messages, said, asked, SHOWN_CHARACTERS)
    return body if len(body) <= SHOWN_BYTES else _shown(messages, said, asked, 0)


def _shown(messages: object, said: Sequence[Said], asked: ReviewRequest | None, characters: int) -> bytes:
    cut = [msgspec.structs.replace(one, text=None if one.text is None else one.text[:characters]) for one in said]
    return _encode(
        {
            "messages": messages,
            "attempts": cut,
            "title": asked.title if asked else None,
            "url": asked.url if asked else None,
            "context": asked.context if asked else (),
        }
    )
