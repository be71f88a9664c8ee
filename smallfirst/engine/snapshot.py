"""All that decisions depend on, frozen and indexed: workflows with their policies, models, endpoints, prices."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from smallfirst.engine.facts import Id
from smallfirst.engine.policy import (
    DataClass,
    Guards,
    Hosting,
    Milliseconds,
    MoneyText,
    Name,
    Names,
    Policy,
    Risk,
    Standard,
    Text,
    Tier,
)

Mode = Literal["enforce", "observe"]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a snapshot's rows: immutable, and an unknown field makes the reader refuse the snapshot."""


class Version(Entry, frozen=True, kw_only=True):
    """A policy version: its id and the number that people use."""

    id: Id
    number: Annotated[int, Meta(ge=1)]


class StandardVersion(Entry, frozen=True, kw_only=True):
    """A standard that is live. ``name`` says whose it is, such as ``the organisation’s standard``."""

    id: Id
    number: Annotated[int, Meta(ge=1)]
    name: Name
    standard: Standard


class Held(Entry, frozen=True, kw_only=True):
    """That a standard holds for a workflow, but for the parts ``without``, from which it is excepted for now."""

    standard: Id
    without: tuple[Text, ...] = ()


class Workflow(Entry, frozen=True, kw_only=True):
    """A workflow with its declared class and risk and its policy.

    ``guards`` and ``standards``, the widest first, hold for it whatever the policy says.

    In mode ``enforce`` the policy decides. In mode ``observe`` a model that a request names is served as asked, and the
    decision says what the policy would have done.
    """

    id: Id
    slug: Name
    mode: Mode
    risk: Risk
    data_class: DataClass
    policy_version: Version
    policy: Policy
    guards: Guards | None = None
    standards: tuple[Held, ...] = ()


class Model(Entry, frozen=True, kw_only=True):
    """A registered model in its current version. The highest of ``data_classes`` is its clearance.

    ``regions`` are the only ones where it may run. ``context_tokens`` None means not known. ``suspended`` says why
    nobody may ask it for now.
    """

    id: Id
    name: Name
    version: Name
    tier: Tier
    hosting: Hosting
    licence: Name
    data_classes: tuple[DataClass, ...]
    regions: Names
    context_tokens: Annotated[int, Meta(ge=1)] | None = None
    suspended: Text | None = None


class Endpoint(Entry, frozen=True, kw_only=True):
    """A place where a model is served; endpoints of one model are asked in rising ``order``.

    ``secret`` is a reference such as ``env:NAME``, resolved where the call is made.
    """

    id: Id
    model: Name
    provider: Name
    url: Text
    upstream_model: Name
    region: Name
    hosting: Hosting
    secret: Name | None
    logprobs: bool
    timeout_ms: Milliseconds
    order: int


class Price(Entry, frozen=True, kw_only=True):
    """What an endpoint takes for a million tokens of each kind; None is not priced, which is not zero."""

    endpoint: Id
    currency: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    input: MoneyText | None
    output: MoneyText | None
    cache_read: MoneyText | None = None
    cache_write: MoneyText | None = None


class Registry(Entry, frozen=True, kw_only=True):
    """What a policy can refer to, models, where they are served and what they cost, and the standards that are live."""

    models: tuple[Model, ...]
    endpoints: tuple[Endpoint, ...]
    prices: tuple[Price, ...]
    standards: tuple[StandardVersion, ...] = ()


class SnapshotDocument(Registry, frozen=True, kw_only=True):
    """The text of a snapshot: the registry and the workflows of one environment."""

    workflows: tuple[Workflow, ...]
