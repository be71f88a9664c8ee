"""No act falls between the kinds that an auditor draws from, and what an entry is about opens as its evidence."""

from collections.abc import Iterable

import pytest
from django.apps import apps
from django.urls import reverse

from governance.models import AuditEvent, new_id
from governance.models.audit_samples import KINDS
from governance.permissions import VIEWS
from governance.views import evidence
from tests.governance.acts import acts_written

# What is drawn for an auditor by its own name, since it belongs to no kind of acts, with the reason.
OF_NO_KIND = {
    **dict.fromkeys(
        ("appointments.appoint", "appointments.cancel", "appointments.keep", "appointments.suspend"),
        "decides nothing: what it makes live has an entry of that, and no vote is cast",
    ),
    "audit_samples.draw": "the auditor's own work",
    "brakes.begin": "a password was refused: nothing became of it",
    "bundles.issue": "a copy of what is live, made by the clock",
    "checks.record": "a machine's word, kept with the change that was voted on",
    **dict.fromkeys(("comments.add", "comments.resolve"), "talk: it binds nobody"),
    "preferences.choose": "how one person is told of things",
    "reminders.nudge": "a message: it binds nobody",
    "probes.try_endpoint": "a look at an address, which changes nothing",
    **dict.fromkeys(
        ("reviews.claim", "reviews.deliver", "reviews.open", "reviews.release"), "on the way to the review's outcome"
    ),
    **dict.fromkeys(("seals.begin_epoch", "verifications.run"), "the log's own upkeep"),
    **dict.fromkeys(
        ("simulations.ask", "simulations.begin", "simulations.cancel", "simulations.fail", "simulations.finish"),
        "a calculation over the past, which changes nothing",
    ),
    **dict.fromkeys(
        (
            *("webhooks.add", "webhooks.close", "webhooks.edit", "webhooks.renew_secret"),
            *("webhooks.send_again", "webhooks.send_test"),
        ),
        "where notices go: none holds more than a title and a link",
    ),
}
# What machines write entries about, and where each leads; what verbs write is looked into where they are played.
OF_MACHINES = {
    "auditcheckpoint": "audit",
    "auditepoch": "audit",
    "bundle": "instances",
    # A place that had to wait, forgotten within the hour: its entry says all there is.
    "brake": None,
}


def test_each_act_is_of_a_kind_or_of_none_for_a_reason() -> None:
    listed = [act for kind in KINDS.values() for act in kind.acts]
    written, of_a_kind = acts_written(), set(listed)
    assert written >= {"appointments.keep", "bundles.issue", "simulations.fail", "verifications.run"}
    assert written - of_a_kind - OF_NO_KIND.keys() == set(), "draw it with a kind (KINDS), or say here why with none"
    assert (of_a_kind | OF_NO_KIND.keys()) - written == set()
    assert of_a_kind & OF_NO_KIND.keys() == set()
    assert len(listed) == len(of_a_kind)


def about(kinds: Iterable[str]) -> list[AuditEvent]:
    """An entry about one of each."""
    return [AuditEvent(id=new_id(), object_type=kind, object_id=str(new_id())) for kind in kinds]


def test_what_machines_write_about_leads_to_its_list() -> None:
    events = about(OF_MACHINES)
    found = evidence.of(events, acts=VIEWS)
    assert {event.object_type: found.get(event.pk) for event in events} == {
        kind: page and reverse(page) for kind, page in OF_MACHINES.items()
    }


@pytest.mark.django_db
def test_what_leads_somewhere_exists_and_what_is_gone_leads_nowhere() -> None:
    tables = evidence._BY_ID | evidence._LISTED | evidence._BY_NAME
    assert set(tables) <= {model._meta.model_name for model in apps.get_models()}
    for kind, (_page, _act, label, _column) in evidence._BY_NAME.items():
        assert apps.get_model(label)._meta.model_name == kind
    # One query for all of them, whatever their tables.
    assert evidence.of(about(evidence._BY_NAME), acts=VIEWS) == {}
    assert evidence.of(about(tables), acts=()) == {}
