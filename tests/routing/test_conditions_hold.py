"""Conditions of admissions: what is measured suspends a model by itself, and gateways leave it out and say why."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import changes
from governance.models import Endpoint, Model, Suspension
from ledger import rollups
from routing import bundles, conditions, tasks
from smallfirst.engine import Facts, Signals, State, plan, read_snapshot
from tests.cast import Cast, approve, make_admission
from tests.ledger.reports import BERLIN, Site, site_of
from tests.pages import signed_in, text
from tests.routing.lab import Lab, alike, bring_home, make_lab, measured, row

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(installation_keys: None) -> Lab:
    """A live policy, and a step that is measured."""
    return make_lab()


@pytest.fixture
def site(lab: Lab) -> Site:
    """What reports about it."""
    return site_of(lab.cast)


def agree(cast: Cast, model: Model, **asked: Any) -> None:
    """Let a model be asked under these conditions."""
    changes.activate(change=approve(make_admission(cast, model, **asked), cast.owner), by=cast.lead)


def hold() -> int:
    """One turn."""
    now = timezone.now()
    return conditions.hold(now=now, today=now.astimezone(BERLIN).date())


def found() -> tuple[str, str, str]:
    """What the only suspension says."""
    made = Suspension.objects.get()
    return made.condition, made.figure, made.limit


def test_nothing_that_holds_or_was_not_measured_is_suspended(site: Site) -> None:
    cast = site.cast
    agree(cast, cast.models[0], cost="4", served_as=["lexicon"], score={**asked(cast), "at_least": 0.5})
    assert hold() == 0
    site.price()
    site.report([site.event()])
    rollups.fold_all(zone=BERLIN)
    assert hold() == 0
    assert not Suspension.objects.exists()


def test_what_costs_more_than_agreed_is_suspended_with_the_figure_and_the_page(site: Site) -> None:
    cast = site.cast
    agree(cast, cast.models[0], cost="3.99")
    site.price()
    site.report([site.event()])
    rollups.fold_all(zone=BERLIN)
    assert hold() == 1
    assert found() == (
        "cost",
        "USD 4.0000 for a million tokens, of 1,500 in 30 days",
        "USD 3.99 for a million tokens",
    )
    page = signed_in(cast.lead).get(Suspension.objects.get().evidence)
    assert page.status_code == 200
    assert hold() == 0


def test_another_model_that_answers_suspends_the_one_that_was_agreed(site: Site) -> None:
    cast = site.cast
    agree(cast, cast.models[0], served_as=["lexicon", "lexicon-2"])
    site.report([site.event(model_served="lexicon-2"), site.event(place=1, model_served="other")])
    assert hold() == 0
    told = site.event(model_served="lexicon-3")
    site.report([told])
    assert hold() == 1
    assert found() == ("served_as", "lexicon-3 answered", "lexicon or lexicon-2")
    assert Suspension.objects.get().evidence == reverse("request", args=[told["decision"]])


def test_answers_from_before_it_was_agreed_break_nothing(site: Site) -> None:
    site.report([site.event(at=timezone.now() - timedelta(minutes=5), model_served="other")])
    agree(site.cast, site.cast.models[0], served_as=["lexicon"])
    assert hold() == 0


def asked(cast: Cast) -> dict[str, Any]:
    """The step that is measured."""
    return {"workflow": cast.workflow.slug, "step": "sentiment"}


def test_what_scores_less_than_agreed_is_suspended(lab: Lab) -> None:
    cast = lab.cast
    agree(cast, cast.models[0], score={**asked(cast), "at_least": 0.6})
    answers = [{"label": "positive", "confidence": 0.9}, {"label": "negative", "confidence": 0.4}]
    evaluation = measured(lab, [row("Fine"), row("So so")], alike(answers))
    bring_home()
    assert hold() == 1
    assert found() == ("score", "1 of 2 right (50.0%)", "60.0% of sentiment right")
    assert Suspension.objects.get().evidence == reverse("evaluation", args=[evaluation.pk])


def test_another_licence_suspends(lab: Lab) -> None:
    model = lab.cast.models[0]
    agree(lab.cast, model, cost="4")
    Model.objects.filter(pk=model.pk).update(licence="Proprietary")
    assert hold() == 1
    assert found() == ("licence", "Proprietary", "Apache-2.0")


def test_gateways_are_sent_no_endpoint_of_it_and_say_why_they_leave_it_out(lab: Lab) -> None:
    cast, today = lab.cast, timezone.localdate()
    before = bundles.current(cast.production, now=timezone.now())
    agree(cast, cast.models[0], valid_until=today.isoformat())
    tasks.hold_conditions()
    assert not Suspension.objects.exists()
    conditions.hold(now=timezone.now(), today=today + timedelta(days=1))
    after = bundles.current(cast.production, now=timezone.now())
    assert after.serial > before.serial
    snapshot = read_snapshot(after.snapshot.text.encode())
    assert snapshot.served["lexicon"] == ()
    assert Endpoint.objects.filter(version__model=cast.models[0], active=True).exists()
    facts = Facts(workflow=str(cast.workflow.pk), step="sentiment", max_output_tokens=1)
    planned = plan(facts, Signals(), State(), snapshot)
    (left,) = [each for each in planned.left_out if each.model == "lexicon"]
    assert left.clause == "suspended"
    assert left.text.startswith("it is suspended in this environment (its time is over: it is ")

    page = text(signed_in(cast.owner).get(reverse("model", args=["lexicon"])))
    for said in ("Where it may be asked", "suspended", "Its time is over.", "Attest it anew"):
        assert said in page
