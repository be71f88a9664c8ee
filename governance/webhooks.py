"""Webhooks: added, edited, given another secret, tried and closed. What they are told is delivered apart.

A verb locks the webhook's row and no other. Network is waited for outside of any transaction.
"""

import base64
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from governance import audit, boxes, deliveries, notifications, posting
from governance.accounts import ORGANISATION, require
from governance.errors import InvalidInput, store
from governance.models import Delivery, User, Webhook, new_id
from governance.models.webhooks import FOR_WEBHOOKS

Form = Webhook.Form
# As long as receivers have to take the new secret; until then both sign.
GRACE: Final = timedelta(hours=24)
# Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES: Final = 32


@transaction.atomic
def add(
    *, name: str, form: str, url: str, kinds: Sequence[str], owner: User, by: User, identity: UUID | None = None
) -> tuple[Webhook, str]:
    """Let an address be told of some kinds of things. Returns it with its secret, which is never shown again.

    The secret is empty for a Slack-compatible one, whose address is its secret. `identity` is the id it gets, where one
    form must not make two. Raises NotPermitted, and InvalidInput for an address that may not be posted to, an unknown
    kind, a name or (field `id`) an identity in use.
    """
    require(by, "webhooks.edit", ORGANISATION)
    key = identity or new_id()
    secret = _new_secret() if form == Form.SIGNED else ""
    made = Webhook(
        id=key,
        name=name,
        form=form,
        owner=_may_own(owner),
        kinds=_known(kinds),
        origin=posting.check_url(url),
        sealed_url=boxes.close(url.encode(), key.bytes + deliveries.URL),
        sealed_secret=_sealed(secret, key, deliveries.SECRET),
        created_by=by,
    )
    store(made)
    audit.record(
        action="webhooks.add",
        actor=by,
        object=made,
        summary=f"Added the webhook {made.name} at {made.origin}",
        after=_facts(made) | {"form": made.form},
    )
    return made, secret


@transaction.atomic
def edit(*, webhook: Webhook, name: str, url: str, kinds: Sequence[str], owner: User, by: User) -> Webhook:
    """Change name, kinds, owner and, where one is given, the address of a webhook.

    Raises NotPermitted, and InvalidInput as `add` does and for a closed one.
    """
    held = _lock(webhook, by)
    before = _facts(held)
    held.name, held.kinds, held.owner = name, _known(kinds), _may_own(owner)
    if url:
        held.origin = posting.check_url(url)
        held.sealed_url = boxes.close(url.encode(), held.pk.bytes + deliveries.URL)
    store(held)
    audit.record(
        action="webhooks.edit",
        actor=by,
        object=held,
        summary=f"Edited the webhook {held.name}" + (", with another address" if url else ""),
        before=before,
        after=_facts(held),
    )
    return held


@transaction.atomic
def renew_secret(*, webhook: Webhook, by: User, now: datetime) -> tuple[Webhook, str]:
    """Give a signed webhook another secret, returned here alone; for a day the former one signs as well.

    Raises NotPermitted, and InvalidInput for a closed one, one that has none, and one whose former secret still signs:
    a third would take it from receivers that are still to change over.
    """
    held = _lock(webhook, by)
    if held.form != Form.SIGNED:
        raise InvalidInput("A Slack-compatible webhook has no secret: make another address there, and enter that.")
    if held.former_until is not None and held.former_until > now:
        raise InvalidInput("Its former secret still signs: wait until that is over before you make a third.")
    present, secret = deliveries.secrets_of(held, now)[0], _new_secret()
    held.sealed_former = _sealed(present, held.pk, deliveries.FORMER)
    held.former_until = now + GRACE
    held.sealed_secret = _sealed(secret, held.pk, deliveries.SECRET)
    store(held)
    audit.record(
        action="webhooks.renew_secret",
        actor=by,
        object=held,
        summary=f"Gave the webhook {held.name} another secret",
        after={"former_until": held.former_until},
    )
    return held, secret


def send_test(*, webhook: Webhook, by: User, clock: Callable[[], datetime]) -> Delivery:
    """Post a test to a webhook and return its delivery with what came of it; takes some seconds at most.

    Raises NotPermitted, InvalidInput for a closed one, and RuntimeError inside a transaction.
    """
    with transaction.atomic(durable=True):
        held = _lock(webhook, by)
        made = notifications.tell_one(
            webhook=held,
            title=f"A test of {held.name}",
            facts={"webhook": held.name, "by": by.name},
            due_at=clock() + deliveries.LEASE,
        )
        audit.record(action="webhooks.send_test", actor=by, object=held, summary=f"Sent a test to {held.name}")
    return deliveries.attempt(made, clock=clock)


@transaction.atomic
def send_again(*, delivery: Delivery, by: User, now: datetime) -> Delivery:
    """Let an ended delivery to a webhook be made once more, under the same key.

    Raises NotPermitted, and InvalidInput for one that waits, or whose webhook is closed.
    """
    if delivery.webhook is None:
        raise InvalidInput("Only what went to a webhook is sent again.")
    held = _lock(delivery.webhook, by)
    found = Delivery.objects.select_for_update(no_key=True, of=("self",)).select_related("notification")
    again = found.get(pk=delivery.pk)
    if again.state == Delivery.State.WAITING:
        raise InvalidInput("This is still to be delivered.")
    before, again.state = again.state, Delivery.State.WAITING
    again.tries, again.due_at, again.ended_at = 0, now, None
    again.save(update_fields=["state", "tries", "due_at", "ended_at"])
    audit.record(
        action="webhooks.send_again",
        actor=by,
        object=held,
        summary=f"Let {held.name} be told again: {again.notification}",
        before={"state": before},
        after={"state": again.state, "delivery": again.pk},
    )
    return again


@transaction.atomic
def close(*, webhook: Webhook, reason: str, by: User, now: datetime) -> Webhook:
    """Tell an address no more, for good; what waits for it is given up. Raises NotPermitted, InvalidInput if closed."""
    held = _lock(webhook, by)
    held.closed_at, held.closed_by = now, by
    store(held)
    waiting = Delivery.objects.waiting().filter(webhook=held)
    waiting.update(state=Delivery.State.DEAD, ended_at=now, answer="The webhook is closed.")
    audit.record(
        action="webhooks.close",
        actor=by,
        object=held,
        summary=f"Closed the webhook {held.name}",
        before={"closed_at": None},
        after={"closed_at": now},
        reason=reason,
    )
    return held


def _lock(webhook: Webhook, by: User) -> Webhook:
    Webhook.objects.select_for_update(no_key=True).get(pk=webhook.pk)
    held = Webhook.objects.with_people().get(pk=webhook.pk)
    require(by, "webhooks.edit", ORGANISATION)
    if held.closed_at is not None:
        raise InvalidInput(f"{held.name} is closed.")
    return held


def _may_own(owner: User) -> User:
    if not owner.is_active:
        raise InvalidInput(f"owner: {owner.name} may not sign in: choose somebody who answers for it", field="owner")
    return owner


def _known(kinds: Sequence[str]) -> list[str]:
    """The kinds in their usual order. Raises InvalidInput for one that no webhook is told."""
    unknown = set(kinds) - set(FOR_WEBHOOKS)
    if unknown:
        raise InvalidInput(f"kinds: {min(unknown)} is none of {', '.join(FOR_WEBHOOKS)}", field="kinds")
    if not kinds:
        raise InvalidInput("kinds: choose at least one thing that it is told", field="kinds")
    return [str(kind) for kind in FOR_WEBHOOKS if kind in kinds]


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def _sealed(secret: str, key: UUID, use: bytes) -> bytes | None:
    return boxes.close(secret.encode(), key.bytes + use) if secret else None


def _facts(webhook: Webhook) -> dict[str, object]:
    return {
        "name": webhook.name,
        "origin": webhook.origin,
        "kinds": list(webhook.kinds),
        "owner": webhook.owner_id,
    }
