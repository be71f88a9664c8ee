"""The snapshot of an environment: its policies, models, endpoints and prices as one canonical JSON text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import models

from governance import admissions, canonical, exceptions, serving
from governance.admissions import Live
from governance.models import (
    ContentHead,
    Endpoint,
    Environment,
    Model,
    ModelVersion,
    PolicyHead,
    Provider,
    Suspension,
    Team,
    Workflow,
)
from governance.serving import Inherited
from ledger import prices
from ledger.models import Price
from routing import stamps
from routing.stamps import IN_FORCE
from smallfirst.engine.compiled import read_snapshot

# Every table that `make` reads, with the rows of it that count where that is not all of them.
TABLES: dict[type[models.Model], str] = {
    Environment: "",
    PolicyHead: "",
    Workflow: "",
    Model: "",
    ModelVersion: "",
    Endpoint: "",
    Provider: "",
    ContentHead: "kind IN ('model', 'standard', 'exception')",
    Team: "",
    Suspension: "",
    Price: IN_FORCE,
}


# How many exceptions are over: they end with a day, and no row says so.
OVER = """
    SELECT count(*) FROM governance_contenthead head
    JOIN governance_content content ON content.id = head.content_id
    CROSS JOIN jsonb_array_elements(content.document -> 'exceptions') excepted
    WHERE head.kind = 'exception' AND (excepted ->> 'until')::date < %(today)s
"""


def stamp(*, now: datetime) -> str:
    """The stamp of all rows that snapshots are made of; one query."""
    return stamps.read(TABLES, now=now, also=OVER, today=exceptions.day_of(now))


@dataclass(frozen=True)
class Content:
    """A snapshot's exact text and its SHA-256 in hex."""

    text: str
    digest: str


def make(environment: Environment, *, now: datetime) -> Content:
    """Return the snapshot of what is live in an environment: workflows with their policies and modes, and the register.

    Of an endpoint's secret only the reference stands in it. Raises SnapshotError where the engine could not read it:
    such a snapshot must reach no gateway.
    """
    endpoints, admitted = list(Endpoint.objects.served_in(environment)), admissions.live_in(environment)
    inherited = serving.inherited(environment, exceptions.day_of(now))
    standards = [msgspec.to_builtins(each.version) for each in inherited.standards]
    document = {
        "workflows": [_workflow(head, inherited) for head in PolicyHead.objects.live_in(environment)],
        "models": [_model(version, admitted.get(version.pk)) for version in _current_versions()],
        "endpoints": [_endpoint(endpoint) for endpoint in endpoints],
        "prices": _prices(endpoints, now),
        # Named only where there are some: a gateway that knows no standards refuses what it does not know.
        **({"standards": standards} if standards else {}),
    }
    text = canonical.encode(document)
    return Content(text.decode(), read_snapshot(text).digest)


def _current_versions() -> list[ModelVersion]:
    of_models_in_use = ModelVersion.objects.filter(is_current=True, model__in=Model.objects.in_use())
    return list(of_models_in_use.select_related("model").order_by("model__name"))


def _workflow(head: PolicyHead, inherited: Inherited) -> dict[str, Any]:
    workflow, version = head.workflow, head.version
    held = [msgspec.to_builtins(each) for each in inherited.held(workflow)]
    return {
        "id": str(workflow.pk),
        "slug": workflow.slug,
        "mode": str(head.mode),
        "risk": str(workflow.risk),
        "data_class": str(workflow.data_class),
        "policy_version": {"id": str(version.pk), "number": version.number},
        "policy": version.document,
        **({"guards": {"regions": workflow.regions}} if workflow.regions else {}),
        **({"standards": held} if held else {}),
    }


def _model(version: ModelVersion, live: Live | None) -> dict[str, Any]:
    """A model in its current version; where it is admitted for what was agreed, where suspended with what broke."""
    model = version.model
    suspended = live.suspension.said if live and live.suspension else ""
    return {
        "id": str(model.pk),
        "name": model.name,
        "version": version.version,
        "tier": str(model.tier),
        "hosting": str(model.hosting),
        "licence": model.licence,
        "data_classes": list(live.admission.data_classes) if live else version.data_classes,
        "regions": version.regions,
        "context_tokens": version.context_tokens,
        **({"suspended": suspended} if suspended else {}),
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": str(endpoint.pk),
        "model": endpoint.version.model.name,
        "provider": endpoint.provider.slug,
        "url": endpoint.url,
        "upstream_model": endpoint.upstream_model,
        "region": endpoint.region,
        "hosting": str(endpoint.hosting),
        "secret": endpoint.secret,
        "logprobs": endpoint.logprobs,
        "timeout_ms": endpoint.timeout_ms,
        "order": endpoint.position,
    }


def _prices(endpoints: Sequence[Endpoint], now: datetime) -> list[dict[str, Any]]:
    current: dict[UUID, Price] = prices.current(endpoints, now)
    return [
        {
            "endpoint": str(endpoint.pk),
            "currency": price.currency,
            "input": _rate(price.input),
            "output": _rate(price.output),
            "cache_read": _rate(price.cache_read),
            "cache_write": _rate(price.cache_write),
        }
        for endpoint in endpoints
        if (price := current.get(endpoint.pk)) is not None
    ]


def _rate(amount: Decimal | None) -> str | None:
    """A rate without the zeros that its column pads it with, so that equal rates are equal text."""
    return None if amount is None else f"{amount.normalize():f}"
