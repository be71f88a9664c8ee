"""The SDK against the real control plane: its policy, its people, its ledger."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from governance import accounts, changes, reviews
from governance.models import AuditEvent, Gateway, Review
from ledger import decisions
from ledger.models import Decision, UsageEvent
from routing import keys
from routing.models import Snapshot
from smallfirst import Smallfirst, engine
from smallfirst.client import InvalidKey
from tests.cast import approve, make_cast, make_change, make_key, make_live
from tests.client.shop import open_review, wait_for
from tests.conftest import LiveDatabase
from tests.gateway.world import wait

pytestmark = pytest.mark.usefixtures("installation_keys")

TEXT = [{"role": "user", "content": "Is this lamp any good?"}]
SURE: dict[str, Any] = {"confidence": 0.95, "text": "positive", "stop_reason": "stop", "input_tokens": 9}


def live_version(sf: Smallfirst) -> int | None:
    """The number of the policy version that the next request is decided by."""
    version = sf.decide(step="sentiment").plan.policy_version
    return version.number if version else None


def test_from_the_first_fetch_to_the_last_word(live_database: LiveDatabase, live_site: str, tmp_path: Path) -> None:
    cast = make_cast()
    make_live(cast, 0.8)
    key, token = make_key(cast)
    root = keys.root_public_key(Path(settings.KEYS))
    sf = Smallfirst(
        live_site, token, root_key=root, state_dir=tmp_path, bundle_seconds=0.1, state_seconds=0.1, raises=True
    )
    try:
        # An answer that is sure enough.
        kept = sf.decide(step="sentiment", messages=TEXT, run="r-1", tags={"shop": "north"})
        assert kept.next(**SURE, output_tokens=1) == "keep"
        sf.report(kept)

        # One that a person must give.
        unsure = sf.decide(step="sentiment", messages=TEXT)
        while unsure.action == "ask":
            unsure.next(**SURE | {"confidence": 0.3}, output_tokens=1)
        review = open_review(sf, unsure, context=[{"label": "Order", "text": "one lamp"}])
        wait(lambda: Review.objects.filter(pk=review.id).exists())
        held = reviews.claim(review=Review.objects.get(pk=review.id), by=cast.reviewer, now=timezone.now())
        reviews.answer(
            review=held, token=held.claim_token, answer={"label": "negative"}, by=cast.reviewer, now=timezone.now()
        )
        told = wait_for(sf, review)
        assert told.outcome is not None
        assert (told.outcome.by, told.outcome.answer) == ("person", {"label": "negative"})
        assert sf.flush(30)

        # The ledger has both, and each can be decided again from what it holds, byte for byte.
        assert Decision.objects.count() == 2
        for row in Decision.objects.all():
            snapshot = engine.read_snapshot(Snapshot.objects.get(digest=row.snapshot).text.encode())
            assert engine.encode(engine.replay(decisions.wire(row), snapshot)) == engine.encode(decisions.wire(row))
        assert set(UsageEvent.objects.values_list("key_id", flat=True)) == {key.pk}
        assert UsageEvent.objects.filter(kept=True).count() == 1
        assert Gateway.objects.get().key == key
        assert Review.objects.get().delivered_at is not None
        assert sf.status()["spool"]["refused_records"] == 0

        # People approve a lower threshold: the same answer is now kept.
        changes.activate(change=approve(make_change(cast, 0.25), cast.owner), by=cast.lead)
        wait(lambda: live_version(sf) == 2)
        assert sf.decide(step="sentiment").next(**SURE | {"confidence": 0.3}) == "keep"

        accounts.revoke_key(key=key, by=cast.integrator)
        wait(lambda: sf.status()["key"] == "turned away")
        with pytest.raises(InvalidKey):
            sf.decide(step="sentiment")
        acts = set(AuditEvent.objects.about(Gateway.objects.get()).values_list("action", flat=True))
        assert acts == {"gateways.register"}
    finally:
        sf.close(1)
