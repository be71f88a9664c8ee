"""Approval rules as a document: what is wrong with it is named by place and fix, and nothing is written."""

from typing import Any

import msgspec
import pytest

from governance import accounts, approval_rules, changes
from governance.models import AuditEvent, Change, Content
from tests.cast import Cast, make_cast, make_rules

pytestmark = pytest.mark.django_db


def written() -> tuple[int, ...]:
    """What a refusal must leave as it was."""
    return tuple(each.objects.count() for each in (Change, Content, AuditEvent))


def legal(*members: Any) -> dict[str, Any]:
    """A group of these people."""
    return {"name": "legal", "title": "Legal", "members": [str(each.pk) for each in members]}


def test_every_default_is_written_out() -> None:
    make_cast()
    assert approval_rules.check({"rules": [{"name": "All"}]}) == {
        "format": 1,
        "groups": [],
        "rules": [
            {
                "name": "All",
                "when": {"kinds": [], "environments": [], "risks": [], "data_classes": [], "parts": []},
                "votes": 1,
                "groups": [],
                "cool_off_minutes": 0,
                "due_hours": None,
                "expires_days": None,
                "checks": [],
            }
        ],
        "freezes": [],
    }


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ({"rule": []}, "rule", "no such field"),
        ({"rules": [{"name": "A", "votes": "two"}]}, "rules[0].votes", "whole number"),
        ({"rules": [{"name": "A", "votes": 21}]}, "rules[0].votes", "<= 20"),
        ({"rules": [{"name": "A", "when": {"risks": ["none"]}}]}, "rules[0].when.risks[0]", "not allowed here"),
        (
            {"rules": [{"name": "A", "when": {"kinds": ["standard", "model"], "risks": ["high"]}}]},
            "rules[0].when.risks",
            "about no workflow",
        ),
        ({"rules": [{"name": "A"}, {"name": "A"}]}, "rules[1].name", "twice"),
        (
            {"rules": [{"name": "A", "when": {"kinds": [], "environments": ["moon"]}}]},
            "rules[0].when.environments",
            "no environment",
        ),
        ({"rules": [{"name": "A", "groups": [{"group": "legal"}]}]}, "rules[0].groups[0].group", "no group legal"),
        (
            {"freezes": [{"name": "F", "start": "2026-12-02T00:00:00Z", "end": "2026-12-01T00:00:00Z"}]},
            "freezes[0].end",
            "before it begins",
        ),
        ({"freezes": [{"name": "F", "start": "2026-12-02T00:00:00", "end": "2026-12-09T00:00:00Z"}]}, "", "timezone"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], path: str, message: str) -> None:
    cast = make_cast()
    before = written()
    with pytest.raises(approval_rules.InvalidApprovalRules, match=message) as refused:
        changes.propose_approval_rules(document=document, title="Rules", note="", by=cast.lead)
    assert path in [problem.path for problem in refused.value.problems] or not path
    assert written() == before


def test_a_group_has_members_who_can_vote_and_enough_of_them() -> None:
    cast = make_cast()
    asks = [{"name": "A", "votes": 2, "groups": [{"group": "legal", "votes": 2}]}]
    with pytest.raises(approval_rules.InvalidApprovalRules, match="Finance may vote on no change"):
        approval_rules.check({"groups": [legal(cast.finance)]})
    with pytest.raises(approval_rules.InvalidApprovalRules, match="legal has only 1 member"):
        approval_rules.check({"groups": [legal(cast.owner)], "rules": asks})
    with pytest.raises(approval_rules.InvalidApprovalRules, match="more votes than the rule"):
        approval_rules.check({"groups": [legal(cast.owner, cast.lead)], "rules": [asks[0] | {"votes": 1}]})
    assert approval_rules.check({"groups": [legal(cast.owner, cast.lead)], "rules": asks})


def test_a_document_with_everything_is_read_back_and_said_in_sentences() -> None:
    cast = make_cast()
    make_rules(
        cast,
        {
            "name": "High risk",
            "when": {"kinds": [], "environments": ["production"], "risks": ["high"], "parts": ["gate"]},
            "votes": 2,
            "groups": [{"group": "legal"}],
            "cool_off_minutes": 60,
            "expires_days": 14,
        },
        groups=[legal(cast.owner)],
        freezes=[{"name": "Christmas", "start": "2030-12-20T00:00:00Z", "end": "2031-01-02T00:00:00+01:00"}],
    )
    (said,) = approval_rules.sentences([msgspec.to_builtins(approval_rules.live())])
    assert list(said.values()) == [
        "1. High risk: 2 votes, 1 of them from Legal, after a rest of 60 minutes, within 14 days for changes of gates "
        "in production where the risk is high.",
        "Legal: Owner.",
        "Christmas: nothing becomes live in any environment from 20 December 2030 00:00 UTC to "
        "1 January 2031 23:00 UTC.",
    ]


@pytest.mark.parametrize("who", ["owner", "integrator", "reviewer", "finance", "auditor", "admin", "stranger"])
def test_who_proposes_nothing_for_the_organisation_proposes_no_rules(who: str) -> None:
    cast: Cast = make_cast()
    before = written()
    with pytest.raises(accounts.NotPermitted):
        changes.propose_approval_rules(document={"rules": [{"name": "A"}]}, title="Rules", note="", by=cast.people[who])
    assert written() == before
