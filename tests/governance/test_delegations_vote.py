"""Votes by delegation: what they fill, that nobody gains a right by them or counts twice, and when they end."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from governance import accounts, changes, delegations, votes
from governance.errors import GovernanceError, InvalidInput
from governance.models import AuditEvent, Change, Delegation, PolicyHead, User, Vote
from tests.cast import Cast, approve, make_cast, make_change, make_document, make_rules
from tests.governance.test_changes_races import while_held
from tests.pages import signed_in, text


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody."""
    return make_cast()


def delegate(by: User, to: User, **given: Any) -> Delegation:
    """Let another vote for somebody, for a week from now."""
    now = timezone.now()
    said: dict[str, Any] = {"starts_at": now, "ends_at": now + timedelta(days=7), "reason": "On holiday"}
    return delegations.delegate(by=by, to=to, **(said | given))


def vote(change: Change, by: User, delegation: Delegation, choice: str = "approve") -> Change:
    """Vote by a delegation on what the change says."""
    change = Change.objects.for_list().get(pk=change.pk)
    said: dict[str, Any] = {"digest": change.revision.payload_digest, "reason": "Read it", "choice": choice}
    return changes.vote(change=change, by=by, delegation=delegation, **said)


def asks_for(cast: Cast, *people: User, needs: int = 1) -> None:
    """Approval rules that ask for votes of a group of these people."""
    group = {"name": "security", "title": "Security", "members": [str(each.pk) for each in people]}
    make_rules(cast, {"name": "All", "votes": needs, "groups": [{"group": "security", "votes": needs}]}, groups=[group])


def counted(change: Change) -> tuple[int, str]:
    """How many approvals count, and why the first one does not."""
    standing = votes.standing(Change.objects.for_list().get(pk=change.pk))
    return standing.counted, next((each.why_not for each in standing.votes if each.why_not), "")


def test_a_delegate_fills_the_others_place_in_a_group(cast: Cast) -> None:
    asks_for(cast, cast.lead)
    change = make_change(cast)
    held = delegate(cast.lead, cast.owner)
    assert not votes.standing(approve(change, cast.owner)).enough
    change = vote(change, cast.owner, held)
    assert (change.state, counted(change)) == ("approved", (1, ""))
    changes.activate(change=change, by=cast.owner)
    assert PolicyHead.objects.get().change == change
    said = AuditEvent.objects.about(change).filter(action="changes.vote").newest_first()[0]
    assert (said.after or {})["vote_of"] == str(cast.lead.pk)
    assert said.summary.endswith(", for Lead")


def test_nobody_counts_twice(cast: Cast) -> None:
    make_rules(cast, {"name": "Two", "votes": 2})
    change = make_change(cast)
    approve(change, cast.owner)
    held = delegate(cast.lead, cast.owner)
    assert counted(vote(change, cast.owner, held)) == (1, "")
    # The other votes after all: his own vote stands, and the one for him is void.
    approve(change, cast.lead)
    assert counted(change) == (1, "is not needed: Lead voted")
    with pytest.raises(changes.NotApproved, match="1 of 2"):
        changes.activate(change=change, by=cast.lead)
    _in_sql(change, "has 1 of 2 votes")


def test_two_members_of_a_group_are_not_one_delegate(cast: Cast) -> None:
    asks_for(cast, cast.lead, cast.second_lead, needs=2)
    change = make_change(cast)
    first, second = delegate(cast.lead, cast.owner), delegate(cast.second_lead, cast.owner)
    vote(change, cast.owner, first)
    assert vote(change, cast.owner, second).state == "in_review"
    _in_sql(change, "has 1 of 2 votes")


def _in_sql(change: Change, why: str) -> None:
    """By hand it comes to the same: the head's trigger counts."""
    with pytest.raises(IntegrityError, match=why), transaction.atomic():
        _move_by_hand(Change.objects.for_list().get(pk=change.pk))
    assert not PolicyHead.objects.exists()


def _move_by_hand(change: Change) -> None:
    for write in (
        {"state": "approved"},
        {"state": "applied", "applied_at": timezone.now(), "applied_by": change.proposed_by},
    ):
        Change.objects.filter(pk=change.pk).update(**write)
    place = {"workflow": change.workflow, "environment": change.environment, "mode": "enforce"}
    PolicyHead.objects.create(version=change.revision.policy, change=change, **place)


@pytest.mark.parametrize("who", ["reviewer", "integrator", "stranger"])
def test_a_delegate_gains_no_right(cast: Cast, who: str) -> None:
    change = make_change(cast)
    to = cast.people[who]
    if who != "stranger":
        with pytest.raises(InvalidInput, match="gives no right"):
            delegate(cast.lead, to)
        return
    # He may vote elsewhere, so he may be named; here he votes for nobody.
    held = delegate(cast.lead, to)
    assert delegations.usable(change, to) == []
    with pytest.raises(accounts.NotPermitted):
        vote(change, to, held)
    assert not Vote.objects.exists()


def test_no_hand_in_it_is_a_hand_in_it_for_both(cast: Cast) -> None:
    held = delegate(cast.lead, cast.owner)
    theirs, his = make_change(cast, 0.6, by=cast.lead), make_change(cast, 0.7, by=cast.owner)
    with pytest.raises(changes.OwnHand, match="Lead had a hand"):
        vote(theirs, cast.owner, held)
    with pytest.raises(changes.OwnHand, match="You had a hand"):
        vote(his, cast.owner, held)
    for change in (theirs, his):
        assert delegations.usable(change, cast.owner) == []
        said: dict[str, Any] = {"digest": change.revision.payload_digest, "number": 1, "choice": "approve"}
        with pytest.raises(IntegrityError), transaction.atomic():
            Vote.objects.create(revision=change.revision, voter=cast.owner, delegation=held, **said)
    assert not Vote.objects.exists()


def test_a_hand_that_comes_later_takes_the_vote_away(cast: Cast) -> None:
    change = vote(make_change(cast), cast.owner, delegate(cast.lead, cast.owner))
    changes.revise(change=change, document=make_document(0.5), by=cast.lead)
    assert counted(change)[0] == 0


@pytest.mark.parametrize("how", ["revoked", "given back", "role lost", "left"])
def test_what_ended_in_between_counts_no_more(cast: Cast, how: str) -> None:
    held = delegate(cast.lead, cast.owner)
    change = vote(make_change(cast), cast.owner, held)
    assert change.state == "approved"
    if how == "left":
        accounts.deactivate(person=cast.lead, reason="Left", by=cast.admin)
    elif how == "role lost":
        accounts.revoke(grant=cast.lead.grants.get(), by=cast.admin)
    else:
        delegations.revoke(delegation=held, by=cast.lead if how == "revoked" else cast.owner)
    assert counted(change)[0] == 0
    with pytest.raises(changes.NotApproved, match="0 of 1"):
        changes.activate(change=change, by=cast.owner)
    _in_sql(change, "has 0 of 1 votes")
    with pytest.raises(InvalidInput):
        vote(make_change(cast, 0.6), cast.owner, held)


@pytest.mark.parametrize(
    "given",
    [
        {"reason": " "},
        {"ends_at": timedelta(days=31)},
        {"ends_at": timedelta(days=-1)},
        {"to": "lead"},
    ],
)
def test_bad_input_is_refused(cast: Cast, given: dict[str, Any]) -> None:
    to = cast.people[given.pop("to", "owner")]
    if "ends_at" in given:
        given = {"ends_at": timezone.now() + given["ends_at"]}
    with pytest.raises(InvalidInput):
        delegate(cast.lead, to, **given)
    assert not Delegation.objects.exists()


def test_who_may_vote_nowhere_delegates_nothing(cast: Cast) -> None:
    for who in ("reviewer", "integrator", "auditor", "admin"):
        with pytest.raises(accounts.NotPermitted):
            delegate(cast.people[who], cast.owner)


def test_there_is_no_chain_and_one_delegate_at_a_time(cast: Cast) -> None:
    held = delegate(cast.lead, cast.owner)
    for by, to in ((cast.lead, cast.second_lead), (cast.owner, cast.second_lead), (cast.second_lead, cast.lead)):
        with pytest.raises(InvalidInput, match="one delegate at a time"):
            delegate(by, to)
    with pytest.raises(accounts.NotPermitted):
        delegations.revoke(delegation=held, by=cast.second_lead)
    delegations.revoke(delegation=held, by=cast.lead)
    with pytest.raises(InvalidInput, match="over already"):
        delegations.revoke(delegation=held, by=cast.lead)
    assert delegate(cast.owner, cast.second_lead).by == cast.owner


@pytest.mark.parametrize(
    "sql", [{"ends_at": timezone.now() + timedelta(days=20)}, {"to": "second_lead"}, {"revoked_at": None}]
)
def test_nobody_makes_it_last_or_goes_back(cast: Cast, sql: dict[str, Any]) -> None:
    held = delegate(cast.lead, cast.owner)
    delegations.revoke(delegation=held, by=cast.lead)
    write = {name: cast.people.get(value, value) if name == "to" else value for name, value in sql.items()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Delegation.objects.update(**write)
    with pytest.raises(IntegrityError), transaction.atomic():
        Delegation.objects.all().delete()


def test_the_pages_offer_and_tell_it(cast: Cast) -> None:
    lead, owner = signed_in(cast.lead), signed_in(cast.owner)
    now = timezone.localtime()
    moment = "%Y-%m-%dT%H:%M"
    said = {
        "to": cast.owner.pk,
        "starts_at": f"{now - timedelta(minutes=2):{moment}}",
        "ends_at": f"{now + timedelta(days=3):{moment}}",
        "reason": "On holiday",
    }
    assert lead.post(reverse("delegation_new"), said | {"to": cast.integrator.pk}).status_code == 422
    assert "Owner votes for you" in text(lead.post(reverse("delegation_new"), said, follow=True))
    assert "You vote for Lead" in text(owner.get(reverse("account")))
    held = Delegation.objects.get()
    change = make_change(cast)
    page = reverse("change", args=[change.pk])
    assert "For Lead, who is away" in text(owner.get(page))
    assert "who is away" not in text(signed_in(cast.second_lead).get(page))
    ballot = {"digest": change.revision.payload_digest, "choice": "approve", "delegation": held.pk}
    refused = signed_in(cast.second_lead).post(reverse("change_vote", args=[change.pk]), ballot)
    assert refused.status_code == 422
    assert not Vote.objects.exists()
    assert "Owner for Lead approved it" in text(
        owner.post(reverse("change_vote", args=[change.pk]), ballot, follow=True)
    )
    assert signed_in(cast.stranger).post(reverse("delegation_revoke", args=[held.pk])).status_code == 404
    assert "The delegation is over." in text(lead.post(reverse("delegation_revoke", args=[held.pk]), follow=True))
    assert "is over already" in text(owner.post(reverse("delegation_revoke", args=[held.pk]), follow=True))


def voted() -> tuple[Cast, Change, Delegation]:
    """A change approved by a delegate."""
    cast = make_cast()
    held = delegate(cast.lead, cast.owner)
    return cast, vote(make_change(cast), cast.owner, held), held


def test_an_activation_that_waits_for_a_revocation_is_refused(live_database: Any) -> None:
    cast, change, held = voted()
    first: Any = lambda: delegations.revoke(delegation=held, by=cast.lead)  # noqa: E731
    outcome = while_held(first, lambda: changes.activate(change=change, by=cast.owner))
    assert isinstance(outcome, changes.NotApproved)
    assert not PolicyHead.objects.exists()


def test_a_revocation_that_waits_for_an_activation_comes_too_late(live_database: Any) -> None:
    cast, change, held = voted()
    second: Any = lambda: delegations.revoke(delegation=held, by=cast.lead)  # noqa: E731
    outcome: Any = while_held(lambda: changes.activate(change=change, by=cast.owner), second)
    assert outcome.revoked_at is not None
    assert PolicyHead.objects.get().change == change


def test_two_who_delegate_to_each_other_at_once_make_no_circle(live_database: Any) -> None:
    cast = make_cast()
    first: Any = lambda: delegate(cast.lead, cast.owner)  # noqa: E731
    second: Any = lambda: delegate(cast.owner, cast.lead)  # noqa: E731
    outcome = while_held(first, second)
    assert isinstance(outcome, GovernanceError)
    assert Delegation.objects.count() == 1
