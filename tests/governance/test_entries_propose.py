"""Entries of workflows: written while nothing rests on them, then changed by changes, which the database counts."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from governance import accounts, audit, changes, entries, votes, workflows
from governance.models import AuditEvent, Change, Content, ContentHead, PolicyHead, Workflow
from tests.cast import (
    Cast,
    approve,
    make_cast,
    make_change,
    make_document,
    make_entry,
    make_environment,
    make_live,
    make_rules,
    serve,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody, and a policy that is live."""
    made = make_cast()
    make_live(made)
    return made


def held(cast: Cast) -> Workflow:
    """The workflow as it stands."""
    return Workflow.objects.get(pk=cast.workflow.pk)


def numbers(change: Change) -> tuple[int, int]:
    """From which version of what it changes to which a change leads."""
    start = change.revision.starts_from
    assert start is not None
    return start.number, change.revision.leads_to.number


def written() -> tuple[int, ...]:
    """What a refusal must leave as it was."""
    return tuple(each.objects.count() for each in (Change, Content, ContentHead, AuditEvent))


def edit(cast: Cast, **entry: Any) -> Workflow:
    """What the owner writes without a change."""
    found = held(cast)
    kept = {name: getattr(found, name) for name in ("name", "purpose", "owner", "deputy", "cost_centre", "review_due")}
    return workflows.edit(workflow=found, by=cast.owner, **kept, **entry)


def test_before_a_policy_is_live_its_owner_writes_the_entry() -> None:
    cast = make_cast()
    edited = edit(cast, risk="high", data_class="confidential", regions=["eu"], rationale="Orders stand in it")
    assert (edited.risk, edited.data_class, edited.regions) == ("high", "confidential", ["eu"])
    before = written()
    with pytest.raises(changes.ChangeError, match="write its entry without a change"):
        make_entry(cast, risk="minimal")
    assert written() == before


def test_afterwards_it_changes_by_votes_and_the_row_with_them(cast: Cast) -> None:
    before = written()
    with pytest.raises(workflows.EntryGoverned, match="risk and how long texts are kept changes by a change"):
        edit(cast, risk="high", retention_days=1)
    assert written() == before

    change = make_entry(cast, risk="high", retention_days=7)
    assert (change.state, change.place) == ("in_review", "the entry of Customer feedback")
    assert numbers(change) == (1, 2)
    assert Content.objects.get(kind="workflow", number=1).document == entries.of(held(cast))
    assert held(cast).risk == "limited"
    approved = approve(change, cast.owner)
    made = changes.activate(change=approved, by=cast.lead)
    assert (held(cast).risk, held(cast).retention_days) == ("high", 7)
    event = AuditEvent.objects.about(made).get(action="changes.activate")
    assert event.summary == "Version 2 of the entry of Customer feedback is live"
    told = [{name: said[name] for name in ("risk", "retention_days")} for said in (event.before, event.after) if said]
    assert told == [{"risk": "limited", "retention_days": 30}, {"risk": "high", "retention_days": 7}]
    # What is not governed is written as before.
    assert edit(cast).risk == "high"
    with pytest.raises(workflows.EntryGoverned):
        edit(cast, risk="limited")


def test_what_is_live_already_is_no_change_and_the_next_starts_from_it(cast: Cast) -> None:
    changes.activate(change=approve(make_entry(cast, risk="high"), cast.owner), by=cast.lead)
    before = written()
    with pytest.raises(changes.NothingChanges):
        make_entry(cast)
    assert written() == before
    again = make_entry(cast, risk="limited")
    assert numbers(again) == (2, 3)


def test_of_two_changes_of_one_entry_the_second_goes_stale_and_those_of_others_do_not(cast: Cast) -> None:
    one, other = make_entry(cast, risk="high"), make_entry(cast, retention_days=3)
    policy = make_change(cast, 0.6)
    changes.activate(change=approve(one, cast.owner), by=cast.lead)
    assert Change.objects.get(pk=other.pk).state == "stale"
    assert Change.objects.get(pk=policy.pk).state == "in_review"
    revised = changes.revise(
        change=other, document=entries.of(held(cast)) | {"retention_days": 3, "risk": "high"}, by=cast.integrator
    )
    assert (revised.state, numbers(revised)) == ("in_review", (2, 4))


@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_who_proposes_nothing_proposes_no_entry(cast: Cast, who: str) -> None:
    before = written()
    with pytest.raises(accounts.NotPermitted):
        make_entry(cast, by=cast.people[who], risk="high")
    assert written() == before


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"risk": "unacceptable"}, "risk"),
        ({"data_class": "secret"}, "data_class"),
        ({"retention_days": -1}, "retention_days"),
        ({"retention_days": 4_000}, "retention_days"),
        ({"rationale": "  "}, "nothing says why"),
        ({"rationale": "a\x00b"}, "control character"),
        ({"owner": "me"}, "owner"),
        ({"regions": ["eu west"]}, "regions"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(cast: Cast, parts: dict[str, Any], said: str) -> None:
    before = written()
    with pytest.raises(entries.InvalidEntry, match=said):
        make_entry(cast, **parts)
    assert written() == before


def test_an_entry_under_which_a_live_policy_could_not_serve_is_refused_with_the_reason(cast: Cast) -> None:
    before = written()
    with pytest.raises(entries.InvalidEntry, match="the policy that is live in production could not serve"):
        make_entry(cast, data_class="restricted")
    with pytest.raises(entries.InvalidEntry, match="the policy that is live in production could not serve"):
        make_entry(cast, regions=["mars"])
    assert written() == before
    assert make_entry(cast, data_class="confidential", regions=["eu"]).state == "in_review"


def test_the_strictest_environment_in_which_it_is_live_says_how_many_votes(cast: Cast) -> None:
    staging = make_environment("staging", votes_needed=2)
    for model in cast.models:
        serve(model, staging)
    elsewhere = changes.propose(
        workflow=cast.workflow, environment=staging, document=make_document(), title="There too", note="", by=cast.lead
    )
    assert votes.requirement(make_entry(cast, risk="high")).votes == 1
    approve(elsewhere, cast.owner)
    changes.activate(change=approve(elsewhere, cast.second_lead), by=cast.lead)
    assert votes.requirement(make_entry(cast, risk="high")).votes == 2


def test_where_it_is_live_only_where_nobody_votes_it_is_approved_at_once() -> None:
    cast, sandbox = make_cast(), make_environment("sandbox", votes_needed=0)
    for model in cast.models:
        serve(model, sandbox)
    made = changes.propose(
        workflow=cast.workflow, environment=sandbox, document=make_document(), title="Try", note="", by=cast.lead
    )
    changes.activate(change=made, by=cast.lead)
    change = make_entry(cast, by=cast.lead, risk="high")
    assert change.state == "approved"
    assert changes.proceed(change=change, by=cast.lead).state == "applied"
    assert held(cast).risk == "high"


@pytest.mark.parametrize(
    ("when", "needed"),
    [
        ({"kinds": ["workflow"]}, 3),
        ({"kinds": ["policy"]}, 1),
        ({"environments": ["production"]}, 3),
        ({"environments": ["production"], "risks": ["limited"], "kinds": ["policy", "workflow"]}, 3),
        ({"parts": ["gate"]}, 1),
        ({}, 3),
    ],
)
def test_approval_rules_single_out_entries_by_their_kind(cast: Cast, when: dict[str, Any], needed: int) -> None:
    make_rules(cast, {"name": "Three", "when": when, "votes": 3, "checks": ["simulation"]})
    asked = votes.requirement(make_entry(cast, risk="high"))
    assert (asked.votes, asked.least, asked.checks) == (needed, 1, ())


def test_a_freeze_of_where_it_is_live_holds_an_entry(cast: Cast) -> None:
    change = approve(make_entry(cast, risk="high"), cast.owner)
    frozen = {"name": "Christmas", "environments": ["production"], "end": "2099-01-01T00:00:00Z"}
    make_rules(cast, freezes=[frozen | {"start": "2020-01-01T00:00:00Z"}])
    with pytest.raises(changes.NotApproved, match="Christmas lets nothing become live"):
        changes.activate(change=change, by=cast.lead)
    assert held(cast).risk == "limited"


def test_an_entry_expires_by_its_rule(cast: Cast) -> None:
    make_rules(cast, {"name": "Soon", "when": {"kinds": ["workflow"]}, "expires_days": 1})
    change, policy = make_entry(cast, risk="high"), make_change(cast, 0.6)
    assert changes.expire_due(now=timezone.now() + timedelta(days=2)) == 1
    assert Change.objects.get(pk=change.pk).state == "expired"
    assert Change.objects.get(pk=policy.pk).state == "in_review"


def test_while_nobody_else_could_vote_it_passes_single_handed_and_waits_to_be_ratified(cast: Cast) -> None:
    change = make_entry(cast, by=cast.lead, risk="high")
    with pytest.raises(changes.NotApproved, match="somebody else may vote"):
        changes.activate(change=change, by=cast.lead, single_handed=True)
    for person in (cast.owner, cast.second_lead):
        accounts.deactivate(person=person, reason="left", by=cast.admin)
    made = changes.activate(change=change, by=cast.lead, single_handed=True)
    assert (made.single_handed, held(cast).risk) == (True, "high")
    accounts.grant(user=cast.finance, role="lead", by=cast.admin)
    changes.ratify(change=made, digest=made.revision.payload_digest, by=cast.finance)


def test_nobody_votes_on_his_own_and_no_entry_of_a_retired_workflow_changes(cast: Cast) -> None:
    change = make_entry(cast, by=cast.lead, risk="high")
    with pytest.raises(changes.OwnHand):
        approve(change, cast.lead)
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.owner)
    with pytest.raises(changes.WorkflowRetired):
        approve(change, cast.owner)
    with pytest.raises(changes.WorkflowRetired):
        make_entry(cast, risk="minimal")
    assert held(cast).risk == "limited"


def round_the_verb(cast: Cast, *acts: Any) -> None:
    """What somebody with a shell writes, with an audit event so that only the rule about entries is in the way."""
    with transaction.atomic():
        audit.record(action="workflows.edit", actor=cast.owner, object=cast.workflow, summary="Went round the verb")
        for act in acts:
            act()
        with connection.cursor() as sql:
            sql.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    "column",
    [
        *({"risk": "high"}, {"data_class": "public"}, {"rationale": "x"}, {"people_affected": "x"}),
        *({"regions": ["eu"]}, {"retention_days": 0}),
    ],
)
def test_a_shell_and_raw_sql_write_no_entry_of_a_workflow_that_has_something_live(
    cast: Cast, column: dict[str, Any]
) -> None:
    rows = Workflow.objects.filter(pk=cast.workflow.pk)
    with pytest.raises(IntegrityError, match="its entry changes by a change"):
        round_the_verb(cast, lambda: rows.update(**column))
    changes.activate(change=approve(make_entry(cast, risk="minimal"), cast.owner), by=cast.lead)
    with pytest.raises(IntegrityError, match="says otherwise than what is live"):
        round_the_verb(cast, lambda: rows.update(**column))
    assert held(cast).risk == "minimal"


def test_raw_sql_moves_no_head_of_an_entry_and_none_without_the_row(cast: Cast) -> None:
    change = make_entry(cast, risk="high")
    head = ContentHead.objects.filter(workflow=cast.workflow)
    content = change.revision.content
    with pytest.raises(IntegrityError, match="of an applied change of its place"):
        round_the_verb(cast, lambda: head.update(content=content, change=change))
    with pytest.raises(IntegrityError, match="a content head moves by a change"):
        round_the_verb(cast, lambda: head.update(content=content))
    approve(change, cast.owner)
    applied = {"state": "applied", "applied_at": timezone.now(), "applied_by": cast.lead}
    with pytest.raises(IntegrityError, match="says otherwise than what is live"):
        round_the_verb(
            cast,
            lambda: Change.objects.filter(pk=change.pk).update(**applied),
            lambda: head.update(content=content, change=change),
        )
    assert held(cast).risk == "limited"


def test_a_head_takes_no_content_of_another_workflow(cast: Cast) -> None:
    change = make_entry(cast, risk="high")
    other = workflows.create(
        slug="other",
        name="Other",
        purpose="P",
        team=cast.team,
        owner=cast.owner,
        risk="high",
        data_class="public",
        by=cast.lead,
    )
    place = {"kind": "workflow", "workflow": other}
    for content in (change.revision.base_content, change.revision.content):
        with pytest.raises(IntegrityError, match="a content head moves by a change"):
            round_the_verb(cast, lambda content=content: ContentHead.objects.create(**place, content=content))
    assert not PolicyHead.objects.filter(workflow=other).exists()
