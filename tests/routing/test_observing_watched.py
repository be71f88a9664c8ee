"""What an observed policy would have cost: counted requests, measured keep rates, today's prices, and honest gaps."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import changes
from governance.models import Change, PolicyHead
from ledger import decisions, rollups
from routing import evaluations, observing
from routing.intervals import wilson
from routing.models import Evaluation
from routing.observing import Beyond, Compared, Rate, Share, Watched, expected
from tests.cast import approve, make_document
from tests.ledger.reports import BERLIN, Site, make_site, raw
from tests.pages import COUNT, Links, signed_in, text
from tests.routing.lab import LADDER, Lab, bring_home, lab_of, measured, row
from tests.routing.test_evaluations_score import said

pytestmark = pytest.mark.django_db

CHEAP, DEAR = Rate("USD", Decimal(2), Decimal(8)), Rate("USD", Decimal(20), Decimal(80))
RATES = {"lexicon": CHEAP, "tf-idf": CHEAP, "smollm2": DEAR}
KEEPS = {"lexicon": Share(4, 3), "tf-idf": Share(1, 1)}
TOKENS = (1_000, 500)
# By the lexicon three, one of them wrongly; by tf-idf the fourth; smollm2 alone has all right.
ANSWERS = {
    "lexicon": [said("positive"), said("positive"), said("negative"), said("positive", 0.1)],
    "tf-idf": [said("positive")] * 4,
    "smollm2": [said("positive")] * 4,
}


@pytest.fixture
def site(installation_keys: None) -> Site:
    """The cast with a gateway that reports, and a price for every model: smollm2 takes ten times as much."""
    made = make_site()
    for place in (0, 1):
        made.price(place)
    made.price(2, input=Decimal(20), output=Decimal(80))
    return made


@pytest.fixture
def lab(site: Site) -> Lab:
    """A step whose live policy only observes."""
    made = lab_of(site.cast)
    watch(made, make_document(0.8))
    return made


@pytest.fixture
def done(lab: Lab) -> Evaluation:
    """An evaluation of that step."""
    evaluation = measured(lab, [row(each) for each in "abcd"], ANSWERS)
    bring_home()
    return Evaluation.objects.for_list().get(pk=evaluation.pk)


def watch(lab: Lab, document: dict[str, Any]) -> None:
    """Make a policy live that only observes."""
    change = changes.propose(
        mode="observe",
        workflow=lab.cast.workflow,
        environment=lab.production,
        document=document,
        title="Watch first",
        note="To see what it would save",
        by=lab.cast.integrator,
    )
    change = approve(change, lab.cast.owner)
    changes.activate(change=Change.objects.for_list().get(pk=change.pk), by=lab.cast.lead)


def ask(
    site: Site,
    *ladder: str,
    model: str = "smollm2",
    place: int = 2,
    days: int = 0,
    step: str = "sentiment",
    outcome: str = "kept",
    **given: Any,
) -> None:
    """A request that a named model answered, while the policy would have begun on this ladder or, of none, refused."""
    at = timezone.now() - timedelta(days=days)
    tiers = dict(zip(LADDER, ("small", "mid", "frontier"), strict=True))
    start = {"model": ladder[0], "tier": tiers[ladder[0]], "ladder": list(ladder), "clause": None} if ladder else None
    kept = {"kept_model": model, "tier": "frontier"} if outcome == "kept" else {"kept_model": None, "tier": None}
    decision = site.decision(
        at,
        step=step,
        facts={"workflow": str(site.cast.workflow.pk), "step": step, "model": model},
        observed=start or {"model": None, "tier": None, "ladder": [], "clause": "rule"},
        outcome=outcome,
        **kept,
    )
    site.report([site.event(at, place, decision=decision["id"], step=step, kept=outcome == "kept", **given)])
    receipt = decisions.record(batch=raw([decision]), gateway=site.gateway, now=timezone.now())
    assert receipt.accepted == 1, receipt


def watched(lab: Lab) -> Watched:
    """What came of the last thirty days."""
    rollups.fold(zone=BERLIN)
    now = timezone.now()
    head = PolicyHead.objects.select_related("workflow", "environment", "version").get(
        workflow=lab.cast.workflow, environment=lab.production
    )
    return observing.watched(head, since=now - timedelta(days=30), now=now)


def test_each_rung_costs_as_often_as_it_is_reached() -> None:
    would = expected(LADDER, TOKENS, KEEPS, RATES, "USD")
    assert would is not None
    # USD 0.006 for the lexicon, for a quarter as much again for tf-idf, which keeps all it is asked.
    assert (would.cost, would.person) == (Decimal("0.0075"), 0.0)
    lexicon, tfidf = wilson(3, 4), wilson(1, 1)
    assert lexicon is not None
    assert tfidf is not None
    assert float(would.least) == pytest.approx(0.006 + (1 - lexicon[1]) * 0.006)
    # At most, what tf-idf does not keep goes on to smollm2.
    past = (1 - lexicon[0]) * (1 - tfidf[0])
    assert float(would.most) == pytest.approx(0.006 + (1 - lexicon[0]) * 0.006 + past * 0.06)


def test_what_no_rung_keeps_goes_to_a_person() -> None:
    would = expected(["lexicon", "tf-idf"], TOKENS, {"lexicon": Share(4, 2), "tf-idf": Share(2, 1)}, RATES, "USD")
    assert would is not None
    assert (would.cost, would.person) == (Decimal("0.009"), 0.25)


def test_a_rung_that_nothing_reached_is_taken_to_keep_nothing() -> None:
    would = expected(["lexicon", "tf-idf", "smollm2"], TOKENS, {"lexicon": Share(4, 2)}, RATES, "USD")
    assert would is not None
    assert would.cost == Decimal("0.006") + Decimal("0.003") + Decimal("0.03")
    low, high = wilson(2, 4) or (0, 0)
    assert float(would.least) == pytest.approx(0.006 + (1 - high) * 0.006)
    assert float(would.most) == pytest.approx(0.006 + (1 - low) * 0.066)


@pytest.mark.parametrize(
    ("ladder", "keeps", "rates", "currency"),
    [
        ([], KEEPS, RATES, "USD"),
        (["smollm2"], KEEPS, RATES, "USD"),
        (LADDER, KEEPS, {"lexicon": CHEAP, "tf-idf": CHEAP}, "USD"),
        (LADDER, KEEPS, RATES, "EUR"),
    ],
)
def test_what_was_not_measured_or_has_no_price_is_not_guessed(
    ladder: list[str], keeps: dict[str, Share], rates: dict[str, Rate], currency: str
) -> None:
    assert expected(ladder, TOKENS, keeps, rates, currency) is None


def test_keep_rates_are_counted_where_a_rung_was_reached(lab: Lab, done: Evaluation) -> None:
    assert observing.keep_rates(evaluations.replayed(done)) == {"lexicon": Share(4, 3), "tf-idf": Share(1, 1)}


def test_observed_requests_are_paid_for_and_priced_anew(site: Site, lab: Lab, done: Evaluation) -> None:
    for _ in range(9):
        ask(site, *LADDER)
    ask(site, "tf-idf", "smollm2")

    found = watched(lab)

    (each,) = found.compared
    # Nine at USD 0.0075 on the whole ladder, one at 0.006 from tf-idf on; paid were ten at 0.06.
    assert (each.step, each.model, each.n, each.currency) == ("sentiment", "smollm2", 10, "USD")
    assert (each.paid, each.would, each.saved) == (Decimal("0.6"), Decimal("0.0735"), Decimal("0.5265"))
    assert each.saved_least < each.saved < each.saved_most
    assert (each.saved_least, each.saved_most) == (each.paid - each.most, each.paid - each.least)
    assert found.totals == [each]
    measured_by, replay = found.basis["sentiment"]
    assert (measured_by.evaluation, replay.correct, replay.judged) == (done, 3, 4)
    assert (found.n, found.refused, found.open, found.unmeasured, found.beyond) == (10, 0, 0, {}, {})


def test_the_keep_rates_are_those_of_the_policy_in_force(site: Site, lab: Lab, done: Evaluation) -> None:
    watch(lab, make_document(0.95))
    ask(site, *LADDER)
    (each,) = watched(lab).compared
    # Nothing is sure enough now: every rung is asked, then a person.
    assert (each.would, each.person) == (Decimal("0.072"), 1.0)
    assert each.saved < 0


def test_what_cannot_be_compared_is_counted_by_why(site: Site, lab: Lab, done: Evaluation) -> None:
    ask(site, *LADDER)
    ask(site)
    ask(site, *LADDER, input_tokens=None)
    ask(site, *LADDER, outcome="failed")
    ask(site, *LADDER, step="language")
    ask(site, "smollm2")
    ask(site, *LADDER, days=31)
    found = watched(lab)
    assert (found.n, found.refused, found.open, found.unmeasured) == (6, 1, 2, {"language": 1})
    assert found.beyond == {("sentiment", "USD"): Beyond("sentiment", "USD", 1, {("smollm2",)})}
    assert [(each.n, each.paid) for each in found.compared] == [(1, Decimal("0.06"))]


def test_requests_stand_by_the_model_they_asked_for(site: Site, lab: Lab, done: Evaluation) -> None:
    ask(site, *LADDER)
    ask(site, *LADDER, model="tf-idf", place=1)
    found = watched(lab)
    assert [(each.model, each.paid) for each in found.compared] == [
        *(("smollm2", Decimal("0.06")), ("tf-idf", Decimal("0.006"))),
    ]
    (total,) = found.totals
    assert (total.model, total.n, total.paid, total.would) == ("", 2, Decimal("0.066"), Decimal("0.015"))


def test_sums_keep_their_bounds_and_weigh_people_by_requests() -> None:
    one = Compared("a", "x", 1, "USD", Decimal(4), Decimal(2), Decimal(1), Decimal(3), 0.5)
    other = Compared("b", "x", 3, "USD", Decimal(8), Decimal(4), Decimal(2), Decimal(9), 0.1)
    total = observing.together([one, other])
    assert (total.step, total.model, total.n, total.saved, total.saved_least, total.saved_most) == (
        *("", "x", 4, Decimal(6), Decimal(0), Decimal(9)),
    )
    assert total.person == pytest.approx(0.2)


def part(lab: Lab, who: str = "owner") -> str:
    """The part of the workflow's page as a person reads it."""
    answer = signed_in(lab.cast.people[who]).get(reverse("observed_part", args=[lab.cast.workflow.slug]))
    assert answer.status_code == 200
    return text(answer).replace("\N{NO-BREAK SPACE}", " ")


def test_the_page_shows_the_saving_with_its_bounds_basis_and_quality(site: Site, lab: Lab, done: Evaluation) -> None:
    for _ in range(10):
        ask(site, *LADDER)
    rollups.fold(zone=BERLIN)
    page = signed_in(lab.cast.owner).get(reverse("workflow", args=[lab.cast.workflow.slug])).content.decode()
    assert f'hx-get="{reverse("observed_part", args=[lab.cast.workflow.slug])}"' in page
    assert "Enforce…" in page
    told = part(lab)
    assert "would have saved about USD 0.525" in told
    assert "for 10 of 10 observed requests" in told
    assert "4 labelled samples" in told
    assert "100 % (51 to 100) of all samples; 100 % (51 to 100) where the policy answers" in told
    assert "75 % (30 to 95) of the 4 samples that it answers" in told


def test_each_number_opens_the_requests_that_it_counts(site: Site, lab: Lab, done: Evaluation) -> None:
    for _ in range(3):
        ask(site, *LADDER)
    ask(site, "tf-idf", "smollm2")
    ask(site, *LADDER, model="tf-idf", place=1)
    for _ in range(2):
        ask(site)
    ask(site, *LADDER, input_tokens=None)
    ask(site, *LADDER, outcome="failed")
    ask(site, *LADDER, step="language")
    ask(site, "smollm2")
    ask(site, "smollm2", days=31)
    rollups.fold(zone=BERLIN)
    client = signed_in(lab.cast.owner)
    page = client.get(reverse("observed_part", args=[lab.cast.workflow.slug])).content.decode()

    counted = [(href, int(words)) for href, words in Links(page).links if COUNT.fullmatch(words)]

    assert sorted(number for _href, number in counted) == [1, 1, 1, 2, 2, 4, 4, 4, 5, 11]
    for href, number in counted:
        answer = client.get(href)
        # Requests that it counts, or samples that they are judged by.
        there = answer.context["total"] if "total" in answer.context else answer.context["page"].paginator.count
        assert (answer.status_code, there) == (200, number), href


def test_without_an_evaluation_nothing_is_said_but_what_to_do(site: Site, lab: Lab) -> None:
    assert "No request was observed yet" in part(lab)
    ask(site, *LADDER)
    rollups.fold(zone=BERLIN)
    told = part(lab)
    assert "Nothing can be said yet about 1 observed request." in told
    assert "it was never evaluated. Evaluate it on labelled samples." in told
    assert "USD" not in told
    assert "A workflow owner or governance lead evaluates it" in part(lab, "finance")


def test_where_the_policy_decides_nothing_is_observed(site: Site) -> None:
    lab = lab_of(site.cast)
    assert "the live policy decides" in part(lab)
    page = signed_in(lab.cast.owner).get(reverse("workflow", args=[lab.cast.workflow.slug])).content.decode()
    assert reverse("observed_part", args=[lab.cast.workflow.slug]) not in page


def test_the_asked_model_is_judged_where_the_policy_answers(lab: Lab, done: Evaluation) -> None:
    replay = evaluations.replayed(done, make_document(0.95))
    assert observing.right_beside(done, replay, "lexicon") is None
    replay = evaluations.replayed(done)
    assert observing.right_beside(done, replay, "lexicon") == Share(4, 3)
    assert observing.right_beside(done, replay, "smollm2") == Share(4, 4)
