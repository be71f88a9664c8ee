"""Gateways: how one is let in, and the verbs that register and revoke it."""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from governance import audit
from governance.accounts import ORGANISATION, require, token_sha256
from governance.audit import Actor, Service
from governance.errors import InvalidInput, store
from governance.models import ApiKey, Environment, Gateway, User, new_id

PREFIX = "sfg_"
KEY_PREFIX = "sf_"
SDK = Service("SDK")
# Often enough to tell that one is alive, seldom enough to cost nothing.
SEEN_EVERY = timedelta(seconds=30)


@transaction.atomic
def register(*, name: str, environment: Environment, by: Actor, identity: UUID | None = None) -> tuple[Gateway, str]:
    """Register a gateway of an environment. Returns it with its credential, which is never shown again.

    `identity` is the id it gets, where one form must not make two. In an environment of recordings a gateway stands for
    what was imported. Raises NotPermitted, and InvalidInput for a name in use or (field `id`) an identity in use.
    """
    require(by, "accounts.edit", ORGANISATION)
    token = f"{PREFIX}{secrets.token_urlsafe(32)}"
    gateway = Gateway(
        id=identity or new_id(),
        name=name,
        environment=environment,
        sha256=token_sha256(token),
        created_by=by if isinstance(by, User) else None,
    )
    store(gateway)
    audit.record(
        action="gateways.register",
        actor=by,
        object=gateway,
        summary=f"Registered the gateway {gateway.name} in {environment.name}",
        after={"name": gateway.name, "environment": environment.name},
    )
    return gateway, token


@transaction.atomic
def revoke(*, gateway: Gateway, by: Actor, reason: str = "") -> Gateway:
    """Accept a gateway's credential no longer. Raises NotPermitted, and InvalidInput if it is revoked already."""
    require(by, "accounts.edit", ORGANISATION)
    held = Gateway.objects.select_for_update(of=("self",)).select_related("environment").get(pk=gateway.pk)
    if held.revoked_at is not None:
        raise InvalidInput("This gateway is revoked already.")
    held.revoked_at = timezone.now()
    held.revoked_by = by if isinstance(by, User) else None
    store(held)
    audit.record(
        action="gateways.revoke",
        actor=by,
        object=held,
        summary=f"Revoked the gateway {held.name} in {held.environment.name}",
        before={"revoked_at": None},
        after={"revoked_at": held.revoked_at},
        reason=reason,
    )
    return held


def of_key(key: ApiKey) -> Gateway:
    """Return what stands for the applications that decide in process with an API key, made when first seen.

    It is known by the key's own token, and ends with the key.
    """
    found = Gateway.objects.filter(key=key).select_related("environment", "key").first()
    return found or _register_for(key)


@transaction.atomic
def _register_for(key: ApiKey) -> Gateway:
    # Two that come at once wait here for each other.
    ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    found = Gateway.objects.filter(key=key).select_related("environment", "key").first()
    if found is not None:
        return found
    gateway = store(Gateway(name=f"SDK with {key}"[:120], environment=key.environment, sha256=key.sha256, key=key))
    audit.record(
        action="gateways.register",
        actor=SDK,
        object=gateway,
        summary=f"An application decides in process with the key {key.name}",
        after={"name": gateway.name, "environment": key.environment.name, "key": str(key.pk)},
    )
    return gateway


def authenticate(token: str) -> Gateway | None:
    """Return the gateway whose credential this is, and note that it was seen; None for any other text.

    An application's own API key, in force, is the credential of what stands for its applications (`of_key`).
    """
    if not token.startswith((PREFIX, KEY_PREFIX)):
        return None
    known = Gateway.objects.filter(sha256=token_sha256(token))
    gateway = known.usable().select_related("environment", "key").first()
    if gateway is None and token.startswith(KEY_PREFIX) and not known.exists():
        held = ApiKey.objects.usable().filter(purpose=ApiKey.Purpose.APPLICATION, sha256=token_sha256(token))
        key = held.select_related("environment").first()
        gateway = None if key is None else of_key(key)
    now = timezone.now()
    if gateway and (gateway.last_seen_at is None or gateway.last_seen_at < now - SEEN_EVERY):
        Gateway.objects.filter(pk=gateway.pk).update(last_seen_at=now)
    return gateway


class GatewayAuthentication(BaseAuthentication):
    """`Authorization: Bearer sfg_…`: the request comes from a gateway, which is then `request.auth`.

    With `Bearer sf_…` it comes from an application that decides in process: the gateway is the one of its key.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Gateway] | None:
        """Return nobody and the gateway, or None without a credential. Raises AuthenticationFailed."""
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return None
        gateway = authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if gateway is None:
            raise AuthenticationFailed(
                "This credential is unknown or was revoked: register the gateway again, or make a new API key."
            )
        return AnonymousUser(), gateway

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class IsGateway(BasePermission):
    """Gateways alone may call this."""

    message = "Only gateways and API keys may call this: send Authorization: Bearer sfg_… or sf_…"

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether a gateway asks."""
        return isinstance(request.auth, Gateway)


def asking(request: Request) -> Gateway:
    """The gateway that asks. Raises NotAuthenticated where none does."""
    gateway: Any = request.auth
    if not isinstance(gateway, Gateway):
        raise NotAuthenticated
    return gateway
