"""Recorded days in the ledger: decided by the engine, booked once on the right days, replayed like any other."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from django.db.models import Count, Max, Min, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from demo import processes
from demo.people import of_demo
from demo.recorded import history, imports, world
from governance.models import ApiKey, Environment, Gateway, Workflow
from governance.readers import Reader
from ledger import decisions, outcomes, savings, spend
from ledger.models import Charge, Decision, Rollup, UsageEvent, UsageQueue
from ledger.spend import Selection, Show
from routing.models import Snapshot
from smallfirst import engine
from tests.demo.test_organisation_seed import seed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]

# Enough for a weekend; ninety are imported in the story.
DAYS = 8


@pytest.fixture(autouse=True)
def organisation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Harbour & Vale with a short past."""
    monkeypatch.setattr(world, "DAYS", DAYS)
    seed(tmp_path)


def import_all() -> int:
    """What `up` does after each start."""
    return imports.run(now=timezone.now(), say=lambda _said: None)


def sums() -> dict[str, object]:
    """All totals that may not change when the same is imported again."""
    return {
        "decisions": Decision.objects.count(),
        "events": UsageEvent.objects.count(),
        "charged": Charge.objects.aggregate(n=Count("id"), amount=Sum("amount")),
        "summed": Rollup.objects.aggregate(events=Sum("events"), kept=Sum("kept"), amount=Sum("amount")),
    }


def test_each_decision_replays_with_the_same_bytes() -> None:
    stored = import_all()
    found = list(Decision.objects.all())
    assert len(found) == stored > 300
    [digest] = {decision.snapshot for decision in found}
    snapshot = engine.read_snapshot(Snapshot.objects.get(digest=digest).text.encode())
    for row in found:
        decision = decisions.wire(row)
        assert engine.encode(engine.replay(decision, snapshot)) == engine.encode(decision)
    assert {str(row.environment) for row in found} == {world.ENVIRONMENT}
    assert Counter(row.workflow.slug for row in found).keys() == {"staff-assistant", "refund-sums"}
    assert {row.outcome for row in found} >= {"kept", "person"}


def test_each_attempt_is_charged_once_with_estimated_tokens_and_at_most_one_is_kept() -> None:
    import_all()
    assert not UsageQueue.objects.exists()
    charged = Charge.objects.aggregate(n=Count("id"), amount=Sum("amount"))
    assert charged["n"] == UsageEvent.objects.count() == sum(len(row.attempts) for row in Decision.objects.all())
    assert not Charge.objects.filter(amount=None).exists()
    assert charged["amount"] > Decimal(0)
    assert set(UsageEvent.objects.filter(outcome="ok").values_list("usage_quality", flat=True)) == {"estimated"}
    kept = Counter(UsageEvent.objects.filter(kept=True).values_list("decision_id", flat=True))
    answered = {row.id: row.kept_model for row in Decision.objects.filter(outcome="kept")}
    assert kept == Counter(list(answered))
    assert all(event.model == answered[event.decision_id] for event in UsageEvent.objects.filter(kept=True))


def test_it_is_booked_on_the_days_on_which_it_happened() -> None:
    import_all()
    made = world.key_of(Workflow.objects.get(slug="staff-assistant"))
    assert made
    last = made.created_at.astimezone(history.ZONE).date()
    every = {last - timedelta(days=back) for back in range(DAYS)}
    days = set(Rollup.objects.values_list("day", flat=True))
    # Of the last day only what is over.
    assert every - {last} <= days <= every
    assert set(UsageEvent.objects.values_list("clock", flat=True)) == {"ok"}
    assert UsageEvent.objects.filter(booked_at__gt=made.created_at + timedelta(minutes=5)).count() == 0
    by_day = UsageEvent.objects.annotate(day=TruncDate("occurred_at", tzinfo=history.ZONE)).values("day")
    assert {row["day"]: row["n"] for row in by_day.annotate(n=Count("id"))} == {
        row["day"]: row["n"] for row in Rollup.objects.values("day").annotate(n=Sum("events"))
    }


def test_whatever_is_counted_of_it_says_that_it_is_recorded() -> None:
    import_all()
    last = timezone.now().astimezone(history.ZONE).date()
    period = (last - timedelta(days=DAYS), last)
    recorded = list(Workflow.objects.filter(slug__in=["staff-assistant", "refund-sums"]).values_list("pk", flat=True))
    for came in outcomes.by_workflow(recorded, *period, zone=history.ZONE).values():
        assert 0 < came.requests == came.recorded
        assert came.person == came.recorded_person
    compared = savings.by_workflow(recorded, *period, zone=history.ZONE)
    assert set(compared) == set(recorded)
    assert all(saving.all_recorded for each in compared.values() for saving in each.savings)
    # It came months after its days, and that says nothing of any gateway.
    assert Rollup.objects.aggregate(late=Sum("late"))["late"] > 0
    reader = Reader.of(of_demo("finance"), "spend.view")
    _rows, total = spend.rows(reader, Selection(*period), None)
    assert (total.all_recorded, total.late) == (True, 0)
    listed, count = spend.attempts(reader, Selection(*period), Show.RECORDED, zone=history.ZONE)
    assert listed.count() == count == total.recorded_attempts
    listed, count = spend.attempts(reader, Selection(*period), Show.LATE, zone=history.ZONE)
    assert listed.count() == count == 0


def test_again_changes_nothing() -> None:
    import_all()
    before = sums()
    assert import_all() == 0
    assert sums() == before


def test_broken_off_it_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 100)
    real, left = decisions.record, [2]

    def dies(**given: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(**given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(decisions, "record", dies)
        with pytest.raises(KeyboardInterrupt):
            import_all()
    assert Decision.objects.count() == 200
    rest = import_all()
    assert Decision.objects.count() == rest + 200
    assert UsageEvent.objects.count() == sum(len(row.attempts) for row in Decision.objects.all())
    assert Charge.objects.count() == UsageEvent.objects.count()
    assert import_all() == 0


def test_nothing_is_served_where_it_stands() -> None:
    import_all()
    environment = Environment.objects.get(name=world.ENVIRONMENT)
    assert (environment.recorded, environment.gateway_url) == (True, "")
    assert not ApiKey.objects.exclude(name=world.KEY).filter(environment=environment).exists()
    assert not Decision.objects.filter(workflow__slug__in=[each.slug for each in processes.LIVE]).exists()


def test_a_refused_record_is_said_and_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Gateway.objects.get(name=world.GATEWAY)
    monkeypatch.setattr(world, "GATEWAY", "none")
    with pytest.raises(Gateway.DoesNotExist):
        import_all()
    real = history.tell

    def wrong(*given: object) -> history.Told:
        told = real(*given)  # type: ignore[arg-type]
        events = tuple(msgspec.structs.replace(event, endpoint=event.decision) for event in told.events)
        return history.Told(told.decision, events)

    monkeypatch.setattr(world, "GATEWAY", elsewhere.name)
    monkeypatch.setattr(imports, "tell", wrong)
    with pytest.raises(ValueError, match="refused a recorded request"):
        import_all()
    assert not Decision.objects.exists()


def test_over_all_days_the_past_ends_before_now() -> None:
    import_all()
    ends = UsageEvent.objects.aggregate(first=Min("occurred_at"), last=Max("occurred_at"))
    assert ends["first"] >= timezone.now() - timedelta(days=DAYS + 1)
    assert ends["last"] <= timezone.now() + timedelta(minutes=5)
