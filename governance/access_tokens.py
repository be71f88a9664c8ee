"""Access tokens: a person's own programs read changes and propose them by one. Nobody decides anything by one.

What a token lets its person do is the meeting of his roles and its scope: `governance.models.GrantQuerySet.allowing`
leaves all else out, so that no verb, also none to come, lets a program vote. See docs/decisions/0029-access-tokens.md.
"""

import secrets
import string
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from governance import audit
from governance.accounts import ORGANISATION, NotPermitted, require, token_sha256
from governance.confirmations import require_confirmed
from governance.errors import GovernanceError, InvalidInput, store
from governance.models import AccessToken, User, new_id

PREFIX = "sfp_"
LETTERS = string.ascii_letters + string.digits
SEEN_EVERY = timedelta(seconds=30)
# So many days a token may last, as the page offers them.
DAYS = (7, 30, 90, 365)
READS = frozenset({"changes.view", "requests.view", "workflows.view"})
# What is done by a token at most, whatever its person's roles carry.
ACTS = {
    AccessToken.Scope.READ: READS,
    AccessToken.Scope.PROPOSE: READS | {"changes.propose", "simulations.run"},
}


class TokenRefused(GovernanceError):
    """The token opens nothing, or no more."""


class TokenTooNarrow(NotPermitted):
    """The token does not reach so far; another one of the same person might."""


class PersonOnly(NotPermitted):
    """What nobody does by a token, whatever his roles are."""


@transaction.atomic
def create(
    *, name: str, scope: str, days: int, confirmed_at: datetime, by: User, identity: UUID | None = None
) -> tuple[AccessToken, str]:
    """Make a token of `by`'s own. Returns it with its text, which is never shown again.

    `confirmed_at` is when the password was given; `identity` is the id it gets, where one form must not make two.
    Raises NotConfirmed, and InvalidInput for an empty name, an unknown scope, an end past a year, or (field `id`) an
    identity in use.
    """
    now = timezone.now()
    require_confirmed(confirmed_at, now)
    prefix = "".join(secrets.choice(LETTERS) for _ in range(8))
    text = f"{PREFIX}{prefix}_{secrets.token_urlsafe(32)}"
    made = AccessToken(
        id=identity or new_id(),
        person=by,
        name=name,
        scope=scope,
        prefix=prefix,
        sha256=token_sha256(text),
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    store(made)
    audit.record(
        action="access_tokens.create",
        actor=by,
        object=made,
        summary=f"Made the access token {made.name}, until {made.expires_at:%-d %B %Y}",
        after={"prefix": prefix, "scope": made.scope, "expires_at": made.expires_at},
    )
    return made, text


@transaction.atomic
def revoke(*, token: AccessToken, by: User) -> AccessToken:
    """End a token; who made it may, and who administers people. Raises NotPermitted, and InvalidInput if ended."""
    held = AccessToken.objects.select_for_update(of=("self",)).select_related("person").get(pk=token.pk)
    if by.pk != held.person_id:
        require(by, "accounts.edit", ORGANISATION)
    if held.revoked_at is not None:
        raise InvalidInput("This token is revoked already.")
    held.revoked_at, held.revoked_by = timezone.now(), by
    store(held)
    audit.record(
        action="access_tokens.revoke",
        actor=by,
        object=held,
        summary=f"Revoked the access token {held.name} of {held.person}",
        before={"revoked_at": None},
        after={"revoked_at": held.revoked_at},
    )
    return held


def reach(token: AccessToken, act: str) -> None:
    """Raise TokenTooNarrow for an act that the token's scope leaves out."""
    if act not in ACTS[AccessToken.Scope(token.scope)]:
        raise TokenTooNarrow(f"The access token {token.name} only reads: make one that proposes.")


def authenticate(text: str) -> AccessToken:
    """Return the token that this is, with its person, and note that it was used. Raises TokenRefused, saying why."""
    known = AccessToken.objects.select_related("person")
    found = known.filter(sha256=token_sha256(text)).first() if text.startswith(PREFIX) else None
    if found is None:
        raise TokenRefused("This access token is unknown: make one on the page of your account.")
    now = timezone.now()
    if found.revoked_at is not None:
        raise TokenRefused("This access token was revoked: make a new one on the page of your account.")
    if found.expires_at <= now:
        raise TokenRefused(f"This access token ended on {found.expires_at:%-d %B %Y}: make a new one.")
    if not found.person.is_active:
        raise TokenRefused("Whose access token this is may no longer sign in.")
    if found.last_used_at is None or found.last_used_at < now - SEEN_EVERY:
        AccessToken.objects.filter(pk=found.pk).update(last_used_at=now)
    found.person.acts = ACTS[AccessToken.Scope(found.scope)]
    return found
