"""One attempt at one endpoint: what came of it, as the engine's signals, as a usage event, as a cost."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import msgspec
import uuid_utils

from smallfirst.engine.compiled import Rates
from smallfirst.engine.decision import Plan
from smallfirst.engine.facts import AttemptSignals, Facts
from smallfirst.engine.policy import Gate, Tier
from smallfirst.engine.snapshot import Endpoint
from smallfirst.gateway.upstream import MISSING, NOTHING_SENT, AttemptFailed, Completion, Embedded, Usage, cost_of
from smallfirst.records import UsageEvent

Outcome = Literal["ok", "error", "timeout", "aborted", "refused"]


class Attempt(msgspec.Struct, kw_only=True):
    """An attempt and all that is known of it; filled in as it goes. `broken`: bytes of it had left when it failed."""

    rung: int
    endpoint: Endpoint
    tier: Tier
    began: datetime
    outcome: Outcome = "aborted"
    broken: bool = False
    latency_ms: int = 0
    first_byte_ms: int | None = None
    usage: Usage = MISSING
    completion: Completion | None = None
    embedded: Embedded | None = None
    stop_reason: str | None = None
    model_served: str | None = None
    http_status: int | None = None
    error: str | None = None
    request_id: str | None = None
    told: str | None = None
    retry_after: int | None = None

    def answered(self, completion: Completion) -> None:
        """Note a whole answer."""
        self.outcome = "ok"
        self.completion = completion
        self.usage = completion.usage
        self.stop_reason = completion.choices[0].finish_reason
        self.model_served = completion.model_served
        self.http_status = 200
        self.request_id = completion.request_id
        self.first_byte_ms = completion.first_byte_ms

    def answered_in_numbers(self, embedded: Embedded) -> None:
        """Note the embeddings of all texts."""
        self.outcome = "ok"
        self.embedded = embedded
        self.usage = embedded.usage
        self.model_served = embedded.model_served
        self.http_status = 200
        self.request_id = embedded.request_id
        self.first_byte_ms = embedded.first_byte_ms

    def failed(self, failure: AttemptFailed) -> None:
        """Note why no answer came."""
        self.outcome = failure.outcome
        self.error = failure.code
        self.http_status = failure.status
        self.request_id = failure.request_id or self.request_id
        self.told = failure.told
        self.retry_after = failure.retry_after
        if not failure.sent:
            self.usage = NOTHING_SENT

    @property
    def kept_back(self) -> bool:
        """Whether a provider's key was not sent: `told` then says why, and no waiting helps."""
        return self.told is not None and self.http_status is None

    def label(self, gate: Gate | None) -> str | None:
        """The label of the gate that this answer is, however it is spelled. Other words of it are not the engine's."""
        if self.completion is None or gate is None or gate.labels is None:
            return None
        said = self.completion.text.strip().casefold()
        return next((label for label in gate.labels if label.casefold() == said), None)

    def signals(self, gate: Gate | None) -> AttemptSignals:
        """What the engine is told: numbers, codes and one of its own labels, never the answer."""
        return AttemptSignals(
            rung=self.rung,
            endpoint=self.endpoint.id,
            outcome="aborted" if self.broken else self.outcome,
            confidence=self.completion.confidence if self.completion else None,
            label=self.label(gate),
            stop_reason=_bounded(self.stop_reason),
            output_tokens=self.usage.output_tokens,
            latency_ms=self.latency_ms,
        )

    def event(self, number: int, *, decision: str, environment: str, key: str, facts: Facts, kept: bool) -> UsageEvent:
        """The usage event of this attempt."""
        return UsageEvent(
            id=str(uuid_utils.uuid7()),
            decision=decision,
            attempt=number,
            occurred_at=self.began,
            workflow=facts.workflow,
            environment=environment,
            key=key,
            step=facts.step,
            run=facts.run,
            endpoint=self.endpoint.id,
            model=self.endpoint.model,
            tier=self.tier,
            model_requested=facts.model,
            model_served=self.model_served,
            outcome=self.outcome,
            kept=kept,
            http_status=self.http_status,
            error=self.error,
            input_tokens=self.usage.input_tokens,
            cache_read_tokens=self.usage.cache_read_tokens,
            cache_write_tokens=self.usage.cache_write_tokens,
            output_tokens=self.usage.output_tokens,
            usage_quality=self.usage.quality,
            latency_ms=self.latency_ms,
            first_byte_ms=self.first_byte_ms,
            provider_request_id=self.request_id,
            tags=dict(facts.tags),
        )


def new_attempt(plan: Plan, rung: int, endpoint: Endpoint) -> Attempt:
    """An attempt that begins now."""
    return Attempt(rung=rung, endpoint=endpoint, tier=plan.rungs[rung].tier, began=datetime.now(UTC))


def total_cost(attempts: list[Attempt], rates: dict[str, Rates]) -> str | None:
    """What a request cost with all its attempts, as decimal text (US dollars, else with the currency's code).

    None when a count or a price is not known, or when currencies differ.
    """
    costs = [cost_of(attempt.usage, rates.get(attempt.endpoint.id)) for attempt in attempts]
    known = [cost for cost in costs if cost is not None]
    currencies = {currency for amount, currency in known if amount} or {"USD"}
    if not costs or len(known) < len(costs) or len(currencies) > 1:
        return None
    total = format(sum((amount for amount, _ in known), Decimal(0)).normalize(), "f")
    currency = currencies.pop()
    return total if currency == "USD" else f"{total} {currency}"


def _bounded(text: str | None) -> str | None:
    """A provider's word as a name of ours: printable, 1 to 200 characters."""
    if text is None:
        return None
    return "".join(letter for letter in text if letter.isprintable())[:200] or None
