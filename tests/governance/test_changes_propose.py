"""Proposing and revising changes."""

from typing import Any

import pytest
from django.db import transaction

from governance import accounts, changes, policies, votes, workflows
from governance.models import AuditEvent, Change, PolicyHead, PolicyVersion, Revision
from tests.cast import approve, make_cast, make_change, make_document, make_environment, make_live, serve

pytestmark = pytest.mark.django_db


def test_an_integrator_proposes_and_the_change_waits_for_votes() -> None:
    cast = make_cast()
    change = make_change(cast)
    revision = change.revision
    assert (change.state, change.number, revision.number) == ("in_review", change.number, 1)
    assert revision.base_version is None
    assert revision.rule == {
        "name": "",
        "votes_needed": 1,
        "groups": [],
        "cool_off_minutes": 0,
        "expires_days": None,
        "due_hours": None,
        "checks": [],
    }
    assert revision.policy.number == 1
    assert revision.policy.digest == policies.digest(revision.policy.document)
    assert revision.payload_digest == changes.payload_digest(change, revision)
    assert [each.user for each in change.contributors.all()] == [cast.integrator]
    event = AuditEvent.objects.about(change).get()
    assert (event.action, event.reason) == ("changes.propose", "So that people see fewer of them")
    assert (event.after or {})["payload_digest"] == revision.payload_digest
    assert not PolicyHead.objects.exists()


def test_where_nobody_votes_a_change_is_approved_at_once_but_activated_by_its_own_verb() -> None:
    cast = make_cast()
    sandbox = make_environment("sandbox", votes_needed=0)
    for model in cast.models:
        serve(model, sandbox)
    change = changes.propose(
        workflow=cast.workflow, environment=sandbox, document=make_document(), title="Try", note="", by=cast.owner
    )
    assert change.state == "approved"
    assert not PolicyHead.objects.exists()
    assert changes.activate(change=change, by=cast.owner).state == "applied"


@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_others_propose_nothing(who: str) -> None:
    cast = make_cast()
    change = make_change(cast)
    before = _counts()
    with pytest.raises(accounts.NotPermitted):
        make_change(cast, 0.7, by=cast.people[who])
    with pytest.raises(accounts.NotPermitted):
        changes.revise(change=change, document=make_document(0.7), by=cast.people[who])
    assert _counts() == before


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"document": make_document(0.8, "nobody")}, policies.InvalidPolicy, "nobody"),
        ({"document": {}}, policies.InvalidPolicy, "format"),
        ({"title": "  "}, changes.ChangeError, "title"),
        ({"title": "x" * 201}, changes.ChangeError, "title"),
        ({"title": "a\x00b"}, changes.ChangeError, "title"),
    ],
)
def test_bad_input_is_named_and_nothing_written(given: dict[str, Any], error: type[Exception], words: str) -> None:
    cast = make_cast()
    before = _counts()
    facts = {"document": make_document(), "title": "Try", "note": ""} | given
    with pytest.raises(error, match=words), transaction.atomic():
        changes.propose(workflow=cast.workflow, environment=cast.production, by=cast.owner, **facts)
    assert _counts() == before


def test_what_is_live_already_is_not_proposed() -> None:
    cast = make_cast()
    head = make_live(cast)
    before = _counts()
    with pytest.raises(changes.NothingChanges, match="version 1"):
        make_change(cast)
    assert _counts() == before
    assert head.version.number == 1


def test_nothing_is_proposed_for_a_retired_workflow() -> None:
    cast = make_cast()
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
    with pytest.raises(changes.ChangeError, match="retired"):
        make_change(cast)


def test_going_back_is_a_proposal_of_an_older_document() -> None:
    cast = make_cast()
    first = make_live(cast, 0.8).version
    make_live(cast, 0.7)
    back = changes.propose(
        workflow=cast.workflow,
        environment=cast.production,
        document=first.document,
        title="Back to version 1",
        note="",
        by=cast.integrator,
    )
    assert back.revision.policy.number == 3
    assert back.revision.policy.digest == first.digest
    changes.activate(change=approve(back, cast.owner), by=cast.owner)
    assert PolicyHead.objects.get().version.number == 3


def test_a_revision_takes_the_votes_along_to_nowhere() -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    assert change.state == "approved"
    revised = changes.revise(change=change, document=make_document(0.7), by=cast.integrator)
    assert (revised.state, revised.revision.number) == ("in_review", 2)
    assert votes.standing(revised).counted == 0
    with pytest.raises(changes.NotApproved):
        changes.activate(change=revised, by=cast.lead)
    event = AuditEvent.objects.about(change).get(action="changes.revise")
    assert [(each or {})["revision"] for each in (event.before, event.after)] == [1, 2]


def test_going_back_to_the_first_content_does_not_bring_its_votes_back() -> None:
    cast = make_cast()
    change = approve(make_change(cast, 0.8), cast.owner)
    changes.revise(change=change, document=make_document(0.7), by=cast.integrator)
    again = changes.revise(change=change, document=make_document(0.8), by=cast.integrator)
    assert again.state == "in_review"
    assert votes.standing(again).counted == 0


def test_who_revises_can_no_longer_vote_and_his_vote_no_longer_counts() -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    changes.revise(change=change, document=make_document(0.7), by=cast.owner)
    with pytest.raises(changes.OwnHand):
        approve(change, cast.owner)
    assert approve(change, cast.lead).state == "approved"


def test_a_revision_that_changes_nothing_is_refused() -> None:
    cast = make_cast()
    change = make_change(cast)
    before = _counts()
    with pytest.raises(changes.NothingChanges):
        changes.revise(change=change, document=make_document(), by=cast.integrator)
    with pytest.raises(policies.InvalidPolicy):
        changes.revise(change=change, document={}, by=cast.integrator)
    assert _counts() == before


def test_a_stale_change_is_rebased_by_a_revision() -> None:
    cast = make_cast()
    slow = make_change(cast, 0.7)
    head = make_live(cast, 0.8)
    slow.refresh_from_db()
    assert slow.state == "stale"
    rebased = changes.revise(change=slow, document=make_document(0.7), by=cast.integrator)
    assert (rebased.state, rebased.revision.base_version) == ("in_review", head.version)
    assert changes.activate(change=approve(rebased, cast.owner), by=cast.owner).state == "applied"


@pytest.mark.parametrize("end", ["applied", "rejected", "withdrawn"])
def test_an_ended_change_is_not_revised(end: str) -> None:
    cast = make_cast()
    change = make_change(cast)
    if end == "applied":
        change = changes.activate(change=approve(change, cast.owner), by=cast.owner)
    elif end == "rejected":
        digest = change.revision.payload_digest
        change = changes.vote(change=change, digest=digest, choice="reject", reason="no", by=cast.owner)
    else:
        change = changes.withdraw(change=change, by=cast.integrator)
    assert change.state == end
    before = _counts()
    with pytest.raises(changes.NotOpen):
        changes.revise(change=change, document=make_document(0.6), by=cast.integrator)
    assert _counts() == before


def test_only_who_wrote_a_change_withdraws_it() -> None:
    cast = make_cast()
    change = make_change(cast)
    for other in (cast.owner, cast.stranger, cast.auditor):
        with pytest.raises(accounts.NotPermitted):
            changes.withdraw(change=change, by=other)
    assert changes.withdraw(change=change, reason="a mistake", by=cast.integrator).state == "withdrawn"
    assert AuditEvent.objects.about(change).newest_first()[0].reason == "a mistake"
    with pytest.raises(changes.NotOpen):
        changes.withdraw(change=change, by=cast.integrator)


def test_lists_and_the_page_of_a_change_take_a_fixed_number_of_queries(django_assert_num_queries: Any) -> None:
    cast = make_cast()
    change = approve(make_change(cast, 0.8), cast.owner)
    changes.revise(change=change, document=make_document(0.7), by=cast.integrator)
    make_change(cast, 0.6)
    with django_assert_num_queries(1):
        listed = list(Change.objects.visible_to(cast.lead).for_list())
        assert [each.revision.policy.number for each in listed] == [3, 2]
        assert {(each.place, each.team_id, each.proposed_by.name) for each in listed}
    with django_assert_num_queries(5):
        page = Change.objects.visible_to(cast.lead).for_page().get(pk=change.pk)
        assert [(each.number, [vote.voter.name for vote in each.votes.all()]) for each in page.revisions.all()] == [
            (1, ["Owner"]),
            (2, []),
        ]
        assert [each.user.name for each in page.contributors.all()] == ["Integrator"]
    approve(page, cast.owner)
    with django_assert_num_queries(4):
        assert votes.standing(page).counted == 1


def _counts() -> tuple[int, ...]:
    return tuple(each.objects.count() for each in (Change, Revision, PolicyVersion, AuditEvent))
