"""How a review is told to the application: as a standing, as an answer, as an error."""

from typing import Any

import msgspec

from smallfirst.gateway.reviews import Case
from smallfirst.gateway.wire import ApiError
from smallfirst.records import Opened, Outcome

PERSON = "person"
# The answer that the policy gives when nobody decided in time: approved by people, but nobody's answer to this request.
SAFE_DEFAULT = "safe-default"


def poll_url(public_url: str, review: str) -> str:
    """Where an application asks how a review stands."""
    return f"{public_url}/v1/reviews/{review}"


def review_required(opened: Opened, *, public_url: str, why: str) -> ApiError:
    """A person must decide: where to ask, and until when."""
    url = poll_url(public_url, opened.id)
    return ApiError(
        422,
        "review_required",
        f"{why} Ask {url} for the outcome, or send the same request again.",
        detail={
            "review": {
                "id": opened.id,
                "url": url,
                "respond_by": opened.respond_by,
                "expires_at": opened.expires_at,
            }
        },
    )


def without_answer(outcome: Outcome | None) -> ApiError:
    """The error of a review that ended without an answer."""
    if outcome is None:
        return ApiError(403, "review_cancelled", "This request’s review was cancelled.", kind="not_allowed")
    if outcome.by == "expiry":
        text = "Nobody decided on this request in time, and the policy then refuses it."
        return ApiError(403, "review_expired", text, kind="not_allowed")
    return ApiError(403, "review_refused", "A person refused this request.", kind="not_allowed")


def answered_by(outcome: Outcome) -> str:
    """The name that stands for the answering model: a person, or the policy's safe default."""
    return SAFE_DEFAULT if outcome.by == "expiry" else PERSON


def completion(review: str, outcome: Outcome) -> dict[str, Any]:
    """The answer of a review as a chat completion. No model made it, so it took no tokens."""
    return {
        "id": f"chatcmpl-{review}",
        "object": "chat.completion",
        "created": int(outcome.ended_at.timestamp()),
        "model": answered_by(outcome),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer_text(outcome.answer), "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def answer_text(answer: object) -> str:
    """What a person answered, as text: a label or text as it is, fields as JSON."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, dict):
        for name in ("label", "text"):
            if isinstance(answer.get(name), str):
                return str(answer[name])
        if "fields" in answer:
            return msgspec.json.encode(answer["fields"]).decode()
    return msgspec.json.encode(answer).decode()


def standing(case: Case, *, public_url: str) -> dict[str, Any]:
    """How a review stands, for the application that polls; `completion` is there once there is an answer."""
    opened, outcome = case.opened, case.outcome
    told = None
    if outcome is not None:
        told = {"by": outcome.by, "action": outcome.action, "answer": outcome.answer, "ended_at": outcome.ended_at}
    return {
        "id": opened.id,
        "object": "review",
        "url": poll_url(public_url, opened.id),
        "decision": opened.decision,
        "status": case.status,
        "opened_at": opened.opened_at,
        "respond_by": opened.respond_by,
        "expires_at": opened.expires_at,
        "outcome": told,
        "completion": completion(opened.id, outcome) if outcome is not None and outcome.action == "answer" else None,
    }
