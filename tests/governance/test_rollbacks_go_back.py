"""Going back at once to what was live before: what comes of it, who may, to what, and that no SQL does more."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from governance import accounts, appointments, audit, changes, confirmations, registry, rollbacks, stops, workflows
from governance.change_records import lock_policy, write_revision
from governance.errors import GovernanceError, InvalidInput
from governance.models import Appointment, AuditEvent, Change, PolicyHead, Role, Rollback, User, new_id
from governance.permissions import roles_with
from tests.cast import (
    BOOTSTRAP,
    Cast,
    approve,
    make_cast,
    make_change,
    make_document,
    make_environment,
    make_live,
    make_rules,
    serve,
)
from tests.governance.test_changes_guards import APPLY

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def go_back(cast: Cast, to: Change, by: User | None = None, **given: Any) -> Change:
    """Go back to what a change had made live, as the lead unless said, from what is live now."""
    head = PolicyHead.objects.filter(workflow=cast.workflow, environment=cast.production).first()
    said = {"seen": head.version_id if head else None, "reason": "Cases pile up", "confirmed_at": timezone.now()}
    place = {"workflow": cast.workflow, "environment": cast.production}
    return rollbacks.go_back(to=to.pk, by=by or cast.lead, **(place | said | given))


def refused(cast: Cast, to: Change, why: str, kind: type[Exception] = changes.NotApproved, **given: Any) -> None:
    """Going back is refused and leaves all as it was."""
    kept = (PolicyHead, Rollback, Change, AuditEvent)
    before = [list(model.objects.order_by("pk").values()) for model in kept]
    with pytest.raises(kind, match=why):
        go_back(cast, to, **given)
    assert [list(model.objects.order_by("pk").values()) for model in kept] == before


def test_what_was_live_is_live_again_at_once(cast: Cast) -> None:
    first = make_live(cast, 0.8)
    make_live(cast, 0.6)
    rival = make_change(cast, 0.5)
    made = go_back(cast, first.change)

    head = PolicyHead.objects.select_related("version").get()
    assert (head.change, head.version.number, head.version.digest) == (made, 4, first.version.digest)
    assert (made.state, made.applied_by, made.title) == ("applied", cast.lead, "Roll back to version 1")
    assert Rollback.objects.get().to == first.change
    assert Change.objects.get(pk=rival.pk).state == "stale"
    event = AuditEvent.objects.about(made).get()
    assert (event.action, event.reason) == ("rollbacks.go_back", "Cases pile up")
    assert (event.before or {})["version"] == 2
    assert (event.after or {})["approved_by_change"] == first.change.number


def test_there_and_back_again_by_the_votes_of_the_first_time(cast: Cast) -> None:
    first, second = make_live(cast, 0.8).change, make_live(cast, 0.6).change
    assert [each.change for each in rollbacks.earlier(cast.workflow, cast.production)] == [first]
    back = go_back(cast, first)
    assert [each.change for each in rollbacks.earlier(cast.workflow, cast.production)] == [second]
    go_back(cast, second, cast.owner)
    assert PolicyHead.objects.get().version.document == second.revision.policy.document
    # What a roll-back made live had no votes of its own: nobody goes back to it, but to what it went back to.
    refused(cast, back, "never live in production by votes")
    go_back(cast, first)
    assert Rollback.objects.filter(to=first).count() == 2


def test_no_freeze_no_rest_and_no_stricter_rule_hold_it(cast: Cast) -> None:
    first = make_live(cast, 0.8).change
    make_live(cast, 0.6)
    start, end = (timezone.now() + timedelta(days=days) for days in (-1, 2))
    freeze = {"name": "Trade", "environments": [], "start": start.isoformat(), "end": end.isoformat()}
    make_rules(cast, {"name": "Slow", "votes": 3, "cool_off_minutes": 600}, freezes=[freeze])
    assert go_back(cast, first).state == "applied"


def test_who_proposed_the_bad_one_may_take_it_back(cast: Cast) -> None:
    first = make_live(cast, 0.8).change
    changes.activate(change=approve(make_change(cast, 0.6, by=cast.lead), cast.owner), by=cast.lead)
    assert go_back(cast, first, cast.lead).state == "applied"


@pytest.mark.parametrize("who", ["reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_others_go_nowhere(cast: Cast, who: str) -> None:
    first = make_live(cast, 0.8).change
    make_live(cast, 0.6)
    refused(cast, first, "You may not", accounts.NotPermitted, by=cast.people[who])


def test_the_database_knows_the_same_roles() -> None:
    assert set(roles_with("rollbacks.go_back")) == {Role.OWNER, Role.LEAD}


@pytest.mark.parametrize(
    ("given", "kind", "why"),
    [
        ({"reason": " "}, InvalidInput, "reason"),
        ({"confirmed_at": timedelta(minutes=-6)}, confirmations.NotConfirmed, "password again"),
        ({"confirmed_at": timedelta(minutes=1)}, confirmations.NotConfirmed, "password again"),
        ({"seen": None}, changes.StaleBase, "Another version became live"),
        ({"to": None}, changes.NotApproved, "never live"),
    ],
)
def test_bad_input_is_refused(cast: Cast, given: dict[str, Any], kind: type[GovernanceError], why: str) -> None:
    first = make_live(cast, 0.8).change
    make_live(cast, 0.6)
    if isinstance(given.get("confirmed_at"), timedelta):
        given = given | {"confirmed_at": timezone.now() + given["confirmed_at"]}
    to = given.pop("to", first.pk)
    refused(cast, Change(pk=to), why, kind, **given)


def _stopped_while_live(cast: Cast) -> Change:
    first = make_live(cast, 0.8).change
    stop = stops.begin(workflow=cast.workflow, reason="It leaks", by=cast.owner)
    stops.lift(stop=stop, reason="Another policy is live", by=cast.owner)
    make_live(cast, 0.6)
    return first


def _two(cast: Cast) -> Change:
    first = make_live(cast, 0.8).change
    make_live(cast, 0.6)
    return first


def _with_a_stopped_model(cast: Cast) -> Change:
    first = _two(cast)
    stops.begin(model=cast.models[1], reason="It harms", by=cast.owner)
    return first


def _with_a_retired_model(cast: Cast) -> Change:
    first = make_live(cast, 0.8).change
    changes.activate(change=approve(_without_the_second_model(cast), cast.owner), by=cast.lead)
    registry.retire(model=cast.models[1], reason="Gone", by=cast.lead)
    return first


def _without_the_second_model(cast: Cast) -> Change:
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production}
    document = make_document(0.6, "lexicon", "smollm2")
    return changes.propose(document=document, title="Fewer", note="", mode="enforce", by=cast.integrator, **place)


def _single_handed(cast: Cast) -> Change:
    made = make_change(cast, 0.8, by=cast.lead)
    taken = [cast.owner, cast.second_lead]
    for person in taken:
        accounts.deactivate(person=person, reason="Away", by=cast.admin)
    changes.activate(change=made, by=cast.lead, single_handed=True)
    for person in taken:
        accounts.reactivate(person=person, reason="Back", by=cast.admin)
    make_live(cast, 0.6)
    return Change.objects.get(pk=made.pk)


NOWHERE: dict[str, tuple[Callable[[Cast], Change], str]] = {
    "stopped while it was live": (_stopped_while_live, "the workflow was stopped while it was live"),
    "a model that is stopped": (_with_a_stopped_model, "its model Tf-Idf is stopped"),
    "a model that is retired": (_with_a_retired_model, "its model Tf-Idf is retired"),
    "nobody else ever looked": (_single_handed, "nobody ratified it"),
}


@pytest.mark.parametrize(("prepare", "why"), NOWHERE.values(), ids=NOWHERE)
def test_nobody_goes_back_to_what_was_taken_out(cast: Cast, prepare: Callable[[Cast], Change], why: str) -> None:
    to = prepare(cast)
    refused(cast, to, why)
    (found,) = [each for each in rollbacks.earlier(cast.workflow, cast.production) if each.change == to]
    assert why in found.why_not
    with pytest.raises(IntegrityError, match=why):
        by_hand(cast, to)


def test_nor_to_what_is_long_gone() -> None:
    with time_machine.travel(timezone.now() - timedelta(days=100), tick=True):
        cast = make_cast()
        first = _two(cast)
    with time_machine.travel(timezone.now() - timedelta(days=80), tick=True):
        second = PolicyHead.objects.get().change
        make_live(cast, 0.5)
    refused(cast, first, "more than 90 days ago")
    assert go_back(cast, second).state == "applied"


def test_nor_to_what_never_was_live_there(cast: Cast) -> None:
    make_live(cast, 0.8)
    other = make_environment("staging")
    serve(cast.models[0], other)
    elsewhere = changes.propose(
        workflow=cast.workflow,
        environment=other,
        document=make_change(cast, 0.3).revision.policy.document,
        title="For staging",
        note="",
        mode="enforce",
        by=cast.integrator,
    )
    changes.activate(change=approve(elsewhere, cast.owner), by=cast.lead)
    rejected = make_change(cast, 0.4)
    for each in (elsewhere, rejected, PolicyHead.objects.get(environment=cast.production).change):
        refused(cast, each, "never live in production by votes")


def test_nor_in_a_retired_workflow(cast: Cast) -> None:
    first = _two(cast)
    workflows.retire(workflow=cast.workflow, reason="Over", by=cast.lead)
    refused(cast, first, "is retired", changes.WorkflowRetired)


def test_an_appointment_of_the_place_is_suspended(cast: Cast) -> None:
    first = _two(cast)
    rival = approve(make_change(cast, 0.5), cast.owner)
    said: dict[str, Any] = {"digest": rival.revision.payload_digest, "at": timezone.now() + timedelta(days=1)}
    appointments.appoint(change=rival, by=cast.lead, **said)
    go_back(cast, first)
    assert Appointment.objects.get().state == "suspended"


BACK = """
    INSERT INTO governance_rollback (id, created_at, change_id, to_id, by_id, reason, confirmed_at)
    VALUES (gen_random_uuid(), now(), %(change)s, %(to)s, %(author)s, 'By hand', now())
"""
MOVE = """
    UPDATE governance_policyhead head SET version_id = r.version_id, mode = r.mode, change_id = c.id
    FROM governance_change c JOIN governance_revision r ON r.id = c.revision_id
    WHERE c.id = %(change)s AND head.workflow_id = c.workflow_id AND head.environment_id = c.environment_id
"""


def by_hand(cast: Cast, to: Change, *, by: User | None = None, keep_from: float | None = None) -> None:
    """Go back past the verb: write a change that is approved from the start, and let SQL do the rest."""
    author = by or cast.lead
    document = to.revision.policy.document if keep_from is None else make_document(keep_from)
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production}
    made = Change(title="By hand", proposed_by=author, state="approved", revision_id=new_id(), **place)
    with transaction.atomic(), connection.cursor() as cursor:
        _workflow, head = lock_policy(cast.workflow.pk, cast.production.pk)
        made.save()
        made.refresh_from_db(fields=["number"])
        write_revision(made, document, head, mode="enforce", note="", author=author, key=made.revision_id)
        given = {"change": made.pk, "to": to.pk, "author": author.pk}
        for statement in (BACK, APPLY, MOVE):
            cursor.execute(statement, given)
        audit.record(action="test.write", actor=BOOTSTRAP, object=made, summary="By hand")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_by_hand_it_is_as_by_the_verb(cast: Cast) -> None:
    by_hand(cast, _two(cast))
    assert PolicyHead.objects.get().change.title == "By hand"


def test_other_content_does_not_pass_for_what_was_live(cast: Cast) -> None:
    first = _two(cast)
    before = PolicyHead.objects.get().change
    with pytest.raises(IntegrityError, match="does not lead to what it goes back to"):
        by_hand(cast, first, keep_from=0.1)
    assert PolicyHead.objects.get().change == before


@pytest.mark.parametrize("who", ["integrator", "stranger"])
def test_nor_by_hand_in_the_name_of_somebody_who_may_not(cast: Cast, who: str) -> None:
    first = _two(cast)
    if who == "stranger":
        accounts.grant(user=cast.stranger, role="integrator", team=cast.team, by=cast.admin)
    with pytest.raises(IntegrityError, match="may not go back there"):
        by_hand(cast, first, by=cast.people[who])
