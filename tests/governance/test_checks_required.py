"""Rules that ask for a simulation: nothing becomes live without one that holds, seen by those who approved."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from governance import appointments, changes, checks, votes
from governance.audit import Service
from governance.models import Change, Check, PolicyHead
from tests.at_once import while_held
from tests.cast import Cast, approve, make_cast, make_change, make_document, make_live, make_rules
from tests.governance.test_approval_rules_hold import round_the_verb
from tests.pages import signed_in, text

RULE = {"name": "Simulated", "votes": 1, "checks": ["simulation"]}


def asked(rule: dict[str, Any] = RULE) -> Cast:
    """A cast whose live policy keeps from 0.8, and whose rule asks for a simulation."""
    cast = make_cast()
    make_live(cast)
    make_rules(cast, rule)
    return cast


def check(change: Change, digest: str = "a", **given: Any) -> Check:
    """A simulation that holds, as routing writes it."""
    change = Change.objects.for_list().get(pk=change.pk)
    facts: dict[str, Any] = {
        "revision": change.revision,
        "kind": "simulation",
        "digest": digest * 64,
        "verdict": "passed",
        "base": change.revision.base_version,
        "valid_until": timezone.now() + timedelta(days=1),
        "by": Service("simulations"),
    }
    return checks.record(**(facts | given))


def yes(change: Change, cast: Cast, check: Check | None, **given: Any) -> Change:
    """The owner's approval, who saw this simulation."""
    change = Change.objects.for_list().get(pk=change.pk)
    facts: dict[str, Any] = {"digest": change.revision.payload_digest, "choice": "approve", "reason": ""}
    return changes.vote(change=change, by=cast.owner, simulation=check.digest if check else "", **(facts | given))


def live(cast: Cast) -> int:
    """The number of the live version."""
    return PolicyHead.objects.select_related("version").get(workflow=cast.workflow).version.number


@pytest.mark.django_db
def test_with_one_that_was_seen_the_last_vote_makes_it_live() -> None:
    cast = asked()
    change = make_change(cast, 0.7)
    assert votes.requirement(change).checks == ("simulation",)
    assert yes(change, cast, check(change), then_activate=True).state == "applied"
    assert live(cast) == 2


@pytest.mark.django_db
def test_without_one_it_does_not_become_live_by_verb_page_or_shell() -> None:
    cast = asked()
    change = make_change(cast, 0.7)
    voted = yes(change, cast, None, then_activate=True)
    assert voted.state == "in_review"
    (mine,) = votes.standing(voted).votes
    assert mine.why_not == "saw no simulation"
    said = "It has not been simulated yet: simulate it first"
    assert said in text(signed_in(cast.lead).get(f"/changes/{change.pk}/"))
    with pytest.raises(changes.NotApproved, match=said):
        changes.activate(change=change, by=cast.lead)
    with pytest.raises(IntegrityError, match="needs a simulation that holds: there is none"):
        round_the_verb(Change.objects.for_list().get(pk=change.pk), cast)
    assert live(cast) == 1


@pytest.mark.django_db
def test_an_approval_that_saw_an_earlier_one_counts_no_more() -> None:
    cast = asked()
    change = make_change(cast, 0.7)
    assert yes(change, cast, check(change)).state == "approved"
    newer = check(change, "b")
    (mine,) = votes.standing(change).votes
    assert mine.why_not == "saw an earlier simulation"
    with pytest.raises(changes.NotApproved, match=r"0 of 1 votes.*saw an earlier simulation: that counts no more"):
        changes.activate(change=change, by=cast.lead)
    with pytest.raises(IntegrityError, match="has 0 of 1 votes"):
        round_the_verb(Change.objects.for_list().get(pk=change.pk), cast)
    yes(change, cast, newer)
    changes.activate(change=change, by=cast.lead)
    assert live(cast) == 2


@pytest.mark.django_db
def test_each_way_to_go_stale_is_refused_in_its_own_words() -> None:
    cast = asked()
    change = make_change(cast, 0.7)
    yes(change, cast, check(change, valid_until=timezone.now() + timedelta(seconds=1)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1.05)")
    with pytest.raises(changes.NotApproved, match="is too old by now: simulate it anew"):
        changes.activate(change=change, by=cast.lead)
    with pytest.raises(IntegrityError, match="the newest is too old"):
        round_the_verb(Change.objects.for_list().get(pk=change.pk), cast)

    changes.revise(change=change, document=make_document(0.6), by=cast.integrator)
    with pytest.raises(changes.NotApproved, match="The simulation is of revision 1: simulate revision 2"):
        changes.activate(change=change, by=cast.lead)
    with pytest.raises(IntegrityError, match="the newest is of an earlier revision"):
        round_the_verb(Change.objects.for_list().get(pk=change.pk), cast)

    yes(change, cast, check(change))
    other = make_change(cast, 0.75)
    yes(other, cast, check(other), then_activate=True)
    assert checks.standing(change, "simulation").state == "moved"
    with pytest.raises(changes.StaleBase):
        changes.activate(change=change, by=cast.lead)
    assert live(cast) == PolicyHead.objects.get().version.number == other.revision.policy.number

    failed = make_change(cast, 0.5)
    yes(failed, cast, check(failed, verdict="failed"))
    with pytest.raises(changes.NotApproved, match="speaks against it"):
        changes.activate(change=failed, by=cast.lead)


@pytest.mark.django_db
def test_the_stricter_of_the_rule_then_and_now_holds() -> None:
    cast = asked({"name": "Plain", "votes": 1})
    before, change = make_change(cast, 0.6), make_change(cast, 0.7)
    approve(before, cast.owner)
    make_rules(cast, RULE)
    with pytest.raises(changes.NotApproved, match="asks for a simulation"):
        changes.activate(change=before, by=cast.lead)
    later = make_change(cast, 0.75)
    make_rules(cast, {"name": "Plain", "votes": 1})
    assert votes.requirement(later).checks == ("simulation",)
    assert votes.requirement(change).checks == ()
    changes.activate(change=approve(change, cast.owner), by=cast.lead)


@pytest.mark.django_db
def test_the_first_version_of_a_place_has_no_past_to_simulate() -> None:
    cast = make_cast()
    make_rules(cast, RULE)
    change = make_change(cast)
    assert votes.requirement(change).checks == ()
    changes.activate(change=approve(change, cast.owner), by=cast.lead)
    assert live(cast) == 1


@pytest.mark.django_db
def test_one_that_stops_holding_before_an_appointment_is_no_ground_for_it() -> None:
    cast = asked()
    change = make_change(cast, 0.7)
    yes(change, cast, check(change))
    digest = Change.objects.get(pk=change.pk).revision.payload_digest
    with pytest.raises(changes.NotApproved, match="choose an earlier moment"):
        appointments.appoint(change=change, digest=digest, at=timezone.now() + timedelta(days=2), by=cast.lead)
    at = timezone.now() + timedelta(hours=1)
    appointments.appoint(change=change, digest=digest, at=at, by=cast.lead)
    check(change, "b")
    assert appointments.keep_due(now=at) == 1
    change.refresh_from_db()
    assert change.state == "approved"
    assert "saw an earlier simulation" in change.appointments.get().why


@pytest.mark.django_db
def test_the_form_of_rules_offers_it() -> None:
    cast = asked()
    page = signed_in(cast.lead)
    assert "by a simulation that holds" in text(page.get("/approval-rules/"))
    answer = page.get("/approval-rules/change/").content.decode()
    assert 'name="rules-0-checks" value="simulation"' in answer


def test_of_two_activations_at_once_the_second_finds_its_simulation_moved(live_database: Any) -> None:
    cast = asked()
    first, second = make_change(cast, 0.7), make_change(cast, 0.6)
    for each in (first, second):
        yes(each, cast, check(each))

    outcome, waited = while_held(
        lambda: changes.activate(change=first, by=cast.lead), lambda: changes.activate(change=second, by=cast.lead)
    )

    assert waited
    assert isinstance(outcome, changes.StaleBase)
    assert live(cast) == first.revision.policy.number


def test_a_simulation_that_comes_in_while_it_becomes_live_is_counted_first_or_not_at_all(live_database: Any) -> None:
    cast = asked()
    change = make_change(cast, 0.7)
    yes(change, cast, check(change))

    outcome, waited = while_held(lambda: check(change, "b"), lambda: changes.activate(change=change, by=cast.lead))

    assert waited
    assert isinstance(outcome, changes.NotApproved)
    assert live(cast) == 1
    yes(change, cast, checks.newest(change.revision, "simulation"))

    outcome, waited = while_held(lambda: changes.activate(change=change, by=cast.lead), lambda: check(change, "c"))

    assert waited
    assert "has another content by now, or has ended" in str(outcome)
    assert live(cast) == 2
