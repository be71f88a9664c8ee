"""What a reviewer sees of a request, whoever asks for him: what the application adds, and the body that is sealed."""

import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from smallfirst.engine.policy import AnswerForm, Name, Tier

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
