"""Decisions: stored once each, with all that a replay needs."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from ledger import decisions
from ledger.models import Decision
from smallfirst import engine, records
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
    assert engine.encode(decisions.wire(row)) == engine.encode(msgspec.convert(sent, records.Decision))


PINNED = {"model": "minilm", "step": "sentiment"}
WOULD_START: dict[str, Any] = {"model": "lexicon", "tier": "small", "ladder": ["lexicon", "minilm"], "clause": None}
WOULD_REFUSE: dict[str, Any] = {"model": None, "tier": None, "ladder": [], "clause": "rule"}


@pytest.mark.parametrize("observed", [WOULD_START, WOULD_REFUSE, None])
def test_what_a_watched_policy_would_have_done_is_stored_to_be_summed(observed: dict[str, Any] | None) -> None:
    site = make_site()
    facts = PINNED | {"workflow": str(site.cast.workflow.id), "purpose": "trial"}
    sent = site.decision(facts=facts) | ({"observed": observed} if observed else {})

    assert record(site, sent).accepted == 1

    row = Decision.objects.get(mode="observe" if observed else "enforce")
    told = observed or {"model": None, "tier": None, "ladder": None, "clause": None}
    assert told == {name: getattr(row, f"observed_{name}") for name in told}
    assert engine.encode(decisions.wire(row)) == engine.encode(msgspec.convert(sent, records.Decision))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"observed": WOULD_START | {"tier": None}}, "observed.tier"),
        ({"observed": WOULD_START | {"clause": "rule"}}, "observed.clause"),
        ({"observed": WOULD_START | {"model": None}}, "observed.clause"),
        ({"observed": WOULD_START | {"ladder": ["minilm"]}}, "observed.ladder"),
        ({"observed": WOULD_REFUSE | {"ladder": ["minilm"]}}, "observed.ladder"),
        ({"observed": WOULD_REFUSE | {"clause": None}}, "observed.clause"),
        ({"observed": WOULD_START | {"saved": 3}}, "observed.saved"),
        ({"observed": WOULD_START, "model": "auto"}, "observed"),
        ({"observed": WOULD_START, "purpose": "evaluation"}, "observed"),
    ],
)
def test_what_a_watched_policy_cannot_have_done_is_refused_alone(changes: dict[str, Any], field: str) -> None:
    site = make_site()
    facts = PINNED | {"workflow": str(site.cast.workflow.id)}
    facts |= {name: value for name, value in changes.items() if name != "observed"}
    sent = site.decision(facts=facts) | {"observed": changes["observed"]}

    receipt = record(site, sent, site.decision())

    assert (receipt.accepted, [(one.id, one.field) for one in receipt.refused]) == (1, [(sent["id"], field)])
    assert Decision.objects.get().mode == "enforce"


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "dream"},
        {"mode": "observe"},
        {"observed_model": "lexicon"},
        {"mode": "observe", "observed_model": "lexicon", "observed_ladder": []},
        {"mode": "observe", "observed_clause": "rule", "observed_tier": "small", "observed_ladder": []},
    ],
)
def test_the_database_holds_no_half_observation(changes: dict[str, Any]) -> None:
    site = make_site()
    record(site, site.decision())
    row = Decision.objects.values().get() | {"id": new_id(timezone.now())} | changes

    with pytest.raises(IntegrityError, match="decision_observed_where_watched"), transaction.atomic():
        Decision.objects.create(**row)

    assert Decision.objects.count() == 1


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
