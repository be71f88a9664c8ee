"""Approval rules in force: nothing becomes live without what they ask for, by a verb or round it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from governance import accounts, audit, changes, votes
from governance.models import AuditEvent, Change, ContentHead, PolicyHead, User, Vote
from governance.permissions import roles_with
from tests.cast import (
    Cast,
    approve,
    make_cast,
    make_change,
    make_document,
    make_environment,
    make_live,
    make_person,
    make_rules,
    serve,
)

pytestmark = pytest.mark.django_db


def group(*members: User) -> dict[str, Any]:
    """Legal, with these members."""
    return {"name": "legal", "title": "Legal", "members": [str(each.pk) for each in members]}


def round_the_verb(change: Change, cast: Cast) -> None:
    """Make a change live as one could from a shell: an audit event, the state and the head by hand."""
    with transaction.atomic():
        audit.record(action="changes.activate", actor=cast.lead, object=change, summary="Went round the verb")
        Change.objects.filter(pk=change.pk).update(state="approved")
        change.state, change.applied_at, change.applied_by = "applied", datetime.now(UTC), cast.lead
        change.save()
        head = {"version": change.revision.policy, "mode": change.revision.mode, "change": change}
        PolicyHead.objects.update_or_create(
            workflow=cast.workflow, environment=cast.production, defaults=head, create_defaults=head
        )


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({}, True),
        ({"environments": ["production"], "risks": ["limited"], "data_classes": ["internal"]}, True),
        ({"environments": ["production"], "risks": ["high"]}, False),
        ({"data_classes": ["confidential", "restricted"]}, False),
        ({"parts": ["gate"]}, True),
        ({"kinds": ["policy"]}, True),
        ({"kinds": ["workflow"]}, False),
        ({"kinds": ["workflow", "policy"], "parts": ["gate"]}, True),
        ({"parts": ["guards", "mode", "ladder"]}, False),
    ],
)
def test_a_rule_holds_for_the_changes_it_names(when: dict[str, Any], matches: bool) -> None:
    cast = make_cast()
    make_live(cast, 0.9)
    make_rules(cast, {"name": "This one", "when": when, "votes": 3}, {"name": "Every other", "votes": 2})
    change = make_change(cast, 0.8)
    needed = votes.requirement(change)
    assert (needed.rules, needed.votes) == ((("This one",), 3) if matches else (("Every other",), 2))


@pytest.mark.parametrize(
    ("moved", "mode", "parts"),
    [
        ({}, "observe", ["mode"]),
        ({"pin": "refuse"}, "enforce", ["pin"]),
        ({"guards": {"regions": ["eu"]}}, "enforce", ["guards"]),
        ({"rules": [{"name": "R", "then": {"review": True}}]}, "enforce", ["rules"]),
        ({"steps": "one more"}, "enforce", ["gate", "ladder", "limits", "review"]),
        ({"steps": "limits"}, "observe", ["limits", "mode"]),
    ],
)
def test_the_database_reads_from_the_documents_what_a_change_touches(
    moved: dict[str, Any], mode: str, parts: list[str]
) -> None:
    cast = make_cast()
    make_live(cast, 0.8)
    document = make_document(0.8) | {name: value for name, value in moved.items() if name != "steps"}
    if moved.get("steps") == "one more":
        document["steps"] = [*document["steps"], document["steps"][0] | {"name": "language"}]
    elif moved.get("steps") == "limits":
        document["steps"][0]["limits"] = {"deadline_ms": 1_000}
    change = changes.propose(
        workflow=cast.workflow,
        environment=cast.production,
        document=document,
        title="Other",
        note="",
        mode=mode,
        by=cast.lead,
    )
    revision = change.revision
    asked = [change.kind, change.workflow_id, change.environment_id]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT governance_facts(%s, %s, %s, %s, %s, %s)",
            [*asked, revision.base_version_id, revision.version_id, revision.mode],
        )
        (facts,) = cursor.fetchone() or ("{}",)
    assert json.loads(facts) == {
        "kind": "policy",
        "environments": ["production"],
        "least_votes": 1,
        "risk": "limited",
        "data_class": "internal",
        "parts": parts,
    }


def test_where_nobody_votes_a_change_goes_live_unless_its_rule_lets_it_rest_or_its_author_may_not() -> None:
    cast = make_cast()
    sandbox = make_environment("sandbox", votes_needed=0)
    for model in cast.models:
        serve(model, sandbox)
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": sandbox, "title": "Try", "note": ""}
    one = changes.propose(document=make_document(0.9), by=cast.integrator, **place)
    assert changes.proceed(change=one, by=cast.integrator).state == "approved"
    assert not PolicyHead.objects.exists()
    assert changes.proceed(change=one, by=cast.owner).state == "applied"
    make_rules(cast, {"name": "An hour", "when": {"environments": ["sandbox"]}, "votes": 0, "cool_off_minutes": 60})
    two = changes.propose(document=make_document(0.7), by=cast.owner, **place)
    assert changes.proceed(change=two, by=cast.owner).state == "approved"
    assert PolicyHead.objects.get().change == one


def test_an_environment_asks_for_its_own_votes_at_least() -> None:
    cast = make_cast()
    make_rules(cast, {"name": "Free", "votes": 0})
    change = make_change(cast)
    assert (change.state, votes.requirement(change).votes) == ("in_review", 1)


def test_votes_of_a_group_are_needed_whoever_else_approves() -> None:
    cast = make_cast()
    make_rules(cast, {"name": "Legal too", "groups": [{"group": "legal"}]}, groups=[group(cast.owner)])
    change = approve(approve(make_change(cast), cast.lead), cast.second_lead)
    assert change.state == "in_review"
    with pytest.raises(changes.NotApproved, match="2 of 1 votes, 0 of 1 from Legal"):
        changes.activate(change=change, by=cast.lead)
    with pytest.raises(IntegrityError, match="lacks votes of legal"):
        round_the_verb(Change.objects.get(pk=change.pk), cast)
    assert not PolicyHead.objects.exists()
    approved = approve(change, cast.owner)
    assert approved.state == "approved"
    assert changes.activate(change=approved, by=cast.lead).state == "applied"


def test_a_member_who_left_counts_no_more() -> None:
    cast = make_cast()
    make_rules(
        cast, {"name": "Legal too", "groups": [{"group": "legal"}]}, groups=[group(cast.owner, cast.second_lead)]
    )
    change = approve(approve(make_change(cast), cast.lead), cast.owner)
    accounts.deactivate(person=cast.owner, reason="Left", by=cast.admin)
    with pytest.raises(changes.NotApproved, match="0 of 1 from Legal"):
        changes.activate(change=change, by=cast.lead)
    assert not PolicyHead.objects.exists()


def test_a_rule_made_stricter_later_holds_and_one_made_looser_does_not_yet() -> None:
    cast = make_cast()
    make_rules(cast, {"name": "Two", "votes": 2})
    strict = approve(make_change(cast, 0.8), cast.owner)
    make_rules(cast, {"name": "One", "votes": 1})
    assert votes.requirement(strict).rules == ("One", "Two")
    with pytest.raises(changes.NotApproved, match="1 of 2 votes"):
        changes.activate(change=strict, by=cast.lead)

    loose = approve(make_change(cast, 0.7), cast.owner)
    assert loose.state == "approved"
    make_rules(cast, {"name": "Three", "votes": 3})
    with pytest.raises(changes.NotApproved, match="1 of 3 votes"):
        changes.activate(change=loose, by=cast.lead)
    assert not PolicyHead.objects.exists()

    # A new revision is written under the rule that holds now alone.
    make_rules(cast, {"name": "One", "votes": 1})
    revised = changes.revise(change=strict, document=make_document(0.85), by=cast.integrator)
    assert changes.activate(change=approve(revised, cast.owner), by=cast.lead).state == "applied"


def test_a_workflow_whose_risk_was_raised_is_asked_as_it_is_now() -> None:
    cast = make_cast()
    make_rules(cast, {"name": "High", "when": {"risks": ["high"]}, "votes": 2})
    change = approve(make_change(cast), cast.owner)
    assert change.state == "approved"
    _raise_risk(cast)
    with pytest.raises(changes.NotApproved, match="1 of 2 votes"):
        changes.activate(change=change, by=cast.lead)


def _raise_risk(cast: Cast) -> None:
    with transaction.atomic():
        audit.record(action="workflows.edit", actor=cast.lead, object=cast.workflow, summary="Raised its risk")
        cast.workflow.risk = "high"
        cast.workflow.save(update_fields=["risk"])


def test_a_change_rests_before_it_becomes_live() -> None:
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=2)):
        cast = make_cast()
        make_rules(cast, {"name": "An hour", "cool_off_minutes": 60})
        early = make_change(cast, 0.8)
    late = make_change(cast, 0.7)
    digest = late.revision.payload_digest
    voted = changes.vote(change=late, digest=digest, choice="approve", reason="", by=cast.owner)
    assert voted.state == "approved"
    with pytest.raises(changes.NotApproved, match="it rests until"):
        changes.activate(change=voted, by=cast.lead)
    with pytest.raises(IntegrityError, match="rests for 60 minutes"):
        round_the_verb(Change.objects.get(pk=late.pk), cast)
    assert not PolicyHead.objects.exists()
    assert changes.activate(change=approve(early, cast.owner), by=cast.lead).state == "applied"


def test_the_last_vote_on_a_change_that_rests_is_kept() -> None:
    cast = make_cast()
    make_rules(cast, {"name": "An hour", "cool_off_minutes": 60})
    change = make_change(cast)
    digest = change.revision.payload_digest
    voted = changes.vote(change=change, digest=digest, choice="approve", reason="", by=cast.owner, then_activate=True)
    assert voted.state == "approved"
    assert Vote.objects.filter(revision__change=change).count() == 1
    assert not PolicyHead.objects.exists()


def _freeze(start: timedelta, end: timedelta, *environments: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "name": "Christmas trade",
        "environments": list(environments),
        "start": (now + start).isoformat(),
        "end": (now + end).isoformat(),
    }


def test_in_a_freeze_no_policy_becomes_live_but_rules_do() -> None:
    cast = make_cast()
    make_rules(cast, freezes=[_freeze(timedelta(hours=-1), timedelta(hours=1), "production")])
    change = approve(make_change(cast), cast.owner)
    assert change.state == "approved"
    with pytest.raises(changes.NotApproved, match="Christmas trade lets nothing become live until"):
        changes.activate(change=change, by=cast.lead)
    with pytest.raises(IntegrityError, match="Christmas trade"):
        round_the_verb(Change.objects.get(pk=change.pk), cast)
    assert not PolicyHead.objects.exists()
    make_rules(cast, freezes=[_freeze(timedelta(hours=1), timedelta(hours=2))])
    assert changes.activate(change=change, by=cast.lead).state == "applied"


def test_a_change_expires_and_then_nobody_votes_on_it() -> None:
    with time_machine.travel(datetime.now(UTC) - timedelta(days=3)):
        cast = make_cast()
        make_rules(cast, {"name": "Two days", "expires_days": 2})
        old = make_change(cast, 0.8)
    young = make_change(cast, 0.7)
    with pytest.raises(changes.NotOpen, match="has expired"):
        approve(old, cast.owner)
    assert not Vote.objects.filter(revision__change=old).exists()
    assert changes.expire_due(now=datetime.now(UTC)) == 1
    assert changes.expire_due(now=datetime.now(UTC)) == 0
    assert Change.objects.get(pk=old.pk).state == "expired"
    assert AuditEvent.objects.about(old).filter(action="changes.expire", actor_id="change expiry").count() == 1
    assert approve(young, cast.owner).state == "approved"
    with pytest.raises(changes.NotOpen):
        changes.revise(change=old, document=make_document(0.6), by=cast.integrator)


def test_rules_need_two_people_who_had_no_hand_in_them_or_the_only_one_there_is() -> None:
    cast = make_cast()
    change = changes.propose_approval_rules(document={"rules": [{"name": "A"}]}, title="A", note="", by=cast.lead)
    with pytest.raises(changes.OwnHand):
        approve(change, cast.lead)
    assert votes.requirement(change).votes == 1
    make_person("Third lead", "lead")
    assert votes.requirement(change).votes == 2
    voted = approve(change, cast.second_lead)
    assert voted.state == "in_review"
    with pytest.raises(changes.NotApproved, match="1 of 2 votes"):
        changes.activate(change=voted, by=cast.lead)
    with pytest.raises(changes.NotApproved, match="somebody else may vote"):
        changes.activate(change=voted, by=cast.lead, single_handed=True)
    assert ContentHead.objects.get(kind="approval_rules").content is None


def test_who_is_alone_makes_rules_live_single_handed() -> None:
    only = make_person("Only", "lead")
    change = changes.propose_approval_rules(document={"rules": [{"name": "A"}]}, title="A", note="", by=only)
    applied = changes.activate(change=change, by=only, single_handed=True)
    assert applied.single_handed
    head = ContentHead.objects.select_related("content").get(kind="approval_rules")
    assert head.content is not None
    assert head.content.document["rules"][0]["name"] == "A"


def test_of_two_changes_of_the_rules_the_second_goes_stale() -> None:
    cast = make_cast()
    other = changes.propose_approval_rules(document={"rules": [{"name": "B"}]}, title="B", note="", by=cast.lead)
    make_rules(cast, {"name": "A"})
    other.refresh_from_db()
    assert other.state == "stale"
    with pytest.raises(changes.StaleBase):
        approve(other, cast.second_lead)
    with pytest.raises(changes.NothingChanges):
        make_rules(cast, {"name": "A"})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE governance_contenthead SET content_id = (SELECT id FROM governance_content LIMIT 1)",
        "DELETE FROM governance_contenthead",
        "UPDATE governance_content SET document = '{}'",
        "DELETE FROM governance_content",
    ],
)
def test_nobody_writes_rules_round_the_verbs(statement: str) -> None:
    cast = make_cast()
    make_rules(cast, {"name": "A"})
    changes.propose_approval_rules(document={"rules": [{"name": "B"}]}, title="B", note="", by=cast.lead)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{statement}; SET CONSTRAINTS ALL IMMEDIATE")


def test_the_database_knows_the_same_roles_that_vote() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname IN ('governance_voters', 'governance_decides')")
        bodies = [body for (body,) in cursor.fetchall()]
    roles = sorted(role.value for role in roles_with("changes.vote"))
    assert len(bodies) == 2
    for body in bodies:
        (said,) = re.findall(r"held\.role IN \(([^)]*)\)", body)
        assert sorted(re.findall(r"\w+", said)) == roles
