"""The two documents that a control plane signs for its gateways: the bundle and the state."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta

from smallfirst.engine.facts import Id
from smallfirst.engine.policy import Clause, Condition, Name, Policy

FORMAT: Final = 1

Moment = Annotated[datetime, Meta(tz=True)]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What both have in common. `serial` only rises; after `expires_at` a gateway should have had a newer one."""

    format: int = FORMAT
    serial: Annotated[int, Meta(ge=0)]
    issued_at: Moment
    expires_at: Moment


class BundleEnvironment(msgspec.Struct, frozen=True):
    """The environment that a bundle is for."""

    id: Id
    name: Name


class BundlePayload(Document, frozen=True, kw_only=True):
    """A bundle: the exact text of a snapshot, its SHA-256, and the public key that review bodies are sealed to.

    `requires` names the clauses that a gateway must know to obey it (`required_clauses`).
    """

    environment: BundleEnvironment
    review_key: str
    requires: tuple[str, ...] = ()
    digest: Sha256
    snapshot: str


class StateKey(msgspec.Struct, frozen=True):
    """An application's key, which acts for one workflow. Only the token's hash travels."""

    id: Id
    sha256: Sha256
    workflow: Id


class Stops(msgspec.Struct, frozen=True):
    """What may not be used now, by id."""

    models: tuple[Id, ...] = ()
    endpoints: tuple[Id, ...] = ()
    workflows: tuple[Id, ...] = ()


class StatePayload(Document, frozen=True, kw_only=True):
    """A state: every key in force, and what is stopped; `environment` is an id."""

    environment: Id
    keys: tuple[StateKey, ...]
    stops: Stops = Stops()


def required_clauses(policies: Iterable[Policy]) -> tuple[str, ...]:
    """The clauses that these policies use, sorted: parts such as `guards.regions`, conditions such as `when.tag`."""
    return tuple(sorted({name for policy in policies for name in _used(policy)}))


def _known() -> Iterator[str]:
    for part in Clause.__subclasses__():
        if part in get_args(Condition):
            yield _condition(part)
        else:
            yield from (f"{part.__name__.lower()}.{field}" for field in part.__struct_fields__)


def _used(value: object) -> Iterator[str]:
    if isinstance(value, Clause):
        if type(value) in get_args(Condition):
            yield _condition(type(value))
            return
        for field in msgspec.structs.fields(value):
            given = getattr(value, field.name)
            if field.required or given != field.default:
                yield f"{type(value).__name__.lower()}.{field.name}"
                yield from _used(given)
    elif isinstance(value, tuple):
        for one in value:
            yield from _used(one)


def _condition(part: type[Clause]) -> str:
    return f"when.{part.__struct_config__.tag}"


KNOWN_CLAUSES: Final = frozenset(_known())
