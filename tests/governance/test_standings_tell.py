"""What a change needs and on whom it waits, in sentences."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import changes, votes
from governance.models import Change, Role
from governance.views.standings import conditions
from tests import cast as casting
from tests.governance.test_checks_required import check
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

GATES: dict[str, Any] = {"name": "Gates", "votes": 2, "groups": [{"group": "legal"}]}


@pytest.fixture
def cast() -> casting.Cast:
    """The cast, of whom lead, owner and second lead vote on what the integrator proposes."""
    return casting.make_cast()


def legal(*members: Any) -> dict[str, Any]:
    """The group that the rule names."""
    return {"name": "legal", "title": "Legal", "members": [str(each.pk) for each in members]}


def told(change: Change) -> list[tuple[str, bool]]:
    """Each condition of a change, by its words and whether it is so."""
    found = Change.objects.for_page().get(pk=change.pk)
    return [(each.text, each.met) for each in conditions(found, votes.standing(found), now=timezone.now())]


def test_without_a_rule_its_environment_asks_and_those_who_may_are_named(cast: casting.Cast) -> None:
    change = casting.make_change(cast)
    assert told(change) == [("Asked for in production: 0 of 1 vote; waits on Lead, Owner or Second lead", False)]
    casting.approve(change, cast.owner)
    assert told(change) == [("Asked for in production: 1 of 1 vote", True)]


def test_a_rule_and_its_groups_are_named_each_with_whom_it_waits_on(cast: casting.Cast) -> None:
    casting.make_rules(cast, GATES, groups=[legal(cast.owner)])
    change = casting.approve(casting.make_change(cast), cast.lead)
    assert told(change) == [
        ("Asked for by the rule “Gates”: 1 of 2 votes; waits on Owner or Second lead", False),
        ("Asked for by the rule “Gates”: 0 of 1 vote of the group “Legal”; waits on Owner", False),
    ]
    casting.approve(change, cast.owner)
    assert [met for _text, met in told(change)] == [True, True]


def test_who_had_a_hand_in_it_is_not_waited_on_and_nobody_is_said(cast: casting.Cast) -> None:
    casting.make_rules(cast, GATES, groups=[legal(cast.lead)])
    assert told(casting.make_change(cast, by=cast.lead)) == [
        ("Asked for by the rule “Gates”: 0 of 2 votes; waits on Owner and Second lead", False),
        ("Asked for by the rule “Gates”: 0 of 1 vote of the group “Legal”; nobody else of it may vote on this", False),
    ]


def test_of_many_who_may_it_is_said_how_many_they_are(cast: casting.Cast) -> None:
    for number in range(2):
        casting.make_person(f"Lead {number}", Role.LEAD)
    assert told(casting.make_change(cast)) == [
        ("Asked for in production: 0 of 1 vote; waits on 1 of the 5 who may", False)
    ]


def test_an_objection_stands_first_and_holds_it_up(cast: casting.Cast) -> None:
    change = casting.make_change(cast)
    digest = Change.objects.for_list().get(pk=change.pk).revision.payload_digest
    changes.vote(change=change, choice="request_changes", digest=digest, reason="Too low", by=cast.lead)
    assert told(change)[0] == ("Held up by Lead, who asked for changes", False)
    page = text(signed_in(cast.owner).get(reverse("change", args=[change.pk])))
    assert "Lead asked for changes just now “Too low”" in page


def test_a_simulation_is_asked_for_until_there_is_one_that_holds(cast: casting.Cast) -> None:
    casting.make_live(cast)
    casting.make_rules(cast, {"name": "Simulated", "votes": 1, "checks": ["simulation"]})
    change = casting.make_change(cast, 0.7)
    needs = "Asked for by the rule “Simulated”: a simulation that"
    assert told(change)[-1] == (f"{needs} holds. It has not been simulated yet: simulate it first", False)
    check(change)
    assert told(change)[-1] == (f"{needs} those who approve have seen; it holds", True)


def test_a_change_that_has_ended_waits_on_nobody(cast: casting.Cast) -> None:
    change = casting.make_change(cast)
    changes.withdraw(change=change, by=cast.integrator)
    assert told(change) == [("Asked for in production: 0 of 1 vote", False)]
    assert "not met" in text(signed_in(cast.owner).get(reverse("change", args=[change.pk])))
