"""Brings the recorded days into the ledger, by the doors that gateways use; as often as you like."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings

from demo.recorded import world
from demo.recorded.history import STORIES, Place, Told, requests, tell
from governance.models import Environment, Gateway, Workflow
from ledger import decisions, rollups, usage
from ledger.models import Decision
from routing import bundles
from smallfirst import engine
from smallfirst.engine import read_snapshot
from smallfirst.records import Receipt

BATCH = 1_000

Say = Callable[[str], None]


def run(*, now: datetime, say: Say) -> int:
    """Store what is not stored yet of the recorded days, and price it; return how many requests that were.

    The days end with the one on which the workflow's key of recordings was made, so that a later run finds its own ids
    again. Each request is stored with its attempts in batches; one that was broken off goes on where it stopped.
    """
    environment = Environment.objects.get(name=world.ENVIRONMENT)
    gateway = Gateway.objects.get(name=world.GATEWAY)
    stored = 0
    for story in STORIES:
        workflow = Workflow.objects.get(slug=story.slug)
        key = world.key_of(workflow)
        if key is None:
            raise LookupError(f"{workflow.name} has no key of recordings: run demo_seed first")
        every = list(requests(story, until=key.created_at, days=world.DAYS))
        if Decision.objects.filter(workflow=workflow, environment=environment).count() >= len(every):
            continue
        snapshot = read_snapshot(bundles.current(environment, now=now).snapshot.text.encode())
        place = Place(str(workflow.pk), str(environment.pk), str(key.pk), snapshot)
        told = (tell(request, story, place) for request in every)
        for batch in batched(told, BATCH):
            stored += _store(batch, gateway, now)
            say(f"recorded {workflow.name} up to {batch[-1].decision.at[:10]}")
    rollups.fold_all(zone=ZoneInfo(settings.REPORTING_TIME_ZONE))
    return stored


def batched(told: Iterator[Told], size: int) -> Iterator[tuple[Told, ...]]:
    """The requests in parts of at most this size."""
    while part := tuple(itertools.islice(told, size)):
        yield part


def _store(batch: tuple[Told, ...], gateway: Gateway, now: datetime) -> int:
    events = [msgspec.Raw(msgspec.json.encode(event)) for told in batch for event in told.events]
    _require_all(usage.record(batch=events, gateway=gateway, now=now))
    # The decision last: what has one has its attempts.
    decided = [msgspec.Raw(engine.encode(told.decision)) for told in batch]
    receipt = decisions.record(batch=decided, gateway=gateway, now=now)
    _require_all(receipt)
    return receipt.accepted


def _require_all(receipt: Receipt) -> None:
    if receipt.refused:
        raise ValueError(f"the ledger refused a recorded request: {receipt.refused[0]}")
