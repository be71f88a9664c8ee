"""Appointments: approved changes that become live by themselves, once, or say why they did not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance import accounts, appointments, changes, registry, workflows
from governance.models import Appointment, AuditEvent, Change, PolicyHead, User
from tests.cast import Cast, approve, make_cast, make_change, make_document, make_rules

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def tomorrow() -> datetime:
    """A moment ahead."""
    return timezone.now() + timedelta(days=1)


def appoint(change: Change, by: User, at: datetime | None = None) -> Appointment:
    """Make an appointment for the change as it is."""
    digest = change.revision.payload_digest
    return appointments.appoint(change=change, digest=digest, at=at or tomorrow(), by=by)


def keep(made: Appointment) -> int:
    """Let the sweeper come by a minute after the moment."""
    with time_machine.travel(made.at + timedelta(minutes=1), tick=True):
        return appointments.keep_due(now=timezone.now())


def suspended(made: Appointment) -> str:
    """Keep what is due and return why it was suspended; nothing else came of it."""
    before = list(PolicyHead.objects.values())
    assert keep(made) == 1
    made.refresh_from_db()
    assert made.state == "suspended"
    assert list(PolicyHead.objects.values()) == before
    assert Change.objects.get(pk=made.change_id).state != "applied"
    said = AuditEvent.objects.about(made.change).get(action="appointments.suspend")
    assert (said.after or {})["appointment"] == "suspended"
    assert keep(made) == 0
    return made.why


def test_it_becomes_live_by_itself_once(cast: Cast) -> None:
    change = approve(make_change(cast), cast.owner)
    made = appoint(change, cast.lead)
    assert appointments.keep_due(now=timezone.now()) == 0
    assert not PolicyHead.objects.exists()

    assert keep(made) == 1

    made.refresh_from_db()
    assert (made.state, PolicyHead.objects.get().change) == ("kept", change)
    assert Change.objects.get().applied_by == cast.lead
    kept = AuditEvent.objects.about(change).get(action="appointments.keep")
    assert (kept.actor_name, (kept.after or {})["appointed_by"]) == ("appointments", str(cast.lead.pk))
    assert keep(made) == 0
    assert AuditEvent.objects.filter(action="changes.activate").count() == 1


def test_making_one_is_recorded_and_another_moment_takes_its_place(cast: Cast) -> None:
    change = approve(make_change(cast), cast.owner)
    first = appoint(change, cast.lead)
    second = appoint(change, cast.owner, first.at + timedelta(hours=2))
    first.refresh_from_db()
    assert (first.state, second.state) == ("cancelled", "waiting")
    newest = AuditEvent.objects.about(change).filter(action="appointments.appoint").newest_first()[0]
    assert newest.before == {"at": first.at.isoformat()}
    assert (newest.after or {})["payload_digest"] == change.revision.payload_digest
    appointments.cancel(change=change, by=cast.lead)
    assert keep(second) == 0
    assert Change.objects.get().state == "approved"
    with pytest.raises(changes.NotOpen, match="no appointment"):
        appointments.cancel(change=change, by=cast.lead)


@pytest.mark.parametrize("who", ["reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_others_appoint_and_cancel_nothing(cast: Cast, who: str) -> None:
    change = approve(make_change(cast), cast.owner)
    with pytest.raises(accounts.NotPermitted):
        appoint(change, cast.people[who])
    assert not Appointment.objects.exists()
    appoint(change, cast.lead)
    with pytest.raises(accounts.NotPermitted):
        appointments.cancel(change=change, by=cast.people[who])
    assert Appointment.objects.get().state == "waiting"


@pytest.mark.parametrize("ahead", [timedelta(minutes=-1), timedelta(days=366)])
def test_a_moment_is_ahead_and_within_a_year(cast: Cast, ahead: timedelta) -> None:
    change = approve(make_change(cast), cast.owner)
    with pytest.raises(changes.ChangeError, match="after now, within a year"):
        appoint(change, cast.lead, timezone.now() + ahead)
    assert not Appointment.objects.exists()


def test_only_what_was_seen_and_approved_waits(cast: Cast) -> None:
    change = make_change(cast)
    with pytest.raises(changes.NotOpen, match="only an approved one"):
        appoint(change, cast.lead)
    change = approve(change, cast.owner)
    with pytest.raises(changes.DigestMoved):
        appointments.appoint(change=change, digest="0" * 64, at=tomorrow(), by=cast.lead)
    assert not Appointment.objects.exists()


def test_of_a_place_one_waits(cast: Cast) -> None:
    first, second = (approve(make_change(cast, keep_from), cast.owner) for keep_from in (0.8, 0.7))
    appoint(first, cast.lead)
    with pytest.raises(appointments.AppointmentClash, match=f"Change {first.number} is to become live"):
        appoint(second, cast.lead)
    assert Appointment.objects.get().change == first


def test_what_rests_until_later_is_refused_at_once(cast: Cast) -> None:
    make_rules(cast, {"name": "Rest", "votes": 1, "cool_off_minutes": 600})
    change = approve(make_change(cast), cast.owner)
    with pytest.raises(changes.NotApproved, match="rests until"):
        appoint(change, cast.lead, timezone.now() + timedelta(hours=1))
    assert appoint(change, cast.lead).state == "waiting"


def test_a_voter_who_left_suspends_it(cast: Cast) -> None:
    made = appoint(approve(make_change(cast), cast.owner), cast.lead)
    accounts.deactivate(person=cast.owner, reason="Left", by=cast.admin)
    why = suspended(made)
    assert "0 of 1 votes" in why
    assert "Owner approved it, but may no longer sign in" in why


def test_who_appointed_it_and_left_suspends_it(cast: Cast) -> None:
    made = appoint(approve(make_change(cast), cast.owner), cast.second_lead)
    accounts.deactivate(person=cast.second_lead, reason="Left", by=cast.admin)
    assert suspended(made) == "Second lead, who made the appointment, may no longer sign in."


def test_a_freeze_suspends_it_and_it_can_be_appointed_anew(cast: Cast) -> None:
    change = approve(make_change(cast), cast.owner)
    made = appoint(change, cast.lead)
    start, end = (timezone.now() + timedelta(days=days) for days in (-1, 2))
    freeze = {"name": "Trade", "environments": [], "start": start.isoformat(), "end": end.isoformat()}
    make_rules(cast, freezes=[freeze])
    assert "Trade lets nothing become live until" in suspended(made)
    make_rules(cast)
    assert keep(appoint(change, cast.lead)) == 1
    assert PolicyHead.objects.get().change == change


def test_a_stricter_rule_suspends_it(cast: Cast) -> None:
    made = appoint(approve(make_change(cast), cast.owner), cast.lead)
    make_rules(cast, {"name": "Two", "votes": 2})
    assert "1 of 2 votes" in suspended(made)


def test_a_model_that_is_retired_suspends_it(cast: Cast) -> None:
    made = appoint(approve(make_change(cast), cast.owner), cast.lead)
    registry.retire(model=cast.models[0], reason="Gone", by=cast.lead)
    assert "lexicon" in suspended(made)


def test_a_retired_workflow_suspends_it(cast: Cast) -> None:
    made = appoint(approve(make_change(cast), cast.owner), cast.lead)
    workflows.retire(workflow=cast.workflow, reason="Over", by=cast.lead)
    assert "is retired" in suspended(made)


def test_an_objection_suspends_it_unless_it_is_lifted(cast: Cast) -> None:
    change = approve(make_change(cast), cast.owner)
    made = appoint(change, cast.lead)
    said: dict[str, Any] = {"change": change, "digest": change.revision.payload_digest, "by": cast.second_lead}
    changes.vote(choice="request_changes", reason="Too low", **said)
    assert "1 against" in suspended(made)


def test_another_change_that_became_live_first_suspends_it_in_the_same_moment(cast: Cast) -> None:
    first, second = (approve(make_change(cast, keep_from), cast.owner) for keep_from in (0.8, 0.7))
    made = appoint(first, cast.lead)
    changes.activate(change=second, by=cast.lead)
    made.refresh_from_db()
    assert (made.state, made.why.split(".")[0]) == ("suspended", "Another change became live in its place first")
    assert keep(made) == 0


@pytest.mark.parametrize("end", ["withdraw", "reject", "revise"])
def test_it_ends_with_what_it_was_for(cast: Cast, end: str) -> None:
    change = approve(make_change(cast), cast.owner)
    made = appoint(change, cast.lead)
    if end == "withdraw":
        changes.withdraw(change=change, by=change.proposed_by)
    elif end == "reject":
        digest = change.revision.payload_digest
        changes.vote(change=change, digest=digest, choice="reject", reason="No", by=cast.second_lead)
    else:
        changes.revise(change=change, document=make_document(0.5), by=change.proposed_by)
    made.refresh_from_db()
    assert made.state == "cancelled"
    assert keep(made) == 0
    assert not PolicyHead.objects.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE governance_appointment SET at = now() + interval '1 minute'",
        "UPDATE governance_appointment SET by_id = change.proposed_by_id FROM governance_change change",
        "UPDATE governance_appointment SET state = 'kept', ended_at = now()",
        "DELETE FROM governance_appointment",
        "INSERT INTO governance_appointment (id, created_at, change_id, revision_id, workflow_id, environment_id, at,"
        " by_id, state, why) SELECT gen_random_uuid(), now(), change_id, revision_id, NULL, NULL, at, by_id, 'waiting',"
        " '' FROM governance_appointment",
    ],
)
def test_nobody_goes_round_the_verb(cast: Cast, sql: str) -> None:
    appoint(approve(make_change(cast), cast.owner), cast.lead)
    before = list(Appointment.objects.values())
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert list(Appointment.objects.values()) == before


def test_the_pages_tell_it(cast: Cast) -> None:
    change = approve(make_change(cast), cast.owner)
    lead, proposer = Client(), Client()
    lead.force_login(cast.lead)
    proposer.force_login(change.proposed_by)
    page = reverse("change", args=[change.pk])
    said = {"appoint-digest": change.revision.payload_digest, "appoint-at": f"{tomorrow():%Y-%m-%dT%H:%M}"}
    assert "Appoint</button>" in lead.get(page).content.decode()
    answer = lead.post(reverse("change_appoint", args=[change.pk]), said, follow=True).content.decode()
    assert "It becomes live by itself" in answer
    assert "Scheduled" in lead.get(reverse("changes")).content.decode()
    refused = lead.post(reverse("change_appoint", args=[change.pk]), said | {"appoint-at": "soon"}, follow=True)
    assert "Write a date and a time." in refused.content.decode()
    assert Appointment.objects.get().state == "waiting"
    accounts.deactivate(person=cast.owner, reason="Left", by=cast.admin)
    keep(Appointment.objects.get())
    shown = lead.get(page).content.decode()
    assert "Suspended: it did not become live" in shown
    assert "may no longer sign in" in shown
    assert "did not become live by itself" in proposer.get(reverse("home")).content.decode()
    cancelled = lead.post(reverse("change_cancel", args=[change.pk]), follow=True).content.decode()
    assert "has no appointment" in cancelled
