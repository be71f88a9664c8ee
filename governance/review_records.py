"""Reviews between gateways and here: cases they open, outcomes they deliver, and how each stands."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.db import DataError, transaction

from governance import audit, reviews
from governance.audit import Service
from governance.models import ApiKey, Change, Gateway, Review, ReviewBody, Role, Workflow
from smallfirst.engine.policy import ANY_STEP
from smallfirst.records import Batch, Delivered, OpenReview, Receipt, RefusedRecord, review_id
from smallfirst.seal import SealError, decode_base64url

Fault = tuple[str, str]


# How far an application's clock may be ahead of this one.
AHEAD = timedelta(minutes=5)


def open_many(*, batch: Batch[OpenReview], gateway: Gateway, now: datetime) -> Receipt:
    """Open the cases of a batch that were never opened before, each in a transaction of its own.

    A case is known by its id: repeated, in any order and by any number of gateways, it is opened once, and one that has
    ended never opens again. A faulty record is left out and named.
    """
    workflows = _workflows_of_keys(batch.records, gateway)
    refused = list(batch.refused)
    opened = 0
    for record in batch.records:
        fault = _fault(record, gateway, workflows, now)
        if fault is None:
            try:
                opened += _open(record, workflows[record.key], gateway)
            except (DataError, RecursionError) as error:
                # What JSON can hold and PostgreSQL cannot; said once, it must not be sent for ever.
                fault = "", f"cannot be stored: {error}"
        if fault is not None:
            refused.append(RefusedRecord(id=record.id, field=fault[0], message=fault[1]))
    return _receipt(batch, opened, refused)


def deliver_many(*, batch: Batch[Delivered], gateway: Gateway, now: datetime) -> Receipt:
    """Note which outcomes their applications have fetched, each once. A faulty record is left out and named."""
    refused = list(batch.refused)
    noted = 0
    for record in batch.records:
        told = _deliver(record, gateway, now)
        if isinstance(told, bool):
            noted += told
        else:
            refused.append(RefusedRecord(id=record.review, field=told[0], message=told[1]))
    return _receipt(batch, noted, refused)


def standing(review: Review) -> dict[str, Any]:
    """How a review stands, for the gateway that asks on the application's behalf. Raises reviews.Unreadable.

    An answer that was erased is told as a cancelled review: there is nothing to hand over any more.
    """
    status, outcome = Review.Status(review.status), None
    if status == Review.Status.ANSWERED:
        said = reviews.answer_of(review)
        if said is None:
            status = Review.Status.CANCELLED
        else:
            outcome = _outcome(review, "person", said)
    elif status == Review.Status.EXPIRED:
        outcome = _outcome(review, "expiry", _safe_default(review))
    return {
        "id": str(review.pk),
        # Whose it is, for a gateway that did not open it.
        "workflow": str(review.workflow_id),
        "key": str(review.key_id),
        "decision": str(review.decision),
        "opened_at": review.opened_at,
        "status": str(status),
        "respond_by": review.respond_by,
        "expires_at": review.expires_at,
        "outcome": outcome,
    }


def _outcome(review: Review, by: Literal["person", "expiry"], answer: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"by": by, "action": review.outcome, "answer": answer, "ended_at": review.ended_at}


def _safe_default(review: Review) -> dict[str, str] | None:
    """What the policy answers in nobody's name, in the form of an answer."""
    if review.outcome != Review.Outcome.ANSWER:
        return None
    return {"label" if review.answer["type"] == "label" else "text": review.on_expiry["answer"]}


def _workflows_of_keys(records: Sequence[OpenReview], gateway: Gateway) -> dict[str, Workflow]:
    """The workflow of each key that the records name and the gateway's environment knows.

    A revoked key counts: its application asked before.
    """
    known = ApiKey.objects.filter(environment=gateway.environment_id, id__in={record.key for record in records})
    return {str(key.pk): key.workflow for key in known.select_related("workflow")}


def _fault(record: OpenReview, gateway: Gateway, workflows: Mapping[str, Workflow], now: datetime) -> Fault | None:
    """Field and message of what this gateway may not say, or nobody may."""
    if record.environment != str(gateway.environment_id):
        return "environment", "is not the environment of this gateway’s credential"
    if gateway.key_id is not None and record.key != str(gateway.key_id):
        return "key", "is not the API key that reports it"
    if record.key not in workflows:
        return "key", "no key of this environment has this id"
    if record.workflow != str(workflows[record.key].pk):
        return "workflow", "is not the workflow of the key"
    if record.id != review_id(record.key, bytes.fromhex(record.request_digest)):
        return "id", "is not the id that this key’s review of this request has"
    if record.role not in Role.values:
        return "role", f"is none of {', '.join(Role.values)}"
    if gateway.key_id is not None and record.opened_at > now + AHEAD:
        return "opened_at", "is ahead of this server’s time by more than five minutes: set the application’s clock"
    if gateway.key_id is not None and not _agreed(record, gateway):
        return "on_expiry", "no policy of this workflow that ever was live here asks for a person on these terms"
    try:
        decode_base64url(record.body)
    except SealError as error:
        return "body", str(error)
    return None


def _agreed(record: OpenReview, gateway: Gateway) -> bool:
    """Whether people agreed to who is asked, how long, and what an expiry means; a key's holder could write anything.

    What is live may be newer than what the application decided by, so every policy that was live here counts.
    """
    terms = {
        "role": record.role,
        "respond_within": int((record.respond_by - record.opened_at).total_seconds()),
        "expire_after": int((record.expires_at - record.opened_at).total_seconds()),
        "on_expiry": {"action": record.on_expiry.action, "answer": record.on_expiry.answer},
    }
    return Change.objects.filter(
        workflow=UUID(record.workflow),
        environment=gateway.environment_id,
        state=Change.State.APPLIED,
        revision__version__document__contains={"steps": [{"review": terms}]},
    ).exists()


@transaction.atomic
def _open(record: OpenReview, workflow: Workflow, gateway: Gateway) -> bool:
    """Store a case and its body; False when it is known. Whoever is second waits for the first to commit."""
    review, opened = Review.objects.get_or_create(
        pk=UUID(record.id),
        defaults={
            "decision": UUID(record.decision),
            "workflow": workflow,
            "environment": gateway.environment,
            "key_id": UUID(record.key),
            "step": record.step,
            "run": record.run,
            "request_digest": record.request_digest,
            "reason_code": record.reason.code,
            "reason_text": record.reason.text,
            "title": record.title or _title(record, workflow),
            "role": record.role,
            "respond_by": record.respond_by,
            "expires_at": record.expires_at,
            "on_expiry": {"action": record.on_expiry.action, "answer": record.on_expiry.answer},
            "answer": {
                "type": record.answer.type,
                "options": list(record.answer.options),
                "schema": record.answer.schema,
            },
            "opened_at": record.opened_at,
        },
    )
    if not opened:
        return False
    sealed = decode_base64url(record.body)
    ReviewBody.objects.create(review=review, sealed=sealed)
    audit.record(
        action="reviews.open",
        actor=_actor(gateway),
        object=review,
        summary=f"Asked for a person: “{review.title}”",
        after={
            "status": review.status,
            "reason": record.reason.code,
            "decision": record.decision,
            "sealed_body_sha256": hashlib.sha256(sealed).hexdigest(),
        },
    )
    return True


def _title(record: OpenReview, workflow: Workflow) -> str:
    return workflow.name if record.step == ANY_STEP else f"{workflow.name}, {record.step}"[:200]


@transaction.atomic
def _deliver(record: Delivered, gateway: Gateway, now: datetime) -> bool | Fault:
    """Note that an outcome was fetched; False when that is known, or what is wrong with the record."""
    here = Review.objects.told_to(gateway).filter(pk=UUID(record.review))
    review = here.select_for_update(no_key=True).first()
    if review is None:
        return "review", "this gateway may know of no review of this id"
    if review.ended_at is None:
        return "review", "has not ended"
    if review.delivered_at is not None:
        return False
    # The gateway's clock may be off; what came after what is known here.
    review.delivered_at = min(max(record.at, review.ended_at), max(now, review.ended_at))
    review.save(update_fields=["delivered_at"])
    audit.record(
        action="reviews.deliver",
        actor=_actor(gateway),
        object=review,
        summary=f"The application fetched the outcome of “{review.title}”",
        after={"delivered_at": review.delivered_at},
    )
    return True


def _actor(gateway: Gateway) -> Service:
    return Service(f"gateway {gateway.name}"[:80])


def _receipt(batch: Batch[Any], stored: int, refused: Sequence[RefusedRecord]) -> Receipt:
    sound = len(batch.records) + len(batch.refused) - len(refused)
    return Receipt(accepted=stored, repeated=sound - stored, refused=tuple(refused))
