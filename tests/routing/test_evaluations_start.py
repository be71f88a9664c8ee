"""Evaluations: what must be there before one starts, who may start and cancel, and one at a time."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.utils import IntegrityError

from governance import registry, workflows
from governance.accounts import NotPermitted
from governance.models import AuditEvent, Endpoint, PolicyHead
from routing import evaluations, sample_sets
from routing.models import Evaluation, EvaluationChunk
from smallfirst.engine import read_snapshot
from tests.at_once import at_once
from tests.cast import BOOTSTRAP, make_environment
from tests.conftest import LiveDatabase
from tests.routing.lab import LADDER, NOW, Lab, make_lab, row, rows_in_tables

pytestmark = pytest.mark.usefixtures("installation_keys")

ROWS = [row(f"text {number}") for number in range(60)]


@pytest.fixture
def lab(db: None) -> Lab:
    """A step with a live ladder."""
    return make_lab()


def test_one_is_started_with_all_that_it_needs_later(lab: Lab) -> None:
    made = lab.start(lab.set(ROWS))

    assert (made.state, made.ladder, made.left_out, made.asks) == ("queued", list(LADDER), {}, 180)
    assert made.policy_version == PolicyHead.objects.get().version
    assert made.started_by == lab.cast.owner
    snapshot = read_snapshot(made.snapshot.text.encode())
    assert snapshot.digest == made.snapshot_id
    assert snapshot.workflows[str(lab.cast.workflow.pk)].policy_version.number == 1
    chunks = EvaluationChunk.objects.filter(evaluation=made).order_by("number")
    assert [(chunk.first, chunk.last) for chunk in chunks] == [(1, 25), (26, 50), (51, 60)]
    entry = AuditEvent.objects.get(action="evaluations.start")
    assert entry.after is not None
    assert (entry.actor_name, entry.after["snapshot"]) == ("Owner", made.snapshot_id)


def test_only_who_runs_evaluations_starts_and_cancels(lab: Lab) -> None:
    held = lab.set(ROWS)
    running = lab.start(held)
    before = rows_in_tables()
    for who in ("finance", "auditor", "integrator", "reviewer", "admin", "stranger"):
        with pytest.raises(NotPermitted):
            lab.start(held, by=lab.cast.people[who])
        with pytest.raises(NotPermitted):
            evaluations.cancel(evaluation=running, by=lab.cast.people[who], now=NOW)
    assert rows_in_tables() == before
    running.refresh_from_db()
    assert running.state == "queued"


def test_a_step_is_evaluated_once_at_a_time(lab: Lab) -> None:
    held = lab.set(ROWS)
    first = lab.start(held)
    before = rows_in_tables()
    with pytest.raises(evaluations.AlreadyRunning, match="wait for its end or cancel it"):
        lab.start(held)
    assert rows_in_tables() == before
    evaluations.cancel(evaluation=first, by=lab.cast.lead, now=NOW)
    assert lab.start(held).state == "queued"


def test_cancelling_ends_it_once_and_for_all(lab: Lab) -> None:
    running = lab.start(lab.set(ROWS))
    ended = evaluations.cancel(evaluation=running, by=lab.cast.lead, now=NOW)
    assert (ended.state, ended.ended_at, ended.ended_by) == ("cancelled", NOW, lab.cast.lead)
    assert AuditEvent.objects.filter(action="evaluations.cancel").count() == 1
    with pytest.raises(evaluations.AlreadyEnded, match="cancelled"):
        evaluations.cancel(evaluation=running, by=lab.cast.lead, now=NOW + timedelta(minutes=1))
    for change in ({"state": "running", "ended_at": None}, {"ended_at": NOW + timedelta(days=1)}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Evaluation.objects.filter(pk=running.pk).update(**change)
    assert AuditEvent.objects.filter(action="evaluations.cancel").count() == 1


def no_gateway(lab: Lab) -> None:
    """Nobody knows where it is."""
    registry.set_gateway_url(environment=lab.production, url="", by=BOOTSTRAP)
    lab.production.refresh_from_db()


def retired(lab: Lab) -> None:
    """The workflow is out of use."""
    workflows.retire(workflow=lab.cast.workflow, reason="over", by=lab.cast.lead)


def closed(lab: Lab, *names: str) -> None:
    """These models are served nowhere."""
    for endpoint in Endpoint.objects.filter(version__model__name__in=names):
        registry.close_endpoint(endpoint=endpoint, reason="old", by=lab.cast.lead)


def no_model(lab: Lab) -> None:
    """No model of the ladder is served."""
    closed(lab, *LADDER)


@pytest.mark.parametrize(
    ("makes_it_so", "said"),
    [
        (no_gateway, "name its address"),
        (retired, "is retired"),
        (no_model, "No model of sentiment may be asked: lexicon: it is served nowhere"),
    ],
)
def test_what_is_missing_is_said(lab: Lab, makes_it_so: Callable[[Lab], None], said: str) -> None:
    held = lab.set(ROWS)
    makes_it_so(lab)
    before = rows_in_tables()
    with pytest.raises(evaluations.NotReady, match=said):
        lab.start(held)
    assert rows_in_tables() == before


def test_without_a_live_policy_there_is_no_ladder(lab: Lab) -> None:
    elsewhere = make_environment("staging")
    registry.set_gateway_url(environment=elsewhere, url="http://127.0.0.1:9", by=BOOTSTRAP)
    elsewhere.refresh_from_db()
    with pytest.raises(evaluations.NotReady, match="No policy of Customer feedback is live in staging"):
        lab.start(lab.set(ROWS), environment=elsewhere)


def test_a_rung_that_may_not_be_asked_is_left_out_with_its_reason(lab: Lab) -> None:
    closed(lab, "tf-idf")
    made = lab.start(lab.set(ROWS))
    assert made.ladder == ["lexicon", "smollm2"]
    assert made.left_out == {"tf-idf": "it is served nowhere in this environment"}
    assert made.asks == 120


def test_what_is_erased_is_not_asked(lab: Lab) -> None:
    held = lab.set(ROWS)
    stale = lab.set(ROWS, name="Other")
    sample_sets.erase(sample_set=held, reason="asked", by=lab.cast.owner, now=NOW)
    before = rows_in_tables()
    with pytest.raises(sample_sets.TextsErased):
        lab.start(held)
    assert rows_in_tables() == before
    assert lab.start(stale).state == "queued"


def test_of_two_that_start_at_once_one_does(live_database: LiveDatabase) -> None:
    lab = make_lab()
    held = lab.set(ROWS[:5])

    results = at_once(*[lambda: lab.start(held)] * 4)

    assert [type(result).__name__ for result in results].count("Evaluation") == 1, results
    assert Evaluation.objects.count() == 1
    assert all("already" in str(result) for result in results if isinstance(result, Exception)), results
    assert AuditEvent.objects.filter(action="evaluations.start").count() == 1


def test_of_two_uploads_at_once_each_is_a_version(live_database: LiveDatabase) -> None:
    lab = make_lab()
    results = at_once(*[lambda number=number: lab.set(ROWS[: number + 1]) for number in range(4)])
    assert sorted(result.version for result in results) == [1, 2, 3, 4], results  # type: ignore[attr-defined]


def test_nothing_is_emptied_or_added_without_a_record(live_database: LiveDatabase) -> None:
    lab = make_lab()
    held = lab.set(ROWS[:5])
    running = lab.start(held)
    before = rows_in_tables()
    writes: list[Callable[[], object]] = [
        lambda: held.samples.update(sealed=None),
        lambda: Evaluation.objects.filter(pk=running.pk).update(state="cancelled", ended_at=NOW),
        lambda: type(held).objects.filter(pk=held.pk).update(erased_at=NOW),
    ]
    for write in writes:
        with pytest.raises(IntegrityError, match="without an audit event"):
            write()
    assert rows_in_tables() == before
    assert held.samples.exclude(sealed=None).count() == 5
