"""The two documents that a control plane signs for its gateways: the bundle and the state."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from smallfirst.engine.facts import Id, KeyPurpose
from smallfirst.engine.policy import Name

FORMAT: Final = 1
# Clauses beyond format 1 that this version obeys; a bundle that needs another one is refused.
KNOWN_CLAUSES: Final[frozenset[str]] = frozenset()

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

    `requires` names the clauses beyond format 1 that a gateway must know to obey it.
    """

    environment: BundleEnvironment
    review_key: str
    requires: tuple[str, ...] = ()
    digest: Sha256
    snapshot: str


class StateKey(msgspec.Struct, frozen=True):
    """A key, which acts for one workflow and serves one purpose. Only the token's hash travels."""

    id: Id
    sha256: Sha256
    workflow: Id
    purpose: KeyPurpose = "application"


class Stops(msgspec.Struct, frozen=True):
    """What may not be used now, by id; `everything` stands for all workflows."""

    models: tuple[Id, ...] = ()
    endpoints: tuple[Id, ...] = ()
    workflows: tuple[Id, ...] = ()
    everything: bool = False


class StatePayload(Document, frozen=True, kw_only=True):
    """A state: every key in force, and what is stopped; `environment` is an id."""

    environment: Id
    keys: tuple[StateKey, ...]
    stops: Stops = Stops()
