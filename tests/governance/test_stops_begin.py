"""Stops: who may stop what, once, with a reason, and let it in again."""

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from governance import registry, stops, workflows
from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditEvent, Stop
from tests.cast import Cast, make_cast, make_workflow
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody."""
    return make_cast()


def target(cast: Cast, kind: str) -> dict[str, Any]:
    """What is stopped, as the verb takes it."""
    targets: dict[str, dict[str, Any]] = {
        "workflow": {"workflow": cast.workflow},
        "model": {"model": cast.models[0]},
        "everything": {},
    }
    return targets[kind]


@pytest.mark.parametrize(
    ("kind", "who", "said"),
    [
        ("workflow", "owner", "Customer feedback"),
        ("workflow", "lead", "Customer feedback"),
        ("model", "owner", "Lexicon"),
        ("everything", "lead", "everything"),
    ],
)
def test_one_is_stopped_and_let_in_again(cast: Cast, kind: str, who: str, said: str) -> None:
    by = cast.people[who]
    stop = stops.begin(reason=" wrong answers ", by=by, **target(cast, kind))
    assert (stop.of, stop.reason, stop.stopped_by, stop.lifted_at) == (said, "wrong answers", by, None)
    assert list(Stop.objects.holding()) == [stop]

    lifted = stops.lift(stop=stop, reason="mended", by=by)

    assert lifted.lifted_by == by
    assert not Stop.objects.holding().exists()
    entries = AuditEvent.objects.about(stop).order_by("at").values_list("action", "summary", "reason")
    assert list(entries) == [
        ("stops.begin", f"Stopped {said}", "wrong answers"),
        ("stops.lift", f"Let in {said} again", "mended"),
    ]


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("workflow", ["reviewer", "finance", "integrator", "auditor", "admin", "stranger"]),
        ("model", ["reviewer", "finance", "integrator", "auditor", "admin", "stranger"]),
        ("everything", ["owner", "reviewer", "finance", "integrator", "auditor", "admin", "stranger"]),
    ],
)
def test_nobody_else_stops_or_lets_in(cast: Cast, kind: str, refused: list[str]) -> None:
    for who in refused:
        with pytest.raises(NotPermitted):
            stops.begin(reason="no", by=cast.people[who], **target(cast, kind))
    assert not Stop.objects.exists()
    stop = stops.begin(reason="harm", by=cast.lead, **target(cast, kind))
    written = AuditEvent.objects.count()
    for who in refused:
        with pytest.raises(NotPermitted):
            stops.lift(stop=stop, reason="no", by=cast.people[who])
    assert Stop.objects.holding().count() == 1
    assert AuditEvent.objects.count() == written


@pytest.mark.parametrize("kind", ["workflow", "model", "everything"])
def test_it_is_stopped_once_and_lifted_once(cast: Cast, kind: str) -> None:
    first = stops.begin(reason="harm", by=cast.lead, **target(cast, kind))
    with pytest.raises(InvalidInput, match="stopped already"):
        stops.begin(reason="harm", by=cast.second_lead, **target(cast, kind))
    stops.lift(stop=first, reason="mended", by=cast.second_lead)
    with pytest.raises(InvalidInput, match="lifted already"):
        stops.lift(stop=first, reason="mended", by=cast.lead)
    stops.begin(reason="again", by=cast.lead, **target(cast, kind))
    assert Stop.objects.count() == 2


def test_without_a_reason_and_of_what_is_out_of_use_nothing_is_stopped(cast: Cast) -> None:
    with pytest.raises(InvalidInput) as refused:
        stops.begin(workflow=cast.workflow, reason=" ", by=cast.lead)
    assert refused.value.field == "reason"
    workflows.retire(workflow=cast.workflow, reason="done", by=cast.lead)
    cast.workflow.refresh_from_db()
    with pytest.raises(InvalidInput, match="out of use"):
        stops.begin(workflow=cast.workflow, reason="harm", by=cast.lead)
    registry.retire(model=cast.models[0], reason="old", by=cast.lead)
    cast.models[0].refresh_from_db()
    with pytest.raises(InvalidInput, match="out of use"):
        stops.begin(model=cast.models[0], reason="harm", by=cast.lead)
    assert not Stop.objects.exists()


def test_the_database_keeps_what_was_said(cast: Cast) -> None:
    stop = stops.begin(workflow=cast.workflow, reason="harm", by=cast.lead)
    stops.lift(stop=stop, reason="mended", by=cast.lead)
    with transaction.atomic(), pytest.raises(DatabaseError, match="never deleted"), transaction.atomic():
        Stop.objects.all().delete()
    for given in ({"reason": "none"}, {"lifted_at": None, "lifted_by": None}, {"workflow": None}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Stop.objects.update(**given)


def test_a_workflow_is_stopped_and_let_in_on_its_page(cast: Cast) -> None:
    owner, page = signed_in(cast.owner), f"/workflows/{cast.workflow.slug}/"
    assert "Stop it now" in text(owner.get(page))
    answer = owner.post(f"{page}stop/", {"reason": "wrong answers"}, follow=True)
    assert "Customer feedback is stopped. Gateways know within seconds." in text(answer)
    assert "wrong answers" in text(answer)
    stop = Stop.objects.get()

    reader = text(signed_in(cast.reviewer).get(page))
    assert "wrong answers" in reader
    assert "Lift the stop" not in reader
    assert owner.get(f"/stops/{stop.pk}/lift/").status_code == 200
    assert Stop.objects.holding().exists()
    answer = owner.post(f"/stops/{stop.pk}/lift/", {"reason": "mended"}, follow=True)
    assert "Nothing is stopped" in text(answer)


def test_a_stop_of_everything_stands_on_every_page(cast: Cast) -> None:
    lead = signed_in(cast.lead)
    assert "Everything is stopped" not in text(lead.get("/keys/"))
    lead.post("/stops/new/", {"reason": "somebody is inside"})
    for person in (cast.lead, cast.reviewer, cast.finance, cast.stranger):
        assert "Everything is stopped" in text(signed_in(person).get("/workflows/"))


def test_the_list_and_its_file_hold_what_one_may_see(cast: Cast) -> None:
    hidden = make_workflow(cast.elsewhere, cast.stranger, "secret-plans")
    stops.begin(workflow=hidden, reason="theirs", by=cast.stranger)
    stops.begin(model=cast.models[0], reason="recalled", by=cast.owner)
    first = stops.begin(workflow=cast.workflow, reason="harm", by=cast.owner)
    stops.lift(stop=first, reason="mended", by=cast.owner)

    owner = signed_in(cast.owner)
    page = text(owner.get("/stops/"))
    assert "Lexicon is stopped" in page
    assert "Secret plans" not in page
    assert [row["reason"] for row in file(owner.get("/stops/export.csv"))] == ["recalled", "harm"]
    assert [row["reason"] for row in file(owner.get("/stops/export.csv?state=lifted"))] == ["harm"]
    assert [row["reason"] for row in file(owner.get("/stops/export.csv?q=feedback"))] == ["harm"]
    assert len(file(signed_in(cast.lead).get("/stops/export.csv"))) == 3
    assert page.count("Lift…") == 1
    assert text(signed_in(cast.reviewer).get("/stops/")).count("Lift…") == 0
