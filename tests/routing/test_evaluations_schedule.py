"""Schedules: each turn once, over clock changes and whoever looks; what cannot start says so."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from governance.accounts import NotPermitted
from governance.errors import InvalidInput
from governance.models import AuditEvent
from routing import evaluations, schedules
from routing.models import Evaluation, EvaluationSchedule, SampleSet
from tests.at_once import at_once
from tests.conftest import LiveDatabase
from tests.routing.lab import NOW, Lab, make_lab, row, rows_in_tables

pytestmark = pytest.mark.usefixtures("installation_keys")

BERLIN = ZoneInfo("Europe/Berlin")
ROWS = [row("a"), row("b")]


@pytest.fixture
def lab(db: None, settings: Settings) -> Lab:
    """A step with a live ladder; days are Berlin's."""
    settings.REPORTING_TIME_ZONE = "Europe/Berlin"
    return make_lab()


def scheduled(lab: Lab, cron: str = "0 6 * * *", sample_set: SampleSet | None = None) -> EvaluationSchedule:
    """A schedule of the owner's."""
    held = sample_set or lab.set(ROWS)
    return evaluations.schedule(sample_set=held, environment=lab.production, cron=cron, by=lab.cast.owner, now=NOW)


def local(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """A time of day in Berlin."""
    return datetime(year, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "after", "turns"),
    [
        # 02:30 does not exist on 28 March 2027: it runs as soon as the clock goes on, and once.
        ("30 2 * * *", (2027, 3, 27, 12), [(2027, 3, 28, 3), (2027, 3, 29, 2, 30)]),
        # 02:30 comes twice on 31 October 2027: it runs at the first.
        ("30 2 * * *", (2027, 10, 30, 12), [(2027, 10, 31, 2, 30), (2027, 11, 1, 2, 30)]),
        ("0 6 * * 1-5", (2026, 11, 27, 12), [(2026, 11, 30, 6), (2026, 12, 1, 6)]),
        ("0 6 29 2 *", (2026, 11, 27, 12), [(2028, 2, 29, 6)]),
    ],
)
def test_turns_follow_the_clock_of_the_organisation(
    cron: str, after: tuple[int, ...], turns: list[tuple[int, ...]]
) -> None:
    moment, found = local(*after), []
    for _ in turns:
        moment = schedules.next_after(cron, moment, zone=BERLIN)
        found.append(moment)
    assert found == [local(*turn) for turn in turns]


def test_an_hourly_schedule_runs_in_both_hours_that_have_one_name() -> None:
    moment, found = datetime(2027, 10, 30, 23, 30, tzinfo=UTC), []
    for _ in range(4):
        moment = schedules.next_after("0 * * * *", moment, zone=BERLIN)
        found.append(moment.hour)
    assert found == [0, 1, 2, 3]


@given(
    cron=st.sampled_from(["30 2 * * *", "0 2,3 * * *", "15 */3 * * *", "0 * * * *", "0 0 L * *", "45 1 * * SUN"]),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
)
def test_turns_only_go_forward(cron: str, start: datetime) -> None:
    first = schedules.next_after(cron, start.replace(tzinfo=UTC), zone=BERLIN)
    assert first > start.replace(tzinfo=UTC)
    assert schedules.next_after(cron, first, zone=BERLIN) > first


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "write minute, hour, day"),
        ("0 6 * *", "write minute, hour, day"),
        ("0 0 6 * * *", "write minute, hour, day"),
        ("@daily", "write minute, hour, day"),
        ("60 6 * * *", "the minute cannot be read"),
        ("0 24 * * *", "the hour cannot be read"),
        ("0 0 31 2 *", "the day of month cannot be read"),
        ("0 6 * * MOON", "the day of week cannot be read"),
        ("*/30 * * * *", "once an hour is the most"),
        ("0,59 6 * * *", "once an hour is the most"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_field(lab: Lab, cron: str, said: str) -> None:
    held = lab.set(ROWS)
    before = rows_in_tables()
    with pytest.raises(InvalidInput, match=said) as caught:
        scheduled(lab, cron, held)
    assert caught.value.field == "cron"
    assert rows_in_tables() == before


@given(st.text(alphabet="0123456789*/,-#L W?\u00b2\x00A", max_size=40))
def test_any_text_is_read_or_refused(cron: str) -> None:
    try:
        written = schedules.check(cron, now=NOW, zone=BERLIN)
    except InvalidInput:
        return
    assert schedules.next_after(written, NOW, zone=BERLIN) > NOW
    assert schedules.words(written)


def test_a_schedule_is_written_down(lab: Lab) -> None:
    made = scheduled(lab, " 0  6 * * * ")
    assert (made.cron, made.next_due_at, made.created_by) == ("0 6 * * *", local(2026, 11, 28, 6), lab.cast.owner)
    entry = AuditEvent.objects.get(action="evaluations.schedule")
    assert "at 06:00 every day" in entry.summary


def test_scheduling_again_changes_the_one_there_is(lab: Lab) -> None:
    first = scheduled(lab)
    other = lab.set(ROWS, name="Other")
    second = scheduled(lab, "0 7 * * *", other)
    assert (second.pk, EvaluationSchedule.objects.count()) == (first.pk, 1)
    assert (second.sample_set, second.next_due_at) == (other, local(2026, 11, 28, 7))
    entry = AuditEvent.objects.filter(action="evaluations.schedule").latest("id")
    assert entry.before == {"cron": "0 6 * * *", "set": "Held out, version 1"}


def test_only_who_edits_evaluations_schedules(lab: Lab) -> None:
    held = lab.set(ROWS)
    made = scheduled(lab, sample_set=held)
    before = rows_in_tables()
    for who in ("finance", "auditor", "integrator", "reviewer", "stranger"):
        person = lab.cast.people[who]
        with pytest.raises(NotPermitted):
            evaluations.schedule(sample_set=held, environment=lab.production, cron="0 8 * * *", by=person, now=NOW)
        with pytest.raises(NotPermitted):
            evaluations.unschedule(schedule=made, by=person, now=NOW)
    assert rows_in_tables() == before
    made.refresh_from_db()
    assert (made.cron, made.ended_at) == ("0 6 * * *", None)


def test_a_turn_starts_the_newest_version_once(lab: Lab) -> None:
    made = scheduled(lab)
    newer = lab.set([*ROWS, row("c")])
    due = made.next_due_at

    assert evaluations.start_due(now=due - timedelta(seconds=1)) == 0
    assert [evaluations.start_due(now=due + timedelta(seconds=each)) for each in (0, 0, 29, 3600)] == [1, 0, 0, 0]

    started = Evaluation.objects.get()
    assert (started.sample_set, started.schedule, started.started_by) == (newer, made, None)
    made.refresh_from_db()
    assert (made.last_due_at, made.next_due_at, made.trouble) == (due, due + timedelta(days=1), "")
    entry = AuditEvent.objects.get(action="evaluations.start")
    assert (entry.actor_kind, entry.actor_id) == ("service", "evaluations")


def test_turns_that_were_missed_are_made_up_for_once(lab: Lab) -> None:
    made = scheduled(lab)
    late = made.next_due_at + timedelta(days=9, hours=1)
    assert evaluations.start_due(now=late) == 1
    assert evaluations.start_due(now=late) == 0
    made.refresh_from_db()
    assert made.next_due_at == local(2026, 12, 8, 6)


def test_over_a_change_of_the_clocks_each_day_has_one_turn(lab: Lab) -> None:
    made = scheduled(lab, "30 2 * * *")
    for begins in (datetime(2027, 3, 26, 12, tzinfo=UTC), datetime(2027, 10, 29, 12, tzinfo=UTC)):
        EvaluationSchedule.objects.update(
            next_due_at=schedules.next_after(made.cron, begins, zone=BERLIN), last_due_at=None
        )
        started: list[datetime] = []
        for minute in range(0, 5 * 24 * 60, 10):
            now = begins + timedelta(minutes=minute)
            started += [now] * evaluations.start_due(now=now)
            for running in Evaluation.objects.active():
                evaluations.cancel(evaluation=running, by=lab.cast.lead, now=now)
        days = [turn.astimezone(BERLIN).date() for turn in started]
        assert len(days) == len(set(days)) == 5, started


def test_what_cannot_start_is_told_and_the_next_turn_comes(lab: Lab) -> None:
    made = scheduled(lab)
    running = lab.start(lab.set(ROWS, name="Other"))
    before = Evaluation.objects.count()

    assert evaluations.start_due(now=made.next_due_at) == 1

    assert Evaluation.objects.count() == before
    due = made.next_due_at
    made.refresh_from_db()
    assert "evaluated in this environment already" in made.trouble
    assert made.next_due_at == due + timedelta(days=1)
    refused = AuditEvent.objects.filter(action="evaluations.start", outcome="refused").get()
    assert refused.reason == made.trouble
    evaluations.cancel(evaluation=running, by=lab.cast.lead, now=NOW)
    assert evaluations.start_due(now=made.next_due_at) == 1
    made.refresh_from_db()
    assert (made.trouble, made.evaluations.count()) == ("", 1)


def test_a_schedule_that_ended_starts_nothing(lab: Lab) -> None:
    made = scheduled(lab)
    evaluations.unschedule(schedule=made, by=lab.cast.lead, now=NOW)
    assert evaluations.start_due(now=made.next_due_at) == 0
    with pytest.raises(evaluations.AlreadyEnded):
        evaluations.unschedule(schedule=made, by=lab.cast.lead, now=NOW)
    assert scheduled(lab, sample_set=made.sample_set).pk != made.pk


def test_whoever_looks_at_once_each_turn_starts_once(live_database: LiveDatabase) -> None:
    lab = make_lab()
    made = scheduled(lab)

    results = at_once(*[lambda: evaluations.start_due(now=made.next_due_at)] * 4)

    assert sorted(results) == [0, 0, 0, 1], results  # type: ignore[type-var]
    assert Evaluation.objects.count() == 1
    made.refresh_from_db()
    assert EvaluationSchedule.objects.filter(next_due_at__gt=F("last_due_at"), trouble="").get() == made
