"""Reviews: a person takes a case, sees what is sealed, and decides; or time decides. Each ends exactly once, here.

Every verb locks the review's row, and no other, and writes its body under that lock.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Case, When
from django.utils import timezone

from governance import answers, audit, boxes, canonical
from governance.accounts import NotPermitted, require
from governance.answers import InvalidAnswer as InvalidAnswer
from governance.audit import Service
from governance.errors import GovernanceError, clean
from governance.models import AuditEvent, Review, User
from smallfirst.seal import SealError

Status = Review.Status

CLAIM = timedelta(minutes=15)
SWEEPER = Service("sweeper")
# One turn of the sweeper; what is left waits for the next, seconds later.
MOST_EXPIRED = 500
MOST_ERASED = 500


class ReviewError(GovernanceError):
    """A verb on a review refused."""


class AlreadyEnded(ReviewError):
    """The case has ended; the text says how, and that nothing was sent."""


class StillWaiting(ReviewError):
    """The case has not ended, which this verb needs."""


class TakenByAnother(ReviewError):
    """Someone else has the case."""


class ClaimLost(ReviewError):
    """The case is not, or no longer, held under this token."""


class ReasonMissing(ReviewError):
    """The verb needs a reason."""


class BodyErased(ReviewError):
    """What the case said is erased."""


class Unreadable(ReviewError):
    """What the case says cannot be opened with this installation's review key."""


@transaction.atomic
def claim(*, review: Review, by: User, now: datetime) -> Review:
    """Take a case, for 15 minutes unless renewed; who has it already keeps his token. Returns it with `claim_token`.

    Raises NotPermitted, AlreadyEnded, TakenByAnother.
    """
    held = _lock(review)
    _require_taker(held, by)
    _require_waiting(held, now)
    if held.status == Status.CLAIMED and held.claimed_until and held.claimed_until > now:
        if held.claimed_by != by:
            raise TakenByAnother(f"{held.claimed_by} has this case until {_clock(held.claimed_until)}.")
        return _extend(held, now)
    return _take(held, by, now)


@transaction.atomic
def claim_next(*, by: User, now: datetime, after: Collection[UUID] = ()) -> Review | None:
    """Take the most urgent case that nobody has, those in `after` only when no other is left; None when there is none.

    Raises NotPermitted.
    """
    require(by, "reviews.take")
    last = [Case(When(pk__in=after, then=1), default=0)] if after else []
    queue = Review.objects.unheld(now).in_reach_of(by).order_by(*last, "respond_by", "id")
    # Two people who ask at once get two cases, and neither waits.
    found = queue.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
    return None if found is None else _take(_read(found.pk), by, now)


@transaction.atomic
def renew(*, review: Review, token: UUID | None, by: User, now: datetime) -> Review:
    """Hold a case for another 15 minutes. A heartbeat, not a governed act: the claim is what the audit knows.

    Raises NotPermitted, AlreadyEnded, ClaimLost.
    """
    held = _lock(review)
    _require_taker(held, by)
    _require_waiting(held, now)
    _require_claim(held, token, by)
    return _extend(held, now)


@transaction.atomic
def release(*, review: Review, token: UUID | None, by: User, now: datetime) -> Review:
    """Put a case back for others. Raises NotPermitted, AlreadyEnded, ClaimLost."""
    held = _lock(review)
    _require_taker(held, by)
    _require_waiting(held, now)
    _require_claim(held, token, by)
    held.status, held.claimed_by, held.claim_token, held.claimed_until = Status.OPEN, None, None, None
    held.save(update_fields=["status", "claimed_by", "claim_token", "claimed_until"])
    audit.record(action="reviews.release", actor=by, object=held, summary=f"Put back “{held.title}”")
    return held


@transaction.atomic
def answer(*, review: Review, token: UUID | None, answer: Mapping[str, Any], by: User, now: datetime) -> Review:
    """Decide a case: `{"label": …}`, `{"text": …}` or `{"fields": …}`, as the review asks. The application fetches it.

    The answer is kept sealed. Nobody else can have taken the case since: the token proves it. Raises NotPermitted,
    AlreadyEnded, ClaimLost, InvalidAnswer naming the field.
    """
    held = _lock(review)
    _require_taker(held, by)
    _require_waiting(held, now, unsent="What you wrote was not sent.")
    _require_claim(held, token, by)
    said = answers.check(answer, shape=held.answer)
    sealed = boxes.close(canonical.encode(said), _answer_context(held))
    held.body.answer = sealed
    held.body.save(update_fields=["answer"])
    before = {"status": held.status}
    _end(held, Status.ANSWERED, Review.Outcome.ANSWER, by, now)
    audit.record(
        action="reviews.answer",
        actor=by,
        object=held,
        summary=f"Answered “{held.title}”",
        before=before,
        after={"status": held.status, "outcome": held.outcome, "sealed_answer_sha256": _sha256(sealed)},
    )
    return held


@transaction.atomic
def cancel(*, review: Review, reason: str, by: User, now: datetime) -> Review:
    """End a case without an answer; the application is told that it was cancelled.

    Raises NotPermitted, ReasonMissing, AlreadyEnded.
    """
    held = _lock(review)
    require(by, "reviews.cancel", held)
    reason = _reason(reason)
    _require_waiting(held, now)
    before = {"status": held.status}
    _end(held, Status.CANCELLED, None, by, now)
    audit.record(
        action="reviews.cancel",
        actor=by,
        object=held,
        summary=f"Cancelled “{held.title}”",
        before=before,
        after={"status": held.status},
        reason=reason,
    )
    return held


def expire_due(*, now: datetime) -> int:
    """End every case whose time is over with the policy's safe default; return how many. For the sweeper.

    Each in a transaction of its own. A case that someone is deciding this instant is left to him.
    """
    ended = 0
    while ended < MOST_EXPIRED and _expire_one(now):
        ended += 1
    return ended


@transaction.atomic
def erase(*, review: Review, reason: str, by: User, now: datetime) -> Review:
    """Erase what an ended case said and what was answered, for good; its record and digests stay.

    The application is told from then on that the case was cancelled. Raises NotPermitted, ReasonMissing, StillWaiting,
    BodyErased.
    """
    held = _lock(review)
    require(by, "reviews.erase", held)
    reason = _reason(reason)
    if held.status in Review.WAITING:
        raise StillWaiting("This case still waits for a person: cancel it first, then erase it.")
    if held.body.erased_at is not None:
        raise BodyErased("What this case said is erased already.")
    _erase(held, by, reason, now)
    return held


def erase_due(*, now: datetime) -> int:
    """Erase what ended cases said once their workflow keeps it no longer; return of how many. For the sweeper.

    Each in a transaction of its own. An answer waits for its application to fetch it, for a day at most: see
    `ReviewQuerySet.kept_too_long`.
    """
    found = Review.objects.kept_too_long(now).values_list("pk", flat=True)[:MOST_ERASED]
    return sum([_erase_one(key, now) for key in list(found)])


@transaction.atomic
def read_body(*, review: Review, by: User) -> dict[str, Any] | None:
    """Open what a reviewer sees, for the person who has the case; None once it is erased. First looks are audited.

    Raises NotPermitted for everyone else, and Unreadable.
    """
    held = _read(review.pk)
    _require_taker(held, by)
    if held.status != Status.CLAIMED or held.claimed_by != by:
        raise NotPermitted("Only the reviewer who has this case may see what it says: take it first.")
    opened = _open(held.body.sealed, held.pk.bytes)
    if opened is not None:
        _record_reading(held, by, part=f"case under claim {held.claim_token}", summary=f"Opened “{held.title}”")
    return opened


@transaction.atomic
def read_answer(*, review: Review, by: User) -> dict[str, Any] | None:
    """Open what was answered, for those who may take such cases; None where there is none or it is erased.

    The audit has each first look of someone who did not write it. Raises NotPermitted and Unreadable.
    """
    held = _read(review.pk)
    _require_taker(held, by)
    opened = answer_of(held)
    if opened is not None and held.ended_by != by:
        _record_reading(held, by, part="answer", summary=f"Opened the answer to “{held.title}”")
    return opened


def answer_of(review: Review) -> dict[str, Any] | None:
    """Open what a person answered, for the application; None where there is none or it is erased. Raises Unreadable."""
    return _open(review.body.answer, _answer_context(review))


@transaction.atomic
def _expire_one(now: datetime) -> bool:
    """End the case that is overdue longest; False when none is that nobody else is writing to."""
    found = Review.objects.due(now).select_for_update(skip_locked=True, no_key=True).first()
    if found is None:
        return False
    held = _read(found.pk)
    before = {"status": held.status}
    _end(held, Status.EXPIRED, held.on_expiry["action"], None, now)
    audit.record(
        action="reviews.expire",
        actor=SWEEPER,
        object=held,
        summary=f"Nobody decided “{held.title}” in time; the application is told the safe default",
        before=before,
        after={"status": held.status, "outcome": held.outcome},
    )
    return True


@transaction.atomic
def _erase_one(key: UUID, now: datetime) -> bool:
    """Erase what one case said; False when somebody else did, or writes to it this instant."""
    if not Review.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=key):
        return False
    held = _read(key)
    if held.body.erased_at is not None:
        return False
    _erase(held, SWEEPER, f"The workflow keeps texts for {held.workflow.retention_days} days", now)
    return True


def _erase(held: Review, by: User | Service, reason: str, now: datetime) -> None:
    body = held.body
    body.sealed, body.answer, body.erased_at = None, None, now
    body.save(update_fields=["sealed", "answer", "erased_at"])
    audit.record(
        action="reviews.erase",
        actor=by,
        object=held,
        summary=f"Erased what “{held.title}” said",
        before={"erased_at": None},
        after={"erased_at": now},
        reason=reason,
    )


def _lock(review: Review) -> Review:
    """Lock the row alone, then read it with its relations: a join in the locking statement shows them as before."""
    Review.objects.select_for_update(no_key=True).get(pk=review.pk)
    return _read(review.pk)


def _read(key: UUID) -> Review:
    return Review.objects.for_list().select_related("body").get(pk=key)


def _take(held: Review, by: User, now: datetime) -> Review:
    before = {"status": held.status, "claimed_by": held.claimed_by_id}
    held.status, held.claimed_by, held.claim_token = Status.CLAIMED, by, uuid4()
    held.claimed_until = _claim_end(held, now)
    held.save(update_fields=["status", "claimed_by", "claim_token", "claimed_until"])
    audit.record(
        action="reviews.claim",
        actor=by,
        object=held,
        summary=f"Took “{held.title}”",
        before=before,
        after={"status": held.status, "claimed_by": by.pk, "claimed_until": held.claimed_until},
    )
    return held


def _extend(held: Review, now: datetime) -> Review:
    held.claimed_until = _claim_end(held, now)
    held.save(update_fields=["claimed_until"])
    return held


def _claim_end(held: Review, now: datetime) -> datetime:
    return min(now + CLAIM, held.expires_at)


def _end(held: Review, status: Review.Status, outcome: str | None, by: User | None, now: datetime) -> None:
    held.status, held.outcome, held.ended_by, held.ended_at = status, outcome, by, now
    held.claim_token = held.claimed_until = None
    held.save(update_fields=["status", "outcome", "ended_by", "ended_at", "claim_token", "claimed_until"])


def _require_taker(held: Review, by: User) -> None:
    if not Review.objects.in_reach_of(by).filter(pk=held.pk).exists():
        raise NotPermitted(
            f"You may not do this for {held.title}: it takes the role {held.get_role_display().lower()} "
            f"in {held.workflow.team} and {held.environment}. Ask an administrator."
        )


def _require_waiting(held: Review, now: datetime, *, unsent: str = "") -> None:
    """Whoever comes after the end is told so; so is who comes after the time is over, before the sweeper does."""
    if held.status in Review.WAITING and held.expires_at > now:
        return
    if held.status == Status.ANSWERED:
        how = f"{held.ended_by} answered this case at {_clock(held.ended_at)}"
    elif held.status == Status.CANCELLED:
        how = f"{held.ended_by} cancelled this case at {_clock(held.ended_at)}"
    else:
        refused = held.on_expiry["action"] == Review.Outcome.REFUSE
        told = "that it is refused" if refused else "the policy’s safe default"
        how = f"The time for this case ran out at {_clock(held.expires_at)}, and the application is told {told}"
    raise AlreadyEnded(f"{how}. {unsent}".strip())


def _require_claim(held: Review, token: UUID | None, by: User) -> None:
    """The token, not the clock, says whose case it is: a late answer counts as long as nobody else took the case."""
    if held.status == Status.CLAIMED and held.claimed_by == by and token is not None and held.claim_token == token:
        return
    if held.status == Status.CLAIMED and held.claimed_by != by:
        raise ClaimLost(f"You no longer have this case: {held.claimed_by} took it.")
    raise ClaimLost("You do not have this case, or took it again in another window: take it again here.")


def _reason(reason: str) -> str:
    said = clean("reason", reason)
    if not said:
        raise ReasonMissing("reason: say why, for the record", field="reason")
    return said


def _record_reading(held: Review, by: User, *, part: str, summary: str) -> None:
    """Write that a person looked, once for each claim or answer: pages are loaded again and again."""
    seen = AuditEvent.objects.about(held).filter(action="reviews.read", actor_id=str(by.pk), object_version=part)
    if not seen.exists():
        audit.record(action="reviews.read", actor=by, object=held, summary=summary, version=part)


def _open(sealed: bytes | memoryview | None, context: bytes) -> dict[str, Any] | None:
    if sealed is None:
        return None
    try:
        opened = json.loads(boxes.open(sealed, context))
    except (SealError, ValueError) as error:
        _unreadable(error)
    if not isinstance(opened, dict):
        _unreadable(None)
    return opened


def _unreadable(error: Exception | None) -> NoReturn:
    raise Unreadable(
        "What this case says cannot be opened with this installation’s review key. Cancel it, and the application can "
        "ask again."
    ) from error


def _answer_context(review: Review) -> bytes:
    """What an answer is sealed with, so that it can never stand for the case itself or for another's answer."""
    return review.pk.bytes + b"answer"


def _sha256(sealed: bytes) -> str:
    return hashlib.sha256(sealed).hexdigest()


def _clock(moment: datetime | None) -> str:
    """A time in the viewer's zone, as a sentence says it."""
    return f"{timezone.localtime(moment):%H:%M on %d %B}" if moment else "an unknown time"
