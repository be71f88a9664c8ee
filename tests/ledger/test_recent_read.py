"""What came of a step's newest requests: counted by who answered, of one place and time, measuring left out."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from governance import accounts
from governance.audit import Service
from governance.models import ApiKey
from ledger import decisions, recent, rollups
from ledger.recent import quantile
from tests.ledger.reports import BERLIN, Site, make_site, raw

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    """A gateway that reports."""
    return make_site()


def report(site: Site, model: str | None, *places: int, latency_ms: int = 100, days: int = 0, **given: str) -> None:
    """A request that tried the models at these places of the ladder and was kept by the last, or went to a person."""
    at = timezone.now() - timedelta(days=days)
    decision = site.decision(at, outcome="kept" if model else "person", kept_model=model, **given)
    site.report(
        site.event(
            at,
            place,
            attempt=turn,
            decision=decision["id"],
            kept=model is not None and place == places[-1],
            latency_ms=latency_ms,
            **given,
        )
        for turn, place in enumerate(places)
    )
    assert decisions.record(batch=raw([decision]), gateway=site.gateway, now=timezone.now()).accepted == 1


def test_requests_are_counted_by_who_answered_with_all_their_attempts(site: Site) -> None:
    for place in (0, 1):
        site.price(place)
    report(site, "lexicon", 0)
    report(site, "lexicon", 0, latency_ms=300)
    report(site, "tf-idf", 0, 1, latency_ms=200)
    report(site, None, 0, 1)
    rollups.fold(zone=BERLIN)

    found = recent.of_steps(
        site.cast.workflow.pk, ["sentiment"], site.cast.production.pk, since=timezone.now() - timedelta(days=30)
    )["sentiment"]

    assert (found.n, found.bounded, dict(found.kept), found.person, found.failed) == (
        *(4, False, {"lexicon": 2, "tf-idf": 1}, 1, 0),
    )
    # 1,000 tokens in at USD 2 and 500 out at USD 8 for a million: USD 0.006 an attempt, six attempts.
    assert (found.cost_per_request, found.currency) == (Decimal("0.036") / 4, "USD")
    assert (found.latency_p50_ms, found.latency_p95_ms, found.share(found.person)) == (200, 400, 0.25)


def test_other_steps_older_ones_and_measuring_are_left_out(site: Site) -> None:
    key, _token = accounts.own_key(
        workflow=site.cast.workflow,
        environment=site.cast.production,
        purpose=ApiKey.Purpose.EVALUATION,
        by=Service("evaluations"),
    )
    report(site, "lexicon", 0)
    report(site, "lexicon", 0, days=31)
    report(site, "tf-idf", 1, key=str(key.pk))
    report(site, "smollm2", 2, step="language")

    found = recent.of_steps(
        site.cast.workflow.pk,
        ["sentiment", "language", "reply"],
        site.cast.production.pk,
        since=timezone.now() - timedelta(days=30),
    )

    kept = {step: dict(each.kept) for step, each in found.items()}
    assert kept == {"sentiment": {"lexicon": 1}, "language": {"smollm2": 1}, "reply": {}}


def test_the_newest_are_looked_at_and_that_is_said(site: Site) -> None:
    report(site, "tf-idf", 1, days=2)
    report(site, "lexicon", 0, days=1)
    report(site, "lexicon", 0)
    found = recent.of_steps(
        site.cast.workflow.pk,
        ["sentiment"],
        site.cast.production.pk,
        since=timezone.now() - timedelta(days=30),
        most=2,
    )["sentiment"]
    assert (found.n, found.bounded, dict(found.kept)) == (2, True, {"lexicon": 2})


def test_a_cost_is_said_only_where_every_attempt_is_priced_in_one_currency(site: Site) -> None:
    site.price(0)
    report(site, "lexicon", 0)
    report(site, "tf-idf", 0, 1)
    rollups.fold(zone=BERLIN)
    asked = (site.cast.workflow.pk, ["sentiment"], site.cast.production.pk)
    since = timezone.now() - timedelta(days=30)
    found = recent.of_steps(*asked, since=since)["sentiment"]
    assert (found.n, found.cost_per_request) == (2, Decimal("0.006"))
    site.price(2, currency="EUR")
    report(site, "smollm2", 2)
    rollups.fold(zone=BERLIN)
    assert recent.of_steps(*asked, since=since)["sentiment"].cost_per_request is None


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, 0), ([7], 0.95, 7), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95), ([1, 9], 0.95, 9)],
)
def test_a_quantile_is_one_of_the_values(values: list[int], share: float, found: int) -> None:
    assert quantile(values, share) == found
