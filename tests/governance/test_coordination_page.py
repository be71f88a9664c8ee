"""Coordination: its times are those of the changes, and every wait names whoever holds it up."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse

from governance import accounts, changes, coordination
from governance.models import Change, Model, Workflow
from tests.cast import Cast, approve, make_cast, make_change, make_document, make_live, make_rules, make_workflow
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def live_after(cast: Cast, hours: int, keep_from: float) -> None:
    """A change that became live so many hours after it was proposed, long enough ago for that."""
    proposed = NOW - timedelta(days=2)
    with time_machine.travel(proposed, tick=False):
        change = make_change(cast, keep_from)
    with time_machine.travel(proposed + timedelta(hours=hours), tick=False):
        changes.activate(change=approve(change, cast.owner), by=cast.lead)


def test_the_pace_is_the_median_and_the_ninetieth_percentile_of_what_became_live() -> None:
    with time_machine.travel(NOW - timedelta(days=3)):
        cast = make_cast()
    for number, hours in enumerate((1, 2, 3, 14)):
        live_after(cast, hours, 0.5 + number / 10)
    make_change(cast, 0.95)
    every, production = coordination.pace(Change.objects.all(), since=NOW - timedelta(days=90))
    assert (every.environment, production.environment) == ("", "production")
    assert every.count == 4
    assert every.median == timedelta(hours=2.5)
    assert every.p90 is not None
    # Between the third and the fourth of four, at 0.9 of the way from the first to the last.
    assert round(every.p90.total_seconds()) == round((3 + 0.7 * 11) * 3600)
    (none,) = coordination.pace(Change.objects.all(), since=NOW)
    assert (none.count, none.median) == (0, None)

    page = signed_in(cast.lead).get(reverse("coordination"))
    assert "Half of the changes were live within 2 hours of being proposed, 9 of 10 within 10 hours" in text(
        page
    ).replace("\xa0", " ")
    # What a number leads to counts the same.
    listed = signed_in(cast.lead).get(reverse("changes") + "?state=applied&environment=production&days=90")
    assert listed.context["page"].paginator.count == 4


def test_one_time_is_told_once() -> None:
    with time_machine.travel(NOW - timedelta(days=3)):
        cast = make_cast()
    for number in range(2):
        live_after(cast, 2, 0.5 + number / 10)
    page = text(signed_in(cast.lead).get(reverse("coordination"))).replace("\xa0", " ")
    assert "9 of 10 changes were live within 2 hours of being proposed" in page


def test_each_wait_names_who_holds_it_up() -> None:
    cast = make_cast()
    make_live(cast, 0.9)
    asked = make_change(cast, 0.8)
    approve(make_change(cast, 0.7), cast.owner)
    waits = {each.change.title: each for each in coordination.waiting(Change.objects.all(), most=10)}
    assert waits[asked.title].voters == ("Lead", "Owner", "Second lead")
    assert waits["Keep answers from 0.7"].otherwise == "to be activated"

    changes.vote(
        change=asked, digest=asked.revision.payload_digest, choice="request_changes", reason="Why?", by=cast.lead
    )
    changes.activate(change=Change.objects.get(title="Keep answers from 0.7"), by=cast.lead)
    (stale,) = coordination.waiting(Change.objects.all(), most=10)
    assert (stale.voters, stale.otherwise) == (
        (),
        "on Integrator, who has to revise it: another change became live before it",
    )
    changes.revise(change=asked, document=make_document(0.6), by=cast.lead)
    (again,) = coordination.waiting(Change.objects.all(), most=10)
    assert again.voters == ("Owner", "Second lead")
    rows = file(signed_in(cast.lead).get(reverse("coordination_csv")))
    assert [row["waits_on"] for row in rows] == ["Owner, Second lead"]


def test_what_lost_its_owner_is_named() -> None:
    cast = make_cast()
    assert coordination.ownerless(Workflow.objects.all(), Model.objects.all()) == []
    accounts.deactivate(person=cast.owner, reason="Left", by=cast.admin)
    page = text(signed_in(cast.lead).get(reverse("coordination")))
    assert "Customer feedback Owner may no longer sign in, and no deputy can" in page
    assert "Lexicon Owner may no longer sign in" in page


def test_guards_that_repeat_are_found_where_they_are_in_force() -> None:
    cast = make_cast()
    second = make_workflow(cast.team, cast.owner, "claims")
    third = make_workflow(cast.team, cast.owner, "orders")
    for workflow, guards in ((cast.workflow, {"regions": ["eu"]}), (second, {"regions": ["eu"]}), (third, {})):
        document = make_document() | {"guards": guards}
        change = changes.propose(
            workflow=workflow, environment=cast.production, document=document, title="First", note="", by=cast.lead
        )
        changes.activate(change=approve(change, cast.owner), by=cast.lead)
    (found,) = coordination.repeated(cast.lead)
    assert (found.guards, found.environment) == ({"regions": ["eu"]}, "production")
    assert [name for _slug, name in found.workflows] == ["Claims", "Customer feedback"]
    assert coordination.repeated(cast.stranger) == []
    assert "in production, by itself in each of Claims, Customer feedback" in " ".join(
        text(signed_in(cast.lead).get(reverse("coordination"))).replace(" ,", ",").split()
    )


def test_others_of_a_team_see_no_changes_of_another() -> None:
    cast = make_cast()
    make_live(cast, 0.9)
    make_change(cast, 0.8)
    make_rules(cast, {"name": "One"})
    page = signed_in(cast.stranger).get(reverse("coordination"))
    assert "No change became live in 90 days" in text(page)
    assert page.context["waiting"] == []
    assert page.context["ownerless"] == []
