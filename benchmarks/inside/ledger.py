"""The ledger: ingest through its verb beside Django's bulk_create, the fold, the spend pages beside a raw scan.

All on one connection to a PostgreSQL as `up` runs it, every commit flushed, one commit a batch. The peer stores rows of
the same kind as model instances; it is spared the decoding, the checks and the queue.
"""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.db import transaction

from benchmarks import machine
from benchmarks.inside import spend
from benchmarks.inside.site import STEPS, Site, make
from benchmarks.ledger import parser
from benchmarks.measures import Measure, Void, columns, middle, report, shown
from benchmarks.world import MODELS, new_id
from ledger import rollups, usage
from ledger.models import UsageEvent
from smallfirst import records

Batches = list[list[msgspec.Raw]]


B = TypeVar("B")
R = TypeVar("R")


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    options = parser.parse_args(words)
    site = make(options.workflows)
    rates = ingest(site, options.ingest, options.batch, options.rounds)
    folded = fold_all()
    filled = spend.measure(site, options.events, options.views)
    rows = [[title, shown(rate)] for title, rate in {**rates, "fold after ingest": folded}.items()]
    print(f"\n{columns(('on one connection', 'events a second'), rows)}")
    print(f"\n{filled.table()}")
    report([*measures(rates, folded), *filled.measures()])
    return 0


def batches(site: Site, number: int, size: int) -> Batches:
    """So many events as gateways report them, in batches of JSON."""
    now = datetime.now(UTC).isoformat()
    found = [msgspec.Raw(msgspec.json.encode(event(site, each, now))) for each in range(number)]
    return [found[start : start + size] for start in range(0, number, size)]


def event(site: Site, number: int, at: str) -> dict[str, object]:
    """One attempt; they differ in workflow, step, model, tokens and outcome."""
    key, endpoint = site.keys[number % len(site.keys)], site.endpoints[number % len(site.endpoints)]
    name, tier, *_ = MODELS[number % len(MODELS)]
    return {
        "id": new_id(),
        "decision": new_id(),
        "attempt": 0,
        "occurred_at": at,
        "workflow": str(key.workflow_id),
        "environment": str(key.environment_id),
        "key": str(key.id),
        "step": STEPS[number // 7 % len(STEPS)],
        "run": f"run-{number // 3}",
        "endpoint": str(endpoint.id),
        "model": name,
        "tier": tier,
        "model_requested": "auto",
        "model_served": f"{name}-2026-01",
        "outcome": "error" if number % 50 == 0 else "ok",
        "kept": number % 50 != 0,
        "http_status": 200,
        "input_tokens": 300 + number % 900,
        "output_tokens": 40 + number % 200,
        "usage_quality": "exact",
        "latency_ms": 400 + number % 3000,
        "first_byte_ms": 120,
        "provider_request_id": f"req-{number}",
        "tags": {"shop": "north"},
    }


def ingest(site: Site, number: int, size: int, rounds: int) -> dict[str, float]:
    """Events a second: new ones and repeats, through the verb and through bulk_create; medians. Raises Void."""
    found: dict[str, list[float]] = {}
    before = UsageEvent.objects.count()
    for each in range(rounds):
        machine.say(f"ingest, round {each + 1} of {rounds}")
        ours, theirs = batches(site, number, size), decoded(batches(site, number, size))
        for title, accepted in (("usage.record", number), ("usage.record, all repeats", 0)):
            rate, receipts = timed(number, ours, lambda batch: record(batch, site))
            if sum(receipt.accepted for receipt in receipts) != accepted:
                raise Void(f"{title}: {receipts[0]}")
            found.setdefault(title, []).append(rate)
        for title in ("bulk_create", "bulk_create, all repeats"):
            rate, _ = timed(number, theirs, lambda batch: bulk_create(batch, site))
            found.setdefault(title, []).append(rate)
    if UsageEvent.objects.count() - before != 2 * rounds * number:
        raise Void(f"{UsageEvent.objects.count() - before} rows came of {2 * rounds * number} events")
    return {title: middle(rates) or 0.0 for title, rates in found.items()}


def timed(number: int, work: Sequence[B], act: Callable[[B], R]) -> tuple[float, list[R]]:
    """Events a second over all batches, and what came of each."""
    gc.collect()
    began = time.perf_counter()
    results = [act(batch) for batch in work]
    return number / (time.perf_counter() - began), results


def record(batch: Sequence[msgspec.Raw], site: Site) -> records.Receipt:
    """The product's verb, as its API calls it."""
    return usage.record(batch=batch, gateway=site.gateway, now=datetime.now(UTC))


def decoded(raw: Batches) -> list[list[records.UsageEvent]]:
    """The events of batches, read."""
    decoder = msgspec.json.Decoder(records.UsageEvent)
    return [[decoder.decode(one) for one in batch] for batch in raw]


def bulk_create(batch: Sequence[records.UsageEvent], site: Site) -> None:
    """The peer: what a Django project would write."""
    now = datetime.now(UTC)
    with transaction.atomic():
        UsageEvent.objects.bulk_create(
            [
                UsageEvent(
                    id=one.id,
                    decision_id=one.decision,
                    attempt=one.attempt,
                    occurred_at=one.occurred_at,
                    recorded_at=now,
                    booked_at=one.occurred_at,
                    clock="ok",
                    gateway_id=site.gateway.id,
                    workflow_id=one.workflow,
                    environment_id=one.environment,
                    key_id=one.key,
                    step=one.step,
                    run=one.run,
                    endpoint_id=one.endpoint,
                    model=one.model,
                    tier=one.tier,
                    model_requested=one.model_requested,
                    model_served=one.model_served,
                    outcome=one.outcome,
                    kept=one.kept,
                    http_status=one.http_status,
                    error=one.error,
                    input_tokens=one.input_tokens,
                    cache_read_tokens=one.cache_read_tokens,
                    cache_write_tokens=one.cache_write_tokens,
                    output_tokens=one.output_tokens,
                    usage_quality=one.usage_quality,
                    latency_ms=one.latency_ms,
                    first_byte_ms=one.first_byte_ms,
                    provider_request_id=one.provider_request_id,
                    tags=one.tags,
                )
                for one in batch
            ],
            ignore_conflicts=True,
        )


def fold_all() -> float:
    """Fold all that is queued; events a second."""
    machine.say("folding")
    began = time.perf_counter()
    taken = rollups.fold_all(zone=ZoneInfo(settings.REPORTING_TIME_ZONE))
    return taken / (time.perf_counter() - began)


def measures(rates: dict[str, float], folded: float) -> list[Measure]:
    """What the goals say of ingest and fold, in events a second."""
    peer = "Django bulk_create(ignore_conflicts), the event alone"
    unit = "events/s"
    return [
        Measure(
            measure="ledger.ingest_vs_django",
            title="idempotent ingest on one connection, goal 3 x Django",
            value=rates["usage.record"],
            unit=unit,
            goal=3 * rates["bulk_create"],
            at_least=True,
            peer=peer,
            peer_value=rates["bulk_create"],
        ),
        Measure(
            measure="ledger.ingest",
            title="the same against the absolute goal",
            value=rates["usage.record"],
            unit=unit,
            goal=20_000,
            at_least=True,
        ),
        Measure(
            measure="ledger.repeats",
            title="ingest of repeats alone",
            value=rates["usage.record, all repeats"],
            unit=unit,
            peer=peer,
            peer_value=rates["bulk_create, all repeats"],
        ),
        Measure(measure="ledger.fold", title="fold: priced, charged and summed", value=folded, unit=unit),
    ]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Void as error:
        sys.exit(f"nothing was measured: {error}")
