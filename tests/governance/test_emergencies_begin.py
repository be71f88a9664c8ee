"""Breaking the glass: what becomes live without votes, for how long, by whom, and what nobody gets past."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from governance import accounts, audit, changes, confirmations, emergencies, rollbacks, stops
from governance.errors import InvalidInput
from governance.models import AuditEvent, Change, Emergency, Hindsight, Notification, PolicyHead, Role, User
from governance.permissions import roles_with
from tests.cast import BOOTSTRAP, Cast, approve, make_cast, make_change, make_document, make_live, make_rules
from tests.governance.test_changes_guards import APPLY, APPROVE
from tests.governance.test_rollbacks_go_back import MOVE

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def begin(change: Change, by: User, **given: Any) -> Emergency:
    """Break the glass for a change as it is."""
    change = Change.objects.for_list().get(pk=change.pk)
    said: dict[str, Any] = {"digest": change.revision.payload_digest, "hours": 4, "reason": "It answers wrongly"}
    return emergencies.begin(change=change, by=by, **({"confirmed_at": timezone.now()} | said | given))


def refused(change: Change, by: User, why: str, kind: type[Exception] = changes.NotApproved, **given: Any) -> None:
    """Breaking the glass is refused and leaves all as it was."""
    kept = (PolicyHead, Emergency, Change, AuditEvent)
    before = [list(model.objects.order_by("pk").values()) for model in kept]
    with pytest.raises(kind, match=why):
        begin(change, by, **given)
    assert [list(model.objects.order_by("pk").values()) for model in kept] == before


def end_due(made: Emergency) -> int:
    """Let the sweeper come by a minute after the time is over."""
    with time_machine.travel(made.until + timedelta(minutes=1), tick=True):
        return emergencies.end_due(now=timezone.now())


def test_it_is_live_for_hours_and_then_what_was_before(cast: Cast) -> None:
    before = make_live(cast, 0.8)
    make_rules(cast, {"name": "Two", "votes": 2, "cool_off_minutes": 600})
    change, rival = make_change(cast, 0.5), make_change(cast, 0.4)
    made = begin(change, cast.owner)

    assert PolicyHead.objects.get().change == change
    assert Change.objects.get(pk=change.pk).applied_by == cast.owner
    assert Change.objects.get(pk=rival.pk).state == "stale"
    assert made.until - made.created_at == timedelta(hours=4)
    event = AuditEvent.objects.about(change).get(action="emergencies.begin")
    assert (event.reason, (event.after or {})["votes"]) == ("It answers wrongly", "0 of 2")
    assert emergencies.end_due(now=timezone.now()) == 0

    assert end_due(made) == 1
    made.refresh_from_db()
    head = PolicyHead.objects.select_related("version").get()
    assert (made.outcome, made.back, head.version.document) == ("reverted", head.change, before.version.document)
    assert head.change.title == "Back to version 1 after the emergency"
    assert AuditEvent.objects.about(change).get(action="emergencies.end").actor_name == "emergencies"
    assert end_due(made) == 0
    kinds = ["change.emergency", "change.rolled_back"]
    told = [
        (each.kind, {delivery.person.name for delivery in each.deliveries.all() if delivery.person})
        for each in Notification.objects.filter(kind__in=kinds).order_by("created_at")
    ]
    everybody = {"Integrator", "Lead", "Owner", "Second lead"}
    assert told == [("change.emergency", everybody - {"Owner"}), ("change.rolled_back", everybody)]


def test_a_freeze_does_not_hold_it(cast: Cast) -> None:
    make_live(cast)
    start, end = (timezone.now() + timedelta(days=days) for days in (-1, 2))
    freeze = {"name": "Trade", "environments": [], "start": start.isoformat(), "end": end.isoformat()}
    make_rules(cast, freezes=[freeze])
    assert begin(make_change(cast, 0.5), cast.owner).outcome == ""


def test_it_can_be_taken_back_before(cast: Cast) -> None:
    make_live(cast, 0.8)
    change = make_change(cast, 0.5)
    begin(change, cast.owner)
    for who in ("reviewer", "integrator", "auditor", "admin", "stranger"):
        with pytest.raises(accounts.NotPermitted):
            emergencies.end(change=change, reason="Over", by=cast.people[who])
    assert PolicyHead.objects.get().change == change
    emergencies.end(change=change, reason="Over", by=cast.lead)
    assert PolicyHead.objects.get().change.reverts.change == change
    with pytest.raises(changes.NotOpen):
        emergencies.end(change=change, reason="Over", by=cast.lead)


def test_to_let_it_stay_takes_the_votes_it_had_not(cast: Cast) -> None:
    make_live(cast, 0.8)
    make_rules(cast, {"name": "Gates", "when": {"parts": ["gate"]}, "votes": 2})
    change = make_change(cast, 0.5)
    made = begin(change, cast.owner)
    same = make_change(cast, 0.5)
    # It changes nothing of what is live, and all the same it asks for what its parts ask for.
    assert same.revision.rule["votes_needed"] == 2
    for voter in (cast.owner, cast.lead):
        same = approve(same, voter)
    changes.activate(change=same, by=cast.lead)
    made.refresh_from_db()
    assert (made.outcome, made.back, PolicyHead.objects.get().change) == ("replaced", None, same)
    assert end_due(made) == 0


def test_a_roll_back_ends_it_and_goes_not_to_it(cast: Cast) -> None:
    first = make_live(cast, 0.8).change
    make_live(cast, 0.7)
    change = make_change(cast, 0.5)
    made = begin(change, cast.owner)
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production}
    said: dict[str, Any] = {
        "to": first.pk,
        "seen": PolicyHead.objects.get().version_id,
        "reason": "No",
        "confirmed_at": timezone.now(),
    }
    rollbacks.go_back(by=cast.lead, **place, **said)
    made.refresh_from_db()
    assert made.outcome == "replaced"
    assert change not in [each.change for each in rollbacks.earlier(**place)]


@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_others_break_nothing(cast: Cast, who: str) -> None:
    make_live(cast)
    refused(make_change(cast, 0.5), cast.people[who], "You may not", accounts.NotPermitted)


def test_nobody_breaks_it_for_what_he_wrote(cast: Cast) -> None:
    make_live(cast)
    refused(make_change(cast, 0.5, by=cast.lead), cast.lead, "had a hand", changes.OwnHand)
    change = make_change(cast, 0.4)
    changes.revise(change=change, document=make_document(0.3), by=cast.owner)
    refused(change, cast.owner, "had a hand", changes.OwnHand)


def test_the_database_knows_the_same_roles() -> None:
    assert set(roles_with("emergencies.begin")) == set(roles_with("changes.vote")) == {Role.OWNER, Role.LEAD}


@pytest.mark.parametrize(
    ("given", "kind", "why"),
    [
        ({"reason": " "}, InvalidInput, "reason"),
        ({"hours": 25}, changes.ChangeError, "1 to 24"),
        ({"hours": 0}, changes.ChangeError, "1 to 24"),
        ({"digest": "0" * 64}, changes.DigestMoved, "was edited"),
        ({"confirmed_at": timedelta(minutes=-6)}, confirmations.NotConfirmed, "password again"),
    ],
)
def test_bad_input_is_refused(cast: Cast, given: dict[str, Any], kind: type[Exception], why: str) -> None:
    make_live(cast)
    if "confirmed_at" in given:
        given = {"confirmed_at": timezone.now() + given["confirmed_at"]}
    refused(make_change(cast, 0.5), cast.owner, why, kind, **given)


def _first(cast: Cast) -> Change:
    return make_change(cast, 0.5)


def _objected(cast: Cast) -> Change:
    make_live(cast)
    change = make_change(cast, 0.5)
    said: dict[str, Any] = {"choice": "request_changes", "reason": "Too low", "by": cast.second_lead}
    return changes.vote(change=change, digest=change.revision.payload_digest, **said)


def _stopped(**of: str) -> Callable[[Cast], Change]:
    def prepare(cast: Cast) -> Change:
        make_live(cast)
        target: dict[str, Any] = {"workflow": cast.workflow, "model": cast.models[1]}
        stops.begin(reason="It harms", by=cast.lead, **{name: target[name] for name in of})
        return make_change(cast, 0.5)

    return prepare


def _second(cast: Cast) -> Change:
    make_live(cast)
    begin(make_change(cast, 0.5), cast.owner)
    return make_change(cast, 0.4)


NOT_PAST: dict[str, tuple[Callable[[Cast], Change], str]] = {
    "nothing to go back to": (_first, "nothing is live there"),
    "an objection": (_objected, "is against it"),
    "a stop of the workflow": (_stopped(workflow=""), "its workflow is stopped"),
    "a stop of a model": (_stopped(model=""), "its model Tf-Idf is stopped"),
    "a stop of everything": (_stopped(), "everything is stopped"),
    "another emergency": (_second, "by an emergency already"),
}


@pytest.mark.parametrize(("prepare", "why"), NOT_PAST.values(), ids=NOT_PAST)
def test_no_emergency_gets_past(cast: Cast, prepare: Callable[[Cast], Change], why: str) -> None:
    change = prepare(cast)
    refused(change, cast.lead, why)
    if PolicyHead.objects.exists():
        with pytest.raises(IntegrityError, match=why):
            by_hand(change, cast.lead)


def test_nor_past_hindsight_that_is_overdue() -> None:
    with time_machine.travel(timezone.now() - timedelta(days=3), tick=True):
        cast = make_cast()
        make_live(cast)
        early = make_change(cast, 0.5)
        made = begin(early, cast.owner)
    assert emergencies.end_due(now=timezone.now()) == 1
    change = make_change(cast, 0.4)
    refused(change, cast.owner, "that is overdue")
    assert made.due < timezone.now()
    emergencies.look_back(change=early, opinion="wrong", reason="It could have waited", by=cast.lead)
    assert begin(change, cast.owner).outcome == ""


def test_rules_wait_for_votes(cast: Cast) -> None:
    document = {"rules": [{"name": "None"}]}
    rules = changes.propose_approval_rules(document=document, title="None", note="", by=cast.lead)
    refused(rules, cast.second_lead, "only a policy becomes live by one")


BREAK = """
    INSERT INTO governance_emergency
        (id, created_at, change_id, digest, by_id, reason, confirmed_at, until, outcome)
    SELECT gen_random_uuid(), now(), c.id, r.payload_digest, %(author)s, 'By hand', now(), now() + %(hours)s, ''
    FROM governance_change c JOIN governance_revision r ON r.id = c.revision_id WHERE c.id = %(change)s
"""


AHEAD = BREAK.replace("now()", "now() + interval '9 days'")
ALL = (APPROVE, BREAK, APPLY, MOVE)


def by_hand(change: Change, by: User, statements: tuple[str, ...] = ALL, hours: int = 4) -> None:
    """Break the glass in SQL, with an entry, and commit."""
    given: dict[str, Any] = {"change": change.pk, "author": by.pk, "hours": timedelta(hours=hours)}
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, given)
        audit.record(action="test.write", actor=BOOTSTRAP, object=change, summary="By hand")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def test_by_hand_it_is_as_by_the_verb(cast: Cast) -> None:
    make_live(cast)
    change = make_change(cast, 0.5)
    by_hand(change, cast.owner)
    assert PolicyHead.objects.get().change == change


@pytest.mark.parametrize(
    ("who", "how", "why"),
    [
        ("integrator", {}, "nobody breaks the glass"),
        ("stranger", {}, "nobody breaks the glass"),
        ("owner", {"hours": 25}, "emergency_until_within_a_day"),
        (
            "owner",
            {"statements": (APPROVE, AHEAD, APPLY, MOVE)},
            "too long",
        ),
        ("owner", {"statements": (APPROVE, APPLY, MOVE)}, "has 0 of 1 votes"),
        ("owner", {"statements": (APPROVE, BREAK)}, "holds as long as its change is live"),
        ("owner", {"statements": (BREAK, APPLY, MOVE)}, "not about to become live"),
    ],
)
def test_by_hand_neither_more_nor_longer(cast: Cast, who: str, how: dict[str, Any], why: str) -> None:
    before = make_live(cast)
    with pytest.raises(IntegrityError, match=why):
        by_hand(make_change(cast, 0.5), cast.people[who], **how)
    assert PolicyHead.objects.get().change == before.change


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE governance_emergency SET until = now() + interval '20 hours'",
        "UPDATE governance_emergency SET outcome = 'replaced', ended_at = now()",
        "DELETE FROM governance_emergency",
        "UPDATE governance_emergency SET by_id = change.proposed_by_id FROM governance_change change",
    ],
)
def test_nobody_makes_it_last(cast: Cast, sql: str) -> None:
    make_live(cast)
    made = begin(make_change(cast, 0.5), cast.owner)
    before = list(Emergency.objects.values())
    with pytest.raises(IntegrityError):
        by_hand(made.change, cast.lead, statements=(sql,))
    assert list(Emergency.objects.values()) == before


def test_a_third_looks_back(cast: Cast) -> None:
    make_live(cast)
    change = make_change(cast, 0.5)
    begin(change, cast.owner)
    said: dict[str, Any] = {"change": change, "opinion": "right", "reason": "Half of the cases were wrong"}
    for who, kind in (
        ("owner", changes.OwnHand),
        ("integrator", accounts.NotPermitted),
        ("stranger", accounts.NotPermitted),
        ("auditor", accounts.NotPermitted),
    ):
        with pytest.raises(kind):
            emergencies.look_back(by=cast.people[who], **said)
    for wrong in ({"reason": ""}, {"opinion": "perhaps"}):
        with pytest.raises(InvalidInput):
            emergencies.look_back(by=cast.lead, **(said | wrong))
    assert not Hindsight.objects.exists()
    assert list(Emergency.objects.to_look_back_by(cast.lead)) == [Emergency.objects.get()]
    assert not Emergency.objects.to_look_back_by(cast.owner)
    emergencies.look_back(by=cast.lead, **said)
    assert Hindsight.objects.get().by == cast.lead
    assert not Emergency.objects.to_look_back_by(cast.second_lead)
    with pytest.raises(changes.NotOpen, match="already"):
        emergencies.look_back(by=cast.second_lead, **said)
    with pytest.raises(changes.NotOpen, match="did not become live by an emergency"):
        emergencies.look_back(by=cast.lead, **(said | {"change": make_change(cast, 0.3)}))


def test_nobody_looks_back_at_his_own_by_sql(cast: Cast) -> None:
    make_live(cast)
    made = begin(make_change(cast, 0.5), cast.owner)
    for person in (cast.owner, cast.integrator, cast.stranger):
        with pytest.raises(IntegrityError, match="had no hand in it"), transaction.atomic():
            Hindsight.objects.create(emergency=made, by=person, opinion="right", reason="Fine")
