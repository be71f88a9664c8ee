"""The first day: what is to set up, in order, until the first request has come and a second person may vote."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import accounts
from governance.models import Endpoint, Role
from ledger import decisions, rollups
from ledger import setup as setting_up
from tests.cast import (
    BOOTSTRAP,
    make_change,
    make_environment,
    make_live,
    make_model,
    make_person,
    make_provider,
    make_team,
)
from tests.ledger.reports import BERLIN, make_site, raw
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db


def undone() -> list[str]:
    """The titles of what is left."""
    return [step.title for step in setting_up.steps(timezone.now()) if not step.done]


def lacking() -> tuple[Endpoint, ...]:
    """The endpoints that have no price though one is needed."""
    (step,) = (step for step in setting_up.steps(timezone.now()) if step.title == setting_up.COSTS)
    return step.lacking


def test_a_proposed_policy_needs_its_prices_and_no_others() -> None:
    site = make_site()
    make_change(site.cast, 0.6)
    elsewhere = make_model(
        "spare", "mid", site.cast.owner, site.cast.team, site.endpoint().provider, site.cast.production
    )
    assert elsewhere.name not in {each.version.model.name for each in lacking()}
    for place in range(3):
        site.price(place)
    assert lacking() == ()
    assert "What it costs" not in undone()


def test_a_price_that_begins_with_the_next_minute_is_one() -> None:
    site = make_site()
    make_change(site.cast, 0.6)
    soon = timezone.now() + timedelta(seconds=50)
    for place in range(3):
        site.price(place, valid_from=soon if place < 2 else soon + timedelta(minutes=2))
    assert len(lacking()) == 1


def test_an_empty_installation_begins_with_a_team() -> None:
    first = make_person("First", Role.LEAD)
    answer = signed_in(first).get(reverse("setup"))
    assert "0 of 9 done" in text(answer)
    assert re.search(r'aria-current="step"', answer.content.decode())
    assert undone()[0] == "A team"
    # A lead alone sees no accounts: the step is told, not linked.
    assert "an administrator does this" in text(answer)
    assert reverse("teams") not in answer.content.decode()
    accounts.grant(user=first, role="admin", by=BOOTSTRAP)
    assert reverse("teams") in signed_in(first).get(reverse("setup")).content.decode()
    make_team("Care")
    make_provider()
    assert undone()[0] == "A model and where it is served"
    home = signed_in(first).get(reverse("home"))
    assert reverse("setup") in home.content.decode()
    assert "Nothing is live yet: set it up first" in text(home)


def test_nothing_is_left_when_all_is_done() -> None:
    site = make_site()
    assert undone() == ["What it costs", "A live policy", "The first request"]
    assert {each.version.model.name for each in lacking()} == {"lexicon", "tf-idf", "smollm2"}
    site.price(0)
    make_live(site.cast)
    # Its ladder names three endpoints: a price of one is not what it costs.
    assert [each.version.model.name for each in lacking()] == ["smollm2", "tf-idf"]
    part = signed_in(site.cast.lead).get(reverse("setup"))
    assert "Without a price now: Smollm2 in production , Tf-Idf in production" in text(part)
    assert f"{reverse('model', args=['smollm2'])}#prices" in part.content.decode()
    site.price(1)
    site.price(2, valid_from=timezone.now() + timedelta(days=1))
    assert undone() == ["What it costs", "The first request"]
    site.price(2, valid_from=timezone.now())
    assert undone() == ["The first request"]
    decisions.record(batch=raw([site.decision()]), gateway=site.gateway, now=site.cast.workflow.created_at)
    rollups.fold_all(zone=BERLIN)
    assert undone() == []
    answer = signed_in(site.cast.lead).get(reverse("setup"))
    assert "Set up Smallfirst" not in text(answer)
    assert "Nothing is live yet" not in text(signed_in(site.cast.lead).get(reverse("home")))


def test_one_person_alone_is_told_that_a_second_is_missing() -> None:
    make_environment()
    make_person("First", Role.LEAD)
    assert "A second person who may vote" in undone()
    make_person("Second", Role.OWNER, make_team("Care"))
    assert "A second person who may vote" not in undone()
