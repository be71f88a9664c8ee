"""Simulations as pages: the list and its file, one of them, and asking what another policy would have done."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import accounts, changes, policies
from governance.errors import InvalidInput
from governance.models import AuditEvent, Check, PolicyHead
from routing import simulating, simulations, tallies
from routing.models import Simulation
from tests.cast import approve, make_change, make_document, make_workflow
from tests.pages import file, signed_in, text
from tests.routing.asked import Shop, make_shop
from tests.routing.simulating import simulate

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(installation_keys: None) -> Shop:
    """Kept from 0.8; one request was answered at once, one by the second model."""
    shop = make_shop()
    shop.ask(0.9)
    shop.ask(0.6, 0.9)
    return shop


def ask(shop: Shop, keep_from: float = 0.55, **given: Any) -> Simulation:
    """What if answers were kept from there?"""
    facts: dict[str, Any] = {
        "workflow": shop.cast.workflow,
        "environment": shop.cast.production,
        "document": make_document(keep_from),
        "mode": "enforce",
        "by": shop.cast.integrator,
        "now": timezone.now(),
    }
    return simulations.ask(**(facts | given))


def test_what_if_is_nobodys_change(shop: Shop) -> None:
    made = ask(shop)
    assert simulating.work()
    made.refresh_from_db()
    found = tallies.read(made.result)
    assert (found.revision, found.candidate.number, found.requests) == (None, None, 2)
    assert found.steps["sentiment"].after.ends == {"small": 2}
    assert not Check.objects.exists()
    assert PolicyHead.objects.get().version.number == 1


def test_what_cannot_be_asked_is_refused_and_nothing_is_written(shop: Shop) -> None:
    before = (Simulation.objects.count(), AuditEvent.objects.count())
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"document": {"format": 1}}, policies.InvalidPolicy),
        ({"mode": "guess"}, InvalidInput),
        ({"days": 0}, InvalidInput),
        ({"by": shop.cast.finance}, accounts.NotPermitted),
        ({"by": shop.cast.stranger}, accounts.NotPermitted),
    ]
    for given, error in wrong:
        with pytest.raises(error):
            ask(shop, **given)
    assert (Simulation.objects.count(), AuditEvent.objects.count()) == before
    ask(shop)
    with pytest.raises(simulations.AlreadyRunning):
        ask(shop, 0.6)
    ask(shop, by=shop.cast.owner)


def test_the_form_starts_from_a_version_and_leads_to_the_result(shop: Shop) -> None:
    page = signed_in(shop.cast.owner)
    address = reverse("simulation_new", args=[shop.cast.workflow.slug])
    assert 'name="step-0" value="0.8"' in page.get(address).content.decode()
    assert "keep_from&quot;: 0.8" in page.get(f"{address}?whole=1").content.decode()
    change = make_change(shop.cast, 0.7)
    assert 'name="step-0" value="0.7"' in page.get(f"{address}?version=2").content.decode()
    assert "keep_from&quot;: 0.7" in page.get(f"{address}?version=2&whole=1").content.decode()
    assert page.get(f"{address}?version=99").status_code == 404
    assert page.get(f"{address}?environment=nowhere").status_code == 404

    sent = {"text": json.dumps(make_document(0.55)), "mode": "enforce", "days": "7"}
    answer = page.post(address, sent)
    made = Simulation.objects.get(revision=None)
    assert answer["location"] == reverse("simulation", args=[made.pk])
    assert "0 of 2 requests decided again" in text(page.get(answer["location"]))
    while simulating.work():
        pass
    said = text(page.get(answer["location"]))
    assert "Of 2 requests whose end the past tells, 1 would have ended otherwise" in said
    assert "Version 1 The draft" in said
    progress = page.get(reverse("simulation_progress", args=[made.pk]))
    assert progress["HX-Refresh"] == "true"
    assert Simulation.objects.filter(revision=change.revision).exists()


FIELDS = {"step-0": "0.55", "mode": "enforce", "days": "7"}


def test_another_policy_is_written_in_the_fields_of_a_change(shop: Shop) -> None:
    page = signed_in(shop.cast.owner)
    address = reverse("simulation_new", args=[shop.cast.workflow.slug])
    typed = FIELDS | {"step-0-model-2": "", "step-0-when": "always", "guards-max_cost": "0.5", "guards-regions": "eu"}
    typed |= {"step-0-max_output_tokens": "400"}

    answer = page.post(address, typed)

    made = Simulation.objects.get()
    assert answer["location"] == reverse("simulation", args=[made.pk])
    (step,) = made.document["steps"]
    assert [rung["model"] for rung in step["ladder"]] == ["lexicon", "tf-idf"]
    assert (step["gate"]["keep_from"], step["review"]["when"]) == (0.55, "always")
    assert (made.document["guards"]["max_cost"], made.document["guards"]["regions"]) == ("0.5", ["eu"])
    assert made.days == 7


def test_what_was_typed_into_fields_goes_along_to_the_document(shop: Shop) -> None:
    page = signed_in(shop.cast.owner)
    address = reverse("simulation_new", args=[shop.cast.workflow.slug])
    shown = page.post(address, FIELDS | {"show": "whole"})
    assert shown.status_code == 200
    assert "keep_from&quot;: 0.55" in shown.content.decode()
    assert '<option value="7" selected>' in shown.content.decode()
    assert not Simulation.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"step-0": "2"}, "less than or equal to 1"),
        ({"step-0-deadline_ms": "0"}, "greater than or equal to 1"),
        ({"guards-max_cost": "much"}, "Enter a number"),
        ({"guards-hosting": "moon"}, "Not begun: the policy has"),
        ({"step-0-model-0": "gpt-9"}, "Select a valid choice"),
    ],
)
def test_what_was_typed_wrong_into_fields_is_said_and_stays(shop: Shop, wrong: dict[str, str], said: str) -> None:
    answer = signed_in(shop.cast.owner).post(
        reverse("simulation_new", args=[shop.cast.workflow.slug]), FIELDS | {"step-0-labels": "yes, no"} | wrong
    )
    assert answer.status_code == 422
    assert said in text(answer)
    assert 'value="yes, no"' in answer.content.decode()
    assert not Simulation.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"text": "{"}, "This is not JSON"),
        ({"text": '{"format": 1}'}, "Not begun: the policy has"),
        ({"days": "5"}, "Select a valid choice"),
        ({"mode": "guess"}, "Select a valid choice"),
    ],
)
def test_what_was_typed_wrong_is_said_and_stays(shop: Shop, wrong: dict[str, str], said: str) -> None:
    sent = {"text": json.dumps(make_document(0.55)), "mode": "enforce", "days": "7"} | wrong
    answer = signed_in(shop.cast.owner).post(reverse("simulation_new", args=[shop.cast.workflow.slug]), sent)
    assert answer.status_code == 422
    assert said in text(answer)
    assert not Simulation.objects.exists()


def test_where_nothing_is_live_there_is_nothing_to_ask(shop: Shop) -> None:
    new = make_workflow(shop.cast.team, shop.cast.owner, "new-one")
    page = signed_in(shop.cast.lead)
    said = page.get(reverse("simulations")).content.decode()
    assert reverse("simulation_new", args=[shop.cast.workflow.slug]) in said
    assert reverse("simulation_new", args=[new.slug]) not in said
    assert "Nothing is live" in text(page.get(reverse("simulation_new", args=[new.slug])))
    with pytest.raises(simulations.NothingToCompare):
        ask(shop, workflow=new)


def test_the_list_is_filtered_sorted_and_taken_along(shop: Shop) -> None:
    change = make_change(shop.cast, 0.7)
    simulate(change)
    draft = ask(shop)
    simulations.cancel(simulation=draft, by=shop.cast.owner, now=timezone.now())
    page, address = signed_in(shop.cast.auditor), reverse("simulations")
    said = text(page.get(address))
    assert f"change {change.number}" in said
    assert "what if" in said
    assert f"change {change.number}" not in text(page.get(f"{address}?of=draft"))
    assert "No simulation matches" in text(page.get(f"{address}?state=active"))
    assert page.get(f"{address}?sort=-requests&workflow={shop.cast.workflow.slug}").status_code == 200
    rows = file(page.get(f"{reverse('simulations_csv')}?of=change"))
    assert [(row["revision_change_number"], row["state"], row["told"]) for row in rows] == [
        (str(change.number), "done", "2")
    ]
    assert "cancelled this simulation" in text(page.get(reverse("simulation", args=[draft.pk])))
    assert file(signed_in(shop.cast.stranger).get(reverse("simulations_csv"))) == []


def test_one_of_a_change_leads_to_it_and_the_change_says_the_same(shop: Shop) -> None:
    change = make_change(shop.cast, 0.55)
    made = simulate(change)
    page = signed_in(shop.cast.finance)
    answer = page.get(reverse("simulation", args=[made.pk]))
    assert reverse("change", args=[change.pk]) in answer.content.decode()
    assert "Ask again" not in text(answer)
    changes.withdraw(change=change, by=shop.cast.integrator)
    assert page.get(reverse("simulation", args=[made.pk])).status_code == 200


def test_one_that_holds_no_longer_says_why_and_what_to_do(shop: Shop) -> None:
    made = ask(shop)
    assert simulating.work()
    made.refresh_from_db()
    page, address = signed_in(shop.cast.owner), reverse("simulation", args=[made.pk])
    assert "does not hold" not in text(page.get(address))
    assert made.ended_at is not None
    late = simulations.why_stale(made, now=made.ended_at + simulations.HOLDS)
    assert late.startswith("It held until ")
    assert late.endswith("are not in it: ask again.")

    change = make_change(shop.cast, 0.7)
    changes.activate(change=approve(change, shop.cast.owner), by=shop.cast.lead)
    said = text(page.get(address))
    assert "This simulation does not hold any more" in said
    assert "Version 2 is live in production by now, and this compares with version 1: ask again." in said


def test_one_of_a_change_is_stale_by_a_revision_and_a_record_once_the_change_has_ended(shop: Shop) -> None:
    change = make_change(shop.cast, 0.7)
    made = simulate(change)
    now = timezone.now()
    assert simulations.why_stale(Simulation.objects.for_list().get(pk=made.pk), now=now) == ""
    later = now + simulations.HOLDS + timedelta(days=1)
    said = simulations.why_stale(Simulation.objects.for_list().get(pk=made.pk), now=later)
    assert said.endswith("are not in it: simulate it anew.")
    changes.revise(change=change, document=make_document(0.6), by=shop.cast.integrator)
    said = simulations.why_stale(Simulation.objects.for_list().get(pk=made.pk), now=now)
    assert said == f"It is of an earlier revision of change {change.number}: simulate the present one."
    other = make_change(shop.cast, 0.75)
    of_other = simulate(other)
    changes.activate(change=approve(other, shop.cast.owner), by=shop.cast.lead)
    assert simulations.why_stale(Simulation.objects.for_list().get(pk=of_other.pk), now=later) == ""
