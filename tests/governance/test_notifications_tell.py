"""Notifications: who is told what by which verb, in its transaction, and what a message never holds."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from governance import (
    accounts,
    appointments,
    changes,
    comments,
    delegations,
    notifications,
    preferences,
    rollbacks,
    stops,
)
from governance.errors import GovernanceError
from governance.models import Appointment, Change, Delivery, Notification, NotificationKind, User
from tests.cast import Cast, approve, make_cast, make_change, make_document, make_environment, make_live, serve

pytestmark = pytest.mark.django_db
Kind = NotificationKind


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def told(kind: Kind) -> list[tuple[str, set[str]]]:
    """What of a kind was told, oldest first: its title, and the names of the people."""
    return [
        (each.title, {delivery.person.name for delivery in each.deliveries.all() if delivery.person})
        for each in Notification.objects.filter(kind=kind).order_by("created_at")
    ]


def last(kind: Kind) -> tuple[str, set[str]]:
    """The last that was told of a kind."""
    return told(kind)[-1]


def vote(change: Change, by: User, choice: str) -> Change:
    """Vote on what the change says, with a reason that belongs on no other page."""
    digest = change.revision.payload_digest
    return changes.vote(change=change, digest=digest, choice=choice, reason="a reason of mine", by=by)


def test_who_may_vote_is_asked_and_who_wrote_it_is_not(cast: Cast) -> None:
    change = make_change(cast, by=cast.lead)
    assert told(Kind.VOTE_NEEDED) == [
        (f"Change {change.number} for Customer feedback in production asks for votes", {"Owner", "Second lead"})
    ]
    changes.revise(change=change, document=make_document(0.5), by=cast.lead)
    assert len(told(Kind.VOTE_NEEDED)) == 2
    made = Notification.objects.order_by("created_at")[0]
    assert (made.about, made.path) == (str(change.pk), f"/changes/{change.pk}/")
    assert made.facts["number"] == change.number


def test_without_a_vote_to_give_nobody_is_asked(cast: Cast) -> None:
    free = make_environment("development", votes_needed=0)
    for model in cast.models:
        serve(model, free)
    changes.propose(
        workflow=cast.workflow, environment=free, document=make_document(), title="T", note="", by=cast.integrator
    )
    assert told(Kind.VOTE_NEEDED) == []
    assert told(Kind.APPROVED)[0][1] == set()


@pytest.mark.parametrize(
    ("choice", "kind", "said"),
    [
        ("approve", Kind.APPROVED, "is approved"),
        ("request_changes", Kind.SENT_BACK, "is sent back"),
        ("reject", Kind.REJECTED, "is rejected"),
    ],
)
def test_its_author_is_told_what_a_vote_made_of_it(cast: Cast, choice: str, kind: Kind, said: str) -> None:
    change = make_change(cast)
    vote(change, cast.owner, choice)
    assert told(kind) == [(f"Change {change.number} for {change.place} {said}", {"Integrator"})]
    for made in Notification.objects.all():
        assert "a reason of mine" not in f"{made.title}{made.text}{made.facts}"


def test_a_vote_that_decides_nothing_tells_nobody(cast: Cast) -> None:
    change = make_change(cast)
    before = Notification.objects.count()
    vote(change, cast.owner, "abstain")
    assert Notification.objects.count() == before


def test_author_and_owner_are_told_that_it_is_live_and_others_that_theirs_went_stale(cast: Cast) -> None:
    slow = make_change(cast, 0.7, by=cast.second_lead)
    make_live(cast)
    assert last(Kind.LIVE)[1] == {"Integrator", "Owner"}
    assert told(Kind.STALE) == [(f"Change {slow.number} for {slow.place} went stale", {"Second lead"})]


def test_who_wrote_could_approve_or_owns_it_is_told_of_a_roll_back(cast: Cast) -> None:
    first = make_live(cast, 0.8).change
    second = make_live(cast, 0.6)
    rollbacks.go_back(
        workflow=cast.workflow,
        environment=cast.production,
        seen=second.version_id,
        to=first.pk,
        reason="a reason of mine",
        confirmed_at=timezone.now(),
        by=cast.lead,
    )
    title, people = last(Kind.ROLLED_BACK)
    assert "went back to an earlier version" in title
    assert people == {"Integrator", "Owner", "Second lead"}


def test_who_appointed_it_hears_of_both_ends(cast: Cast) -> None:
    def appoint(keep_from: float) -> Appointment:
        change = approve(make_change(cast, keep_from), cast.owner)
        at = timezone.now() + timedelta(hours=1)
        return appointments.appoint(change=change, digest=change.revision.payload_digest, at=at, by=cast.lead)

    with time_machine.travel(appoint(0.8).at + timedelta(minutes=1), tick=True):
        appointments.keep_due(now=timezone.now())
        assert last(Kind.LIVE)[1] == {"Integrator", "Owner", "Lead"}
        made = appoint(0.7)
        accounts.revoke(grant=cast.lead.grants.get(), by=cast.admin)
    with time_machine.travel(made.at + timedelta(minutes=1), tick=True):
        appointments.keep_due(now=timezone.now())
    assert last(Kind.SUSPENDED)[1] == {"Integrator", "Lead"}


@pytest.mark.parametrize(
    ("target", "people"),
    [
        ("workflow", {"Lead", "Second lead"}),
        ("model", {"Lead", "Second lead"}),
        ("everything", {"Owner", "Second lead"}),
    ],
)
def test_who_answers_for_what_is_stopped_is_told_and_who_did_it_is_not(
    cast: Cast, target: str, people: set[str]
) -> None:
    of: dict[str, Any] = {"workflow": {"workflow": cast.workflow}, "model": {"model": cast.models[0]}, "everything": {}}
    by = cast.lead if target == "everything" else cast.owner
    stop = stops.begin(reason="a reason of mine", by=by, **of[target])
    assert last(Kind.STOP_BEGUN)[1] == people
    stops.lift(stop=stop, reason="mended", by=by)
    assert last(Kind.STOP_LIFTED)[1] == people
    assert "reason of mine" not in str(list(Notification.objects.values()))


def test_who_wrote_it_and_who_spoke_before_hears_of_a_comment_and_never_what_it_says(cast: Cast) -> None:
    change = make_change(cast)

    def say(by: User) -> set[str]:
        digest = change.revision.payload_digest
        comments.add(change=change, digest=digest, path="", text="a reason of mine", by=by)
        return last(Kind.COMMENTED)[1]

    assert say(cast.owner) == {"Integrator"}
    assert say(cast.lead) == {"Integrator", "Owner"}
    assert say(cast.integrator) == {"Owner", "Lead"}
    assert last(Kind.COMMENTED)[0] == f"Change {change.number} for Customer feedback in production has a comment"
    assert "reason of mine" not in str(list(Notification.objects.values()))
    accounts.revoke(grant=cast.owner.grants.get(), by=cast.admin)
    assert say(cast.lead) == {"Integrator"}


def test_a_refused_comment_is_not_told(cast: Cast) -> None:
    change = make_change(cast)
    before = Notification.objects.count()
    with pytest.raises(GovernanceError):
        comments.add(change=change, digest="0" * 64, path="", text="too late", by=cast.owner)
    assert Notification.objects.count() == before


@pytest.mark.parametrize("ender", ["owner", "second_lead"])
def test_both_of_a_delegation_hear_what_the_other_did(cast: Cast, ender: str) -> None:
    now = timezone.now()
    made = delegations.delegate(
        to=cast.second_lead, starts_at=now, ends_at=now + timedelta(days=3), reason="a reason of mine", by=cast.owner
    )
    title, people = last(Kind.DELEGATED)
    assert people == {"Second lead"}
    assert title.startswith("Owner lets Second lead cast his votes until ")
    delegations.revoke(delegation=made, by=getattr(cast, ender))
    assert last(Kind.REVOKED) == (
        "Second lead casts no votes for Owner any more",
        {"Second lead"} if ender == "owner" else {"Owner"},
    )
    assert "reason of mine" not in str(list(Notification.objects.values()))


def test_who_left_or_said_never_is_told_nothing_and_daily_waits_for_eight_in_the_morning(cast: Cast) -> None:
    accounts.deactivate(person=cast.second_lead, reason="left", by=cast.admin)
    for person, how in ((cast.lead, "never"), (cast.owner, "daily")):
        preferences.choose(person=person, choices={Kind.VOTE_NEEDED: how}, by=person)
    make_change(cast)
    delivery = Delivery.objects.get()
    assert (delivery.person, delivery.digest, delivery.due_at.hour) == (cast.owner, True, 8)
    assert delivery.due_at > timezone.now()


def test_where_no_mail_server_is_set_nobody_is_mailed(cast: Cast, settings: Any) -> None:
    settings.SENDS_EMAIL = False
    make_change(cast)
    assert Notification.objects.count() == 1
    assert not Delivery.objects.exists()


def test_what_is_taken_back_is_not_told(cast: Cast) -> None:
    class Stopped(Exception):
        """Something after the verb failed."""

    def fail() -> None:
        with transaction.atomic():
            make_change(cast)
            raise Stopped

    with pytest.raises(Stopped):
        fail()
    change = make_change(cast)
    before = Notification.objects.count()
    with pytest.raises(GovernanceError):
        vote(change, cast.integrator, "approve")
    assert Notification.objects.count() == before == 1


def test_a_title_is_one_line_and_no_longer_than_a_subject(cast: Cast) -> None:
    made = notifications.tell(
        kind=Kind.TEST, about="x", to=[], title="one\nBcc: all@example.com\n" + "x" * 900, text="", path="/", facts={}
    )
    assert "\n" not in made.title
    assert len(made.title) == notifications.TITLE_LENGTH
