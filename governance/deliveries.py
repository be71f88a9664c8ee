"""Deliveries: what was written to be told is told, again and again until it arrives or is given up.

Each is tried under a lease: taken in a short transaction that moves its next try ahead, made outside of any (one that
is open while a network is waited for would hold up the sealing of the audit log), and marked in another. Who dies in
between has told it, or has not, and once the lease is over it is told again, with the same key: at least once.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from governance import boxes, canonical, emails, notifications, posting
from governance.models import Delivery, Notification, NotificationKind, Webhook
from governance.posting import Posted
from smallfirst.loops import play
from smallfirst.seal import SealError

State = Delivery.State
# While one is tried nobody else tries it. Longer than a turn can take.
LEASE: Final = timedelta(seconds=60)
# After each try that failed; after the last it is given up, most of a day after the first.
AFTER: Final = tuple(
    timedelta(**each)
    for each in (
        {"seconds": 5},
        {"minutes": 1},
        {"minutes": 5},
        {"minutes": 30},
        {"hours": 2},
        {"hours": 6},
        {"hours": 12},
    )
)
# One turn: so many webhooks side by side, and e-mails one after the other until the turn is over.
WEBHOOKS_AT_ONCE: Final = 20
DIGEST_AT_ONCE: Final = 200
TURN: Final = timedelta(seconds=10)
# An owner hears of one failing webhook once a day.
TOLD_AGAIN: Final = timedelta(days=1)
KEPT: Final = timedelta(days=90)
_LOCK = "SELECT pg_try_advisory_lock(hashtext('governance.deliveries'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('governance.deliveries'))"

URL, SECRET, FORMER = b"url", b"secret", b"former"


def deliver_due(*, clock: Callable[[], datetime]) -> int:
    """Try what is due, to webhooks side by side, then e-mails; return how many were tried. For the sweeper.

    One turn at a time: a mail server that hangs keeps one worker waiting, not all.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
        if cursor.fetchone() != (True,):
            return 0
        try:
            return _webhooks(clock) + _emails(clock)
        finally:
            cursor.execute(_UNLOCK)


def attempt(delivery: Delivery, *, clock: Callable[[], datetime]) -> Delivery:
    """Try one delivery to a webhook that is taken already, once and no more; return it with what came of it."""
    posted = play(_post_all([delivery], clock))[0]
    _mark([delivery], posted, clock(), last=True)
    delivery.refresh_from_db()
    return delivery


def forget(*, now: datetime) -> None:
    """Delete notifications that are older than anybody looks back."""
    Notification.objects.filter(created_at__lt=now - KEPT).delete()


def body_of(delivery: Delivery) -> bytes:
    """What is posted: for a signed webhook the notification by Standard Webhooks, for a chat a line with a link."""
    told, webhook = delivery.notification, delivery.webhook
    url = f"{settings.PUBLIC_URL}{told.path}"
    if webhook is not None and webhook.form == Webhook.Form.SLACK:
        return json.dumps({"text": f"<{url}|{_escaped(told.title)}>\n{_escaped(told.text)}"}).encode()
    said = {
        "type": told.kind,
        "timestamp": canonical.moment(told.created_at),
        "data": {"title": told.title, "text": told.text, "url": url, **told.facts},
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def message_id(delivery: Delivery) -> str:
    """The key by which receivers know a message, whenever it comes."""
    return f"msg_{delivery.notification_id.hex}"


def _webhooks(clock: Callable[[], datetime]) -> int:
    taken = _take(clock(), webhooks=True)
    if taken:
        for delivery, posted in zip(taken, play(_post_all(taken, clock)), strict=True):
            _mark([delivery], posted, clock())
    return len(taken)


def _emails(clock: Callable[[], datetime]) -> int:
    """E-mails one after the other: those of a person's day together."""
    began, tried = clock(), 0
    while clock() - began < TURN and (taken := _take(clock(), webhooks=False)):
        tried += len(taken)
        person = taken[0].person
        if person is None:
            break
        if not person.is_active:
            _mark(taken, Posted(False, "Whom it was for may no longer sign in.", final=True), clock())
            continue
        try:
            posted = Posted(True, emails.send(person, taken))
        except emails.Unsent as error:
            posted = Posted(False, str(error))
            _mark(taken, posted, clock())
            if isinstance(error, emails.ServerAway):
                break
        else:
            _mark(taken, posted, clock())
    return tried


@transaction.atomic(durable=True)
def _take(now: datetime, *, webhooks: bool) -> list[Delivery]:
    """Lease what is tried now: some webhooks, or one person's e-mail, which may tell of a whole day."""
    due = Delivery.objects.due(now).filter(webhook__isnull=not webhooks).select_for_update(skip_locked=True)
    rows = list(due[: WEBHOOKS_AT_ONCE if webhooks else 1])
    if rows and rows[0].digest:
        rows = list(due.filter(person=rows[0].person_id, digest=True)[:DIGEST_AT_ONCE])
    keys = [row.pk for row in rows]
    Delivery.objects.filter(pk__in=keys).update(due_at=now + LEASE, tries=F("tries") + 1)
    taken = Delivery.objects.filter(pk__in=keys).select_related("notification", "person", "webhook")
    return list(taken.order_by("notification__created_at", "pk"))


async def _post_all(taken: Sequence[Delivery], clock: Callable[[], datetime]) -> list[Posted]:
    return list(await asyncio.gather(*[_post(each, each.webhook, clock()) for each in taken if each.webhook]))


async def _post(delivery: Delivery, webhook: Webhook, now: datetime) -> Posted:
    if webhook.closed_at is not None:
        return Posted(False, "The webhook is closed.", final=True)
    body = body_of(delivery)
    try:
        url = boxes.open(webhook.sealed_url, webhook.pk.bytes + URL).decode()
        secrets = secrets_of(webhook, now)
    except (SealError, FileNotFoundError):
        return Posted(False, "Its address and secret cannot be opened with this installation’s review key.")
    headers = posting.signature(secrets, message_id(delivery), now, body) if secrets else {}
    return await posting.post(url, body, headers)


def secrets_of(webhook: Webhook, now: datetime) -> list[str]:
    """The secrets that sign now, the present one first, as `whsec_…`; none of a chat. Raises SealError."""
    found = []
    if webhook.sealed_secret is not None:
        found.append(boxes.open(webhook.sealed_secret, webhook.pk.bytes + SECRET).decode())
    if webhook.sealed_former is not None and webhook.former_until and webhook.former_until > now:
        found.append(boxes.open(webhook.sealed_former, webhook.pk.bytes + FORMER).decode())
    return found


@transaction.atomic(durable=True)
def _mark(taken: Sequence[Delivery], posted: Posted, now: datetime, *, last: bool = False) -> None:
    """Write what came of a try: delivered, tried again later, or given up, which its owner is told.

    Nothing where the lease was over and somebody else has tried it since.
    """
    for each in taken:
        mine = Delivery.objects.waiting().filter(pk=each.pk, tries=each.tries)
        if posted.taken:
            mine.update(state=State.DELIVERED, ended_at=now, answer=posted.text)
        elif not (last or posted.final) and each.tries <= len(AFTER):
            # Some spread, so that what failed together does not come back together.
            wait = AFTER[each.tries - 1] * random.uniform(1, 1.2)  # noqa: S311 (nothing secret)
            mine.update(due_at=now + wait, answer=posted.text)
        elif mine.update(state=State.DEAD, ended_at=now, answer=posted.text) and not last:
            _tell_owner(each, posted, now)


def _tell_owner(delivery: Delivery, posted: Posted, now: datetime) -> None:
    webhook = delivery.webhook
    if webhook is None or webhook.closed_at is not None:
        return
    told = Notification.objects.about(webhook.pk, NotificationKind.WEBHOOK_FAILED)
    if not told.filter(created_at__gt=now - TOLD_AGAIN).exists():
        notifications.tell_of_failure(webhook=webhook, answer=posted.text)


def _escaped(text: str) -> str:
    """Text as chats read it: their three signs of markup are none."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
