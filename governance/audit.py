"""The audit log: one entry for each governed act, written in the transaction of the act itself."""

import hashlib
import ipaddress
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.utils import timezone

from governance import canonical
from governance.errors import clean
from governance.models import AuditBody, AuditEvent, User

SCHEMA = 1
SALT_BYTES = 32
REQUEST_ID_LENGTH = 120


@dataclass(frozen=True)
class Service:
    """A part of Smallfirst that acts by itself: `bootstrap`, `review expiry`. Rights: permissions.SERVICES."""

    name: str

    def __str__(self) -> str:
        return self.name


Actor = User | Service


@dataclass(frozen=True)
class Circumstances:
    """How an act reached us: the request, where it came from, and how its sender was known."""

    request_id: str | None = None
    ip: str | None = None
    auth_method: str | None = None


_UNKNOWN = Circumstances()
_circumstances: ContextVar[Circumstances] = ContextVar("circumstances", default=_UNKNOWN)


@contextmanager
def during(*, request_id: str | None = None, ip: str | None = None, auth_method: str | None = None) -> Iterator[None]:
    """Let the entries written inside say how the act reached us. For the edge: a middleware, a command, a task.

    What comes from outside is cut to what an entry can hold; an address that is none counts as not known.
    """
    readable = "".join(filter(str.isprintable, request_id or ""))[:REQUEST_ID_LENGTH]
    token = _circumstances.set(Circumstances(readable or None, _address(ip), auth_method))
    try:
        yield
    finally:
        _circumstances.reset(token)


def known_by(auth_method: str) -> None:
    """Let the entries of the request that is going on say how its sender was known, where a view finds it out."""
    _circumstances.set(replace(_circumstances.get(), auth_method=auth_method))


def address() -> str | None:
    """Where the act that is going on came from; None where nobody knows."""
    return _circumstances.get().ip


def _address(ip: str | None) -> str | None:
    """One way to write an address: short, without a zone, and an IPv4 address in IPv6 clothes as IPv4."""
    try:
        found = ipaddress.ip_address((ip or "").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def record(
    *,
    action: str,
    actor: Actor,
    object: models.Model,  # noqa: A002 (the word an auditor uses)
    summary: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    request_id: str | None = None,
    body: Mapping[str, Any] | None = None,
    version: str | None = None,
    outcome: str = AuditEvent.Outcome.DONE,
) -> AuditEvent:
    """Write the entry of an act inside its transaction and return it.

    `action` is `<noun>.<verb>`; `object` is the row acted on; `before` and `after` are small public facts about it
    (integers as they are, money as Decimal, no floats); `body` holds what is personal and can be erased later: the
    entry commits to it by a salted digest. Raises RuntimeError outside a transaction, InvalidInput for an unreadable
    reason, and TypeError or ValueError for values that have no one canonical form.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("audit.record belongs inside the transaction of the act it records")
    circumstances = _circumstances.get()
    event = AuditEvent(
        at=timezone.now(),
        actor_kind=AuditEvent.ActorKind.PERSON if isinstance(actor, User) else AuditEvent.ActorKind.SERVICE,
        actor_id=str(actor.pk) if isinstance(actor, User) else actor.name,
        actor_name=plain(str(actor)),
        auth_method=plain(circumstances.auth_method),
        ip=plain(circumstances.ip),
        request_id=plain(request_id or circumstances.request_id),
        action=action,
        object_type=object._meta.model_name or "",
        object_id=str(object.pk),
        object_name=plain(str(object))[:250],
        object_version=plain(version),
        team=getattr(object, "team_id", None),
        outcome=outcome,
        summary=plain(summary),
        reason=clean("reason", reason),
        before=plain(before),
        after=plain(after),
        schema=SCHEMA,
    )
    content, salt = plain(body), secrets.token_bytes(SALT_BYTES)
    if content is not None:
        event.body_digest = body_digest(salt, content)
    event.entry_hash = entry_hash(event)
    event.save(force_insert=True)
    if content is not None:
        AuditBody.objects.create(event=event, salt=salt, content=content)
    return event


def canonical_bytes(event: AuditEvent) -> bytes:
    """The bytes an entry's hash is made of: RFC 8785 JSON of all columns but `xid` and the hash itself."""
    return canonical.encode(
        {
            "schema": event.schema,
            "id": str(event.id),
            "at": canonical.moment(event.at),
            "actor": {"kind": str(event.actor_kind), "id": event.actor_id, "name": event.actor_name},
            "on_behalf_of": event.on_behalf_of,
            "auth_method": event.auth_method,
            "ip": event.ip,
            "request_id": event.request_id,
            "action": event.action,
            "object": {
                "type": event.object_type,
                "id": event.object_id,
                "name": event.object_name,
                "version": event.object_version,
            },
            "team": str(event.team) if event.team else None,
            "outcome": str(event.outcome),
            "summary": event.summary,
            "reason": event.reason,
            "before": event.before,
            "after": event.after,
            "body_digest": event.body_digest,
        }
    )


def entry_hash(event: AuditEvent) -> str:
    """The SHA-256 of an entry's canonical bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_bytes(event)).hexdigest()


def body_digest(salt: bytes, content: Any) -> str:
    """The SHA-256 of a body's salt and canonical bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(salt + canonical.encode(content)).hexdigest()


def plain(value: Any) -> Any:
    """Return a value as canonical JSON can hold it and PostgreSQL gives it back: NFC text, whole numbers, no floats."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return unicodedata.normalize("NFC", str(value))
        case datetime():
            return canonical.moment(value)
        case Decimal() | UUID():
            return str(value)
        case Mapping():
            return {plain(str(key)): plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    raise TypeError(f"audit entries hold no {type(value).__name__}: write {value!r} as text")
