"""Activation: what only votes can do."""

import pytest

from governance import accounts, changes, policies, registry
from governance.models import AuditEvent, Change, PolicyHead
from tests.cast import approve, make_cast, make_change, make_live

pytestmark = pytest.mark.django_db


def test_an_approved_change_becomes_live() -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)

    applied = changes.activate(change=change, by=cast.lead)

    head = PolicyHead.objects.get()
    assert (head.workflow, head.environment, head.change) == (cast.workflow, cast.production, applied)
    assert head.version == applied.revision.policy
    stored = Change.objects.get()
    assert (stored.state, stored.applied_by) == ("applied", cast.lead)
    event = AuditEvent.objects.about(applied).get(action="changes.activate")
    assert event.before == {"version": None}
    assert event.after == {
        "version": 1,
        "digest": applied.revision.policy.digest,
        "mode": "enforce",
        "payload_digest": applied.revision.payload_digest,
        "votes": [str(cast.owner.pk)],
        "single_handed": False,
    }


def test_the_author_may_activate_what_others_approved() -> None:
    cast = make_cast()
    change = approve(make_change(cast, by=cast.lead), cast.owner)
    assert changes.activate(change=change, by=cast.lead).state == "applied"


@pytest.mark.parametrize("who", ["reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_others_activate_nothing(who: str) -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    with pytest.raises(accounts.NotPermitted):
        changes.activate(change=change, by=cast.people[who])
    assert not PolicyHead.objects.exists()
    assert Change.objects.get().state == "approved"


def test_without_votes_nothing_becomes_live() -> None:
    cast = make_cast()
    change = make_change(cast)
    with pytest.raises(changes.NotApproved, match="0 of 1 votes"):
        changes.activate(change=change, by=cast.lead)
    assert not PolicyHead.objects.exists()
    assert Change.objects.get().state == "in_review"


def test_the_second_of_two_changes_goes_stale() -> None:
    cast = make_cast()
    first, second = (approve(make_change(cast, keep_from), cast.owner) for keep_from in (0.8, 0.7))
    changes.activate(change=first, by=cast.lead)
    with pytest.raises(changes.StaleBase):
        changes.activate(change=second, by=cast.lead)
    assert Change.objects.get(pk=second.pk).state == "stale"
    assert PolicyHead.objects.get().change == first


def test_a_change_is_applied_once() -> None:
    cast = make_cast()
    applied = make_live(cast).change
    with pytest.raises(changes.NotOpen):
        changes.activate(change=applied, by=cast.lead)
    assert AuditEvent.objects.filter(action="changes.activate").count() == 1


def test_the_document_is_checked_against_the_register_once_more() -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    registry.retire(model=cast.models[0], reason="recalled", by=cast.lead)
    with pytest.raises(policies.InvalidPolicy, match="lexicon"):
        changes.activate(change=change, by=cast.lead)
    assert not PolicyHead.objects.exists()
