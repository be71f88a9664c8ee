"""Voting: on exactly what was seen, by others, and what a vote does."""

from typing import Any

import pytest

from governance import accounts, changes, votes, workflows
from governance.models import AuditEvent, Change, PolicyHead, Role, Vote
from tests.cast import (
    BOOTSTRAP,
    Cast,
    approve,
    make_cast,
    make_change,
    make_document,
    make_environment,
    make_live,
    make_person,
    serve,
)

pytestmark = pytest.mark.django_db


def vote(change: Change, by: Any, choice: str = "approve", reason: str = "", **given: Any) -> Change:
    """Vote on what the change says now."""
    digest = Change.objects.for_list().get(pk=change.pk).revision.payload_digest
    return changes.vote(**({"change": change, "digest": digest, "choice": choice, "reason": reason, "by": by} | given))


def test_the_owner_approves_and_that_is_enough() -> None:
    cast = make_cast()
    change = make_change(cast)
    assert list(Change.objects.awaiting(cast.owner)) == [change]
    voted = vote(change, cast.owner)
    assert voted.state == "approved"
    assert not Change.objects.awaiting(cast.owner)
    cast_vote = Vote.objects.get()
    assert (cast_vote.digest, cast_vote.number) == (change.revision.payload_digest, 1)
    event = AuditEvent.objects.about(change).get(action="changes.vote")
    assert event.after == {"state": "approved", "choice": "approve", "payload_digest": change.revision.payload_digest}
    assert not PolicyHead.objects.exists()


def test_of_a_retired_workflow_nobody_is_asked_for_a_vote() -> None:
    cast = make_cast()
    change = make_change(cast)
    workflows.retire(workflow=cast.workflow, reason="Over", by=cast.lead)
    assert not Change.objects.awaiting(cast.owner)
    assert not Change.objects.in_review()
    # It stands there as it was, and whoever wrote it may take it back.
    assert list(Change.objects.open()) == [change]
    assert changes.withdraw(change=change, by=cast.integrator).state == "withdrawn"


def test_nothing_of_a_retired_workflow_is_decided_or_becomes_live() -> None:
    cast = make_cast()
    open_, approved = make_change(cast), make_change(cast, 0.6)
    vote(approved, cast.owner)
    workflows.retire(workflow=cast.workflow, reason="Over", by=cast.lead)
    events, cast_votes = AuditEvent.objects.count(), Vote.objects.count()
    with pytest.raises(changes.WorkflowRetired, match="is retired"):
        vote(open_, cast.owner)
    with pytest.raises(changes.WorkflowRetired):
        changes.activate(change=approved, by=cast.lead)
    with pytest.raises(changes.WorkflowRetired):
        changes.revise(change=open_, document=make_document(0.4), by=cast.integrator)
    assert (AuditEvent.objects.count(), Vote.objects.count()) == (events, cast_votes)
    assert not PolicyHead.objects.exists()
    assert [change.state for change in Change.objects.order_by("number")] == ["in_review", "approved"]


def test_the_last_vote_can_make_it_live_by_two_verbs_and_two_entries() -> None:
    cast = make_cast()
    assert vote(make_change(cast), cast.owner, then_activate=True).state == "applied"
    actions = AuditEvent.objects.newest_first().values_list("action", flat=True)[:2]
    assert list(actions) == ["changes.activate", "changes.vote"]


@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_others_do_not_vote(who: str) -> None:
    cast = make_cast()
    change = make_change(cast)
    with pytest.raises(accounts.NotPermitted):
        vote(change, cast.people[who])
    assert "do not let you vote" in votes.why_not_vote(change, cast.people[who])
    _nothing_happened(change)


def test_nobody_votes_on_what_he_wrote() -> None:
    cast = make_cast()
    change = make_change(cast, by=cast.lead)
    with pytest.raises(changes.OwnHand):
        vote(change, cast.lead)
    assert "had a hand" in votes.why_not_vote(change, cast.lead)
    assert not Change.objects.awaiting(cast.lead)
    _nothing_happened(change)


@pytest.mark.parametrize("choice", ["reject", "abstain", "request_changes"])
def test_an_author_does_not_vote_against_himself_either(choice: str) -> None:
    cast = make_cast()
    change = make_change(cast, by=cast.owner)
    with pytest.raises(changes.OwnHand):
        vote(change, cast.owner, choice, "why not")
    _nothing_happened(change)


def test_a_vote_on_content_that_was_edited_meanwhile_is_refused() -> None:
    cast = make_cast()
    change = make_change(cast)
    seen = change.revision.payload_digest
    changes.revise(change=change, document=make_document(0.5), by=cast.integrator)
    with pytest.raises(changes.DigestMoved, match="revision 2"):
        vote(change, cast.owner, digest=seen)
    _nothing_happened(change)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"choice": "maybe"}, changes.ChangeError, "one of approve"),
        ({"choice": "reject"}, changes.ReasonMissing, "why"),
        ({"choice": "request_changes", "reason": "  "}, changes.ReasonMissing, "why"),
        ({"choice": "withdraw"}, changes.ChangeError, "nothing to take back"),
        ({"digest": ""}, changes.DigestMoved, "edited"),
        ({"digest": "0" * 64}, changes.DigestMoved, "edited"),
    ],
)
def test_bad_input_is_named_and_nothing_written(given: dict[str, Any], error: type[Exception], words: str) -> None:
    cast = make_cast()
    change = make_change(cast)
    with pytest.raises(error, match=words):
        vote(change, cast.owner, **given)
    _nothing_happened(change)


def test_a_rejection_ends_the_change() -> None:
    cast = make_cast()
    change = make_change(cast)
    assert vote(change, cast.owner, "reject", "too bold").state == "rejected"
    assert AuditEvent.objects.about(change).newest_first()[0].reason == "too bold"
    with pytest.raises(changes.NotOpen):
        vote(change, cast.lead)
    with pytest.raises(changes.NotOpen):
        changes.activate(change=change, by=cast.lead)
    assert "rejected" in votes.why_not_vote(Change.objects.get(pk=change.pk), cast.lead)


def test_an_objection_holds_the_change_until_it_is_lifted() -> None:
    cast = make_cast()
    change = vote(make_change(cast), cast.owner)
    assert vote(change, cast.lead, "request_changes", "say why").state == "in_review"
    with pytest.raises(changes.NotApproved, match="1 against"):
        changes.activate(change=change, by=cast.owner)
    assert vote(change, cast.lead, "abstain").state == "approved"


def test_a_vote_taken_back_counts_no_more() -> None:
    cast = make_cast()
    change = vote(make_change(cast), cast.owner)
    assert vote(change, cast.owner, "withdraw").state == "in_review"
    assert [each.why_not for each in votes.standing(change).votes] == ["taken back"]
    assert [each.number for each in Vote.objects.order_by("number")] == [1, 2]


def test_one_person_counts_once() -> None:
    cast = make_cast()
    strict = make_environment("strict", votes_needed=2)
    for model in cast.models:
        serve(model, strict)
    change = changes.propose(
        workflow=cast.workflow, environment=strict, document=make_document(), title="Try", note="", by=cast.integrator
    )
    vote(change, cast.owner)
    assert vote(change, cast.owner).state == "in_review"
    assert votes.standing(change).counted == 1
    assert vote(change, cast.lead).state == "approved"


def test_a_stale_change_takes_no_votes() -> None:
    cast = make_cast()
    slow = make_change(cast, 0.7)
    make_live(cast, 0.8)
    assert AuditEvent.objects.about(slow).newest_first()[0].action == "changes.go_stale"
    with pytest.raises(changes.StaleBase, match="version 2 is live"):
        vote(slow, cast.owner)
    slow.refresh_from_db()
    assert "revised first" in votes.why_not_vote(slow, cast.owner)
    assert not Vote.objects.filter(revision__change=slow).exists()


def test_an_environments_voter_votes_there_only() -> None:
    cast = make_cast()
    staging = make_environment("staging")
    person = make_person("Stager")
    accounts.grant(user=person, role=Role.OWNER, team=cast.team, environment=staging, by=BOOTSTRAP)
    change = make_change(cast)
    assert change not in Change.objects.awaiting(person)
    with pytest.raises(accounts.NotPermitted):
        vote(change, person)
    _nothing_happened(change)


@pytest.mark.parametrize("loss", ["deactivated", "revoked"])
def test_a_vote_stands_but_does_not_count_once_its_voter_may_not(loss: str) -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    _lose(cast, loss)
    standing = votes.standing(change)
    assert standing.counted == 0
    assert standing.votes[0].why_not in ("may no longer sign in", "may no longer vote here")
    with pytest.raises(changes.NotApproved, match="0 of 1"):
        changes.activate(change=change, by=cast.lead)
    assert not PolicyHead.objects.exists()
    assert approve(change, cast.second_lead).state == "approved"
    assert changes.activate(change=change, by=cast.lead).state == "applied"


@pytest.mark.parametrize("loss", ["deactivated", "revoked"])
def test_an_objection_ends_with_its_voters_rights(loss: str) -> None:
    cast = make_cast()
    change = make_change(cast)
    vote(change, cast.owner, "request_changes", "no")
    _lose(cast, loss)
    approve(change, cast.second_lead)
    assert changes.activate(change=change, by=cast.lead).state == "applied"


def _lose(cast: Cast, loss: str) -> None:
    if loss == "deactivated":
        accounts.deactivate(person=cast.owner, reason="left", by=cast.admin)
    else:
        accounts.revoke(grant=cast.owner.grants.get(), by=cast.admin)


def _nothing_happened(change: Change) -> None:
    assert not Vote.objects.exists()
    assert Change.objects.get(pk=change.pk).state == "in_review"
    assert not AuditEvent.objects.about(change).filter(action="changes.vote").exists()
