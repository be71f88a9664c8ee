"""Usage events and decisions as a gateway sends them, and a gateway to send them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import uuid_utils.compat
from django.utils import timezone

from governance import gateways
from governance.models import ApiKey, Endpoint, Gateway
from ledger import prices, usage
from ledger.models import Price
from smallfirst import records
from tests.cast import BOOTSTRAP, Cast, make_cast, make_key

BERLIN = ZoneInfo("Europe/Berlin")
RATES = {"input": Decimal(2), "output": Decimal(8), "cache_read": Decimal("0.5"), "cache_write": Decimal("2.5")}


@dataclass(frozen=True)
class Site:
    """The cast with a key, a gateway of production and its credential."""

    cast: Cast
    key: ApiKey
    gateway: Gateway
    credential: str

    def endpoint(self, place: int = 0) -> Endpoint:
        """The endpoint of the model at this place of the ladder."""
        return Endpoint.objects.select_related("provider", "version__model").get(version__model=self.cast.models[place])

    def event(self, at: datetime | None = None, place: int = 0, **given: Any) -> dict[str, Any]:
        """An attempt at a model of the ladder that was kept: 1,000 tokens in and 500 out."""
        when = at or timezone.now()
        model = self.cast.models[place]
        facts: dict[str, Any] = {
            "id": new_id(when),
            "decision": new_id(when),
            "attempt": 0,
            "occurred_at": when.astimezone(UTC).isoformat(),
            "workflow": str(self.cast.workflow.id),
            "environment": str(self.cast.production.id),
            "key": str(self.key.id),
            "step": "sentiment",
            "endpoint": str(self.endpoint(place).id),
            "model": model.name,
            "tier": model.tier,
            "model_requested": "auto",
            "model_served": model.name,
            "outcome": "ok",
            "kept": True,
            "http_status": 200,
            "input_tokens": 1000,
            "output_tokens": 500,
            "usage_quality": "exact",
            "latency_ms": 120,
            "tags": {"shop": "north"},
        }
        return facts | given

    def decision(self, at: datetime | None = None, **given: Any) -> dict[str, Any]:
        """A decision that kept the first model's answer."""
        when = at or timezone.now()
        facts: dict[str, Any] = {
            "id": new_id(when),
            "at": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "workflow": str(self.cast.workflow.id),
            "environment": str(self.cast.production.id),
            "key": str(self.key.id),
            "step": "sentiment",
            "run": None,
            "facts": {"workflow": str(self.cast.workflow.id), "step": "sentiment", "tags": [["shop", "north"]]},
            "signals": {"input_tokens": 12, "characters": 48},
            "state": {"at": 1_700_000_000_000},
            "snapshot": "ab" * 32,
            "policy_version": None,
            "attempts": [{"rung": 0, "endpoint": str(self.endpoint().id), "outcome": "ok", "confidence": 0.93}],
            "outcome": "kept",
            "kept_model": "lexicon",
            "tier": "small",
            "review": None,
            "triage": "medium",
        }
        return facts | given

    def report(self, events: Iterable[dict[str, Any]], now: datetime | None = None) -> records.Receipt:
        """Record usage events as this gateway."""
        return usage.record(batch=raw(events), gateway=self.gateway, now=now or timezone.now())

    def price(
        self, place: int = 0, valid_from: datetime | None = None, currency: str = "USD", **rates: Decimal | None
    ) -> Price:
        """Set an own price for an endpoint: USD 2, 8, 0.50 and 2.50 per million tokens unless said."""
        return prices.set_own_price(
            endpoint=self.endpoint(place),
            currency=currency,
            valid_from=valid_from or datetime(2026, 1, 1, tzinfo=UTC),
            by=self.cast.finance,
            **(RATES | rates),
        )


def make_site() -> Site:
    """Everything that reports need."""
    return site_of(make_cast())


def site_of(cast: Cast) -> Site:
    """The same around a cast that is there already."""
    key, _token = make_key(cast)
    gateway, credential = gateways.register(name="Gateway", environment=cast.production, by=BOOTSTRAP)
    return Site(cast, key, gateway, credential)


def new_id(at: datetime) -> str:
    """A fresh UUIDv7 of a moment."""
    milliseconds = int(at.timestamp() * 1000)
    fresh = uuid_utils.compat.uuid7().int & ((1 << 76) - 1) | 7 << 76
    return str(UUID(int=milliseconds << 80 | fresh))


def raw(records: Iterable[dict[str, Any]]) -> list[msgspec.Raw]:
    """Records as the JSON of a batch holds them."""
    return [msgspec.Raw(msgspec.json.encode(record)) for record in records]
