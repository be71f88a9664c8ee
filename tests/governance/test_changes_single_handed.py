"""One person alone: his change passes marked, and waits for somebody else's word."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from governance import accounts, audit, changes, policies, workflows
from governance.models import AuditEvent, Change, Grant, PolicyHead, Ratification, Role, User
from tests.cast import BOOTSTRAP, Cast, make_cast, make_change, make_person

pytestmark = pytest.mark.django_db


def alone(cast: Cast) -> Change:
    """The lead's change, when nobody else of the cast may vote here."""
    for grant in Grant.objects.filter(role__in=[Role.LEAD, Role.OWNER]).exclude(user=cast.lead):
        accounts.revoke(grant=grant, by=cast.admin)
    return make_change(cast, by=cast.lead)


def test_a_change_passes_while_nobody_else_could_vote() -> None:
    cast = make_cast()
    change = alone(cast)

    applied = changes.activate(change=change, by=cast.lead, single_handed=True)

    assert applied.single_handed
    assert PolicyHead.objects.get().change == applied
    event = AuditEvent.objects.about(applied).get(action="changes.activate")
    assert event.summary.endswith("single-handed")
    assert ((event.after or {})["single_handed"], (event.after or {})["votes"]) == (True, [])
    assert list(Change.objects.unratified()) == [applied]
    assert not Change.objects.to_ratify_by(cast.lead)


def test_it_takes_the_word() -> None:
    """Without it the votes are missing, as ever."""
    cast = make_cast()
    with pytest.raises(changes.NotApproved):
        changes.activate(change=alone(cast), by=cast.lead)
    assert not PolicyHead.objects.exists()


def test_nobody_passes_so_while_another_may_vote() -> None:
    cast = make_cast()
    change = make_change(cast, by=cast.lead)
    with pytest.raises(changes.NotApproved, match="somebody else may vote"):
        changes.activate(change=change, by=cast.lead, single_handed=True)
    assert not PolicyHead.objects.exists()
    stored = Change.objects.get()
    assert (stored.state, stored.single_handed) == ("in_review", False)


def test_the_database_counts_who_could_vote_by_itself() -> None:
    cast = make_cast()
    change = make_change(cast, by=cast.lead)
    audit.record(action="changes.activate", actor=cast.lead, object=change, summary="Went round the verb")
    Change.objects.filter(pk=change.pk).update(state="approved")
    Change.objects.filter(pk=change.pk).update(
        state="applied", applied_at=timezone.now(), applied_by=cast.lead, single_handed=True
    )
    head = PolicyHead(
        workflow=cast.workflow,
        environment=cast.production,
        version=change.revision.policy,
        mode="enforce",
        change=change,
    )
    with pytest.raises(IntegrityError, match="cannot pass single-handed"):
        head.save()


@pytest.mark.parametrize("how", ["deactivated", "not yet", "no longer", "of another team"])
def test_who_may_not_vote_now_does_not_count(how: str) -> None:
    cast = make_cast()
    change, now = alone(cast), timezone.now()
    if how == "deactivated":
        other = make_person("Second", Role.LEAD)
        accounts.deactivate(person=other, reason="left", by=cast.admin)
    elif how == "of another team":
        make_person("Second", Role.LEAD, cast.elsewhere)
    else:
        shift = timedelta(days=1 if how == "not yet" else -2)
        begins = now + shift
        accounts.grant(
            user=cast.reviewer,
            role=Role.LEAD,
            valid_from=begins,
            valid_until=begins + timedelta(hours=1),
            by=cast.admin,
        )
    assert changes.activate(change=change, by=cast.lead, single_handed=True).single_handed


def test_an_objection_holds_it() -> None:
    """Somebody objected, then lost his role: he no longer counts, so the change passes; while he has it, it cannot."""
    cast = make_cast()
    change = make_change(cast, by=cast.lead)
    changes.vote(
        change=change, digest=change.revision.payload_digest, choice="request_changes", reason="No", by=cast.owner
    )
    with pytest.raises(changes.NotApproved):
        changes.activate(change=change, by=cast.lead, single_handed=True)


def test_enough_votes_need_no_single_hand() -> None:
    cast = make_cast()
    change = make_change(cast, by=cast.lead)
    changes.vote(change=change, digest=change.revision.payload_digest, choice="approve", reason="", by=cast.owner)
    with pytest.raises(changes.ChangeError, match="votes it needs"):
        changes.activate(change=change, by=cast.lead, single_handed=True)
    assert not PolicyHead.objects.exists()


def ratifiable(cast: Cast) -> tuple[Change, User]:
    """A change that passed single-handed, and a second lead who came later."""
    change = changes.activate(change=alone(cast), by=cast.lead, single_handed=True)
    return change, make_person("Second", Role.LEAD)


def test_of_a_retired_workflow_nobody_is_asked_to_ratify() -> None:
    cast = make_cast()
    change, second = ratifiable(cast)
    workflows.retire(workflow=cast.workflow, reason="Over", by=cast.lead)
    assert not Change.objects.to_ratify_by(second)
    assert list(Change.objects.unratified()) == [change]
    events = AuditEvent.objects.count()
    with pytest.raises(changes.WorkflowRetired):
        changes.ratify(change=change, digest=change.revision.payload_digest, by=second)
    assert AuditEvent.objects.count() == events


def test_somebody_else_ratifies_it() -> None:
    cast = make_cast()
    change, second = ratifiable(cast)
    assert list(Change.objects.to_ratify_by(second)) == [change]

    made = changes.ratify(change=change, digest=change.revision.payload_digest, reason="It is right", by=second)

    assert (made.by, made.reason) == (second, "It is right")
    assert not Change.objects.unratified()
    event = AuditEvent.objects.about(change).get(action="changes.ratify")
    assert (event.actor_id, (event.after or {})["payload_digest"]) == (str(second.pk), change.revision.payload_digest)
    with pytest.raises(changes.NotOpen, match="already"):
        changes.ratify(change=change, digest=change.revision.payload_digest, by=second)


def test_the_author_ratifies_nothing() -> None:
    cast = make_cast()
    change, _second = ratifiable(cast)
    with pytest.raises(changes.OwnHand):
        changes.ratify(change=change, digest=change.revision.payload_digest, by=cast.lead)
    assert not Ratification.objects.exists()
    audit.record(action="changes.ratify", actor=cast.lead, object=change, summary="Went round the verb")
    with pytest.raises(IntegrityError, match="had a hand"):
        Ratification.objects.create(change=change, digest=change.revision.payload_digest, by=cast.lead)


def test_other_content_is_not_ratified() -> None:
    cast = make_cast()
    change, second = ratifiable(cast)
    with pytest.raises(changes.DigestMoved):
        changes.ratify(change=change, digest="0" * 64, by=second)
    assert not Ratification.objects.exists()


@pytest.mark.parametrize("who", ["reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_others_ratify_nothing(who: str) -> None:
    cast = make_cast()
    change, _second = ratifiable(cast)
    with pytest.raises(accounts.NotPermitted):
        changes.ratify(change=change, digest=change.revision.payload_digest, by=cast.people[who])
    assert not Ratification.objects.exists()


def test_what_passed_by_votes_is_not_ratified() -> None:
    cast = make_cast()
    change = make_change(cast)
    changes.vote(
        change=change,
        digest=change.revision.payload_digest,
        choice="approve",
        reason="",
        by=cast.owner,
        then_activate=True,
    )
    with pytest.raises(changes.NotOpen, match="single-handed"):
        changes.ratify(change=change, digest=change.revision.payload_digest, by=cast.second_lead)


def test_a_mode_is_part_of_what_is_voted_on() -> None:
    """The same document, observed: another digest, another version, another change of the head."""
    cast = make_cast()
    change = make_change(cast)
    changes.activate(change=_approved(cast, change), by=cast.lead)
    document = change.revision.policy.document

    with pytest.raises(changes.NothingChanges):
        changes.propose(
            workflow=cast.workflow, environment=cast.production, document=document, title="Same", note="", by=cast.lead
        )
    watched = changes.propose(
        workflow=cast.workflow,
        environment=cast.production,
        document=document,
        title="Watch only",
        note="",
        mode="observe",
        by=cast.integrator,
    )

    assert watched.revision.payload_digest != change.revision.payload_digest
    changes.activate(change=_approved(cast, watched), by=cast.lead)
    assert PolicyHead.objects.get().mode == "observe"


def test_what_is_new_observes() -> None:
    cast = make_cast()
    document = make_change(cast).revision.policy.document
    made = changes.propose(
        workflow=cast.workflow, environment=cast.production, document=document, title="New", note="", by=cast.lead
    )
    assert made.revision.mode == "observe"
    with pytest.raises(changes.ChangeError, match="observe or enforce"):
        changes.revise(change=made, document=document, mode="dream", by=cast.lead)
    assert changes.revise(change=made, document=document, mode="enforce", by=cast.lead).revision.mode == "enforce"


def _approved(cast: Cast, change: Change) -> Change:
    digest = change.revision.payload_digest
    return changes.vote(change=change, digest=digest, choice="approve", reason="", by=cast.owner)


def test_regions_of_a_workflow_bind_its_policy() -> None:
    cast = make_cast()
    bound = workflows.create(
        slug="bound",
        name="Bound",
        purpose="Stays in the south",
        team=cast.team,
        owner=cast.owner,
        risk="limited",
        data_class="internal",
        regions=["south"],
        by=BOOTSTRAP,
    )
    document = make_change(cast).revision.policy.document
    with pytest.raises(policies.InvalidPolicy):
        changes.propose(
            workflow=bound, environment=cast.production, document=document, title="First", note="", by=cast.lead
        )
    assert not bound.changes.exists()
