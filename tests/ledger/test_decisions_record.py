"""Decisions: stored once each, with all that a replay needs."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from ledger import decisions
from ledger.models import Decision
from smallfirst import records
from tests.cast import make_workflow
from tests.ledger.reports import Site, make_site, new_id, raw

pytestmark = pytest.mark.django_db


def record(site: Site, *sent: dict[str, Any], now: datetime | None = None) -> records.Receipt:
    """Record decisions as this gateway."""
    return decisions.record(batch=raw(sent), gateway=site.gateway, now=now or timezone.now())


def test_a_decision_is_stored_so_that_the_wire_record_can_be_had_back() -> None:
    site = make_site()
    sent = site.decision(outcome="person", kept_model=None, tier=None, review=new_id(timezone.now()))
    now = timezone.now()

    assert record(site, sent, now=now) == records.Receipt(accepted=1, repeated=0)

    row = Decision.objects.get()
    assert (str(row.id), row.recorded_at, row.gateway, row.key) == (sent["id"], now, site.gateway, site.key)
    wire = msgspec.convert(sent, records.Decision)
    had_back = {
        "id": str(row.id),
        "at": row.occurred_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "workflow": str(row.workflow_id),
        "environment": str(row.environment_id),
        "key": str(row.key_id),
        "review": str(row.review_id),
        "policy_version": row.policy_version_id,
        **{
            name: getattr(row, name)
            for name in ("step", "run", "facts", "signals", "state", "snapshot", "attempts", "outcome", "kept_model")
        },
        "tier": row.tier,
        "triage": row.triage,
    }
    assert msgspec.json.encode(msgspec.convert(had_back, records.Decision)) == msgspec.json.encode(wire)


def test_a_replayed_batch_changes_nothing() -> None:
    site = make_site()
    sent = [site.decision() for _ in range(5)]
    record(site, *sent)
    before = list(Decision.objects.order_by("id").values())

    assert record(site, *sent, *sent) == records.Receipt(accepted=0, repeated=10)
    assert list(Decision.objects.order_by("id").values()) == before


def test_faulty_decisions_are_named_and_the_others_stored() -> None:
    site = make_site()
    good = site.decision()
    other = make_workflow(site.cast.team, site.cast.owner, "other")
    faulty = [
        (site.decision(id="0188a1de-0000-4000-8000-000000000000"), "id"),
        (site.decision() | {"at": "2026-13-01T00:00:00.000000Z"}, "at"),
        (site.decision() | {"at": "2026-02-30T00:00:00.000000Z"}, "at"),
        (site.decision(snapshot="short"), "snapshot"),
        (site.decision(outcome="maybe"), "outcome"),
        (site.decision(signals={"text": "secret"}), "signals.text"),
        (site.decision(facts={"workflow": str(other.id)}), "facts.workflow"),
        (site.decision(workflow=str(other.id)), "workflow"),
        (site.decision(key=new_id(timezone.now())), "key"),
    ]

    receipt = record(site, good, *(sent for sent, _ in faulty))

    found = {each.id: each.field for each in receipt.refused}
    assert found == {sent["id"]: field for sent, field in faulty}
    assert receipt.accepted == 1
    assert [str(row.id) for row in Decision.objects.all()] == [good["id"]]
