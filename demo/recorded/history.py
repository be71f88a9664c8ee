"""90 days of requests, told with the figures: each is decided by the engine, on what the models were measured to do.

Nothing here is random: times, order and outages follow from hashes of names, so that the same days give the same
records, with the same ids. What is made up and what was measured, README.md says.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from demo.recorded import figures
from demo.recorded.figures import Answer, Figures
from smallfirst import engine
from smallfirst.engine import AttemptSignals, Climb, Decision, Facts, Person, Plan, Snapshot, State
from smallfirst.engine.policy import DATA_CLASSES, RISKS
from smallfirst.records import UsageEvent, moment_text, review_id

# Where Harbour & Vale does its work.
ZONE = ZoneInfo("Europe/Berlin")
# How much of a day's work falls on each hour, from 7 to 19.
HOURS = (2, 6, 10, 11, 9, 5, 8, 10, 10, 8, 4, 2)
FIRST_HOUR = 7
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Outage:
    """A provider that fails for most requests, so many days before the last, between two hours (Berlin)."""

    days_before: int
    hours: range
    models: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """How a recorded workflow's days go: its figures, the step of each kind, requests a weekday and a day of rest.

    `tokens` are those of an answer whose length was not published, by kind; `milliseconds` are taken for a token, by
    model. All three are made up.
    """

    slug: str
    source: Path
    steps: dict[str, str]
    weekday: int
    weekend: int
    tokens: dict[str, int]
    milliseconds: dict[str, int]
    outages: tuple[Outage, ...]


STAFF_ASSISTANT = Story(
    slug="staff-assistant",
    source=figures.STAFF,
    steps={"code": "code", "choice": "knowledge", "open question": "knowledge", "science": "knowledge"},
    weekday=84,
    weekend=12,
    tokens={"code": 180, "choice": 40, "open question": 60, "science": 220},
    milliseconds={
        "qwen2.5-7b-instruct": 9,
        "llama-3.1-nemotron-51b-instruct": 24,
        "llama-3.3-nemotron-super-49b": 24,
    },
    outages=(
        Outage(61, range(9, 13), ("qwen2.5-7b-instruct",)),
        Outage(18, range(14, 16), ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b")),
    ),
)
REFUND_SUMS = Story(
    slug="refund-sums",
    source=figures.REFUNDS,
    steps={"sum": "sum"},
    weekday=26,
    weekend=6,
    tokens={},
    milliseconds={"mixtral-8x7b-instruct": 14, "gpt-4-1106-preview": 30},
    outages=(Outage(40, range(10, 15), ("gpt-4-1106-preview",)),),
)
STORIES = (STAFF_ASSISTANT, REFUND_SUMS)


@dataclass(frozen=True)
class Place:
    """Where a story is booked: ids of workflow, environment and key, and the snapshot it is decided under."""

    workflow: str
    environment: str
    key: str
    snapshot: Snapshot


@dataclass(frozen=True)
class Request:
    """One request before it is decided: when it came, and what was asked."""

    name: str
    at: datetime
    days_before: int
    asked: Figures


@dataclass(frozen=True)
class Told:
    """One request as it is recorded: its decision and its attempts."""

    decision: Decision
    events: tuple[UsageEvent, ...]


def requests(story: Story, *, until: datetime, days: int) -> Iterator[Request]:
    """Yield the requests of the days that end with `until`, oldest first; every question is asked equally often."""
    order = _asked_in_turn(story)
    last = until.astimezone(ZONE).date()
    for days_before in range(days - 1, -1, -1):
        day = last - timedelta(days=days_before)
        for number, at in enumerate(_moments(story, day, days_before)):
            asked = next(order)
            if at <= until:
                yield Request(f"{story.slug} {days_before} {number}", at, days_before, asked)


def tell(request: Request, story: Story, place: Place) -> Told:
    """Decide a request with the product's engine, on what the models made of its question."""
    compiled = place.snapshot.workflows[place.workflow]
    asked = request.asked
    facts = Facts(
        workflow=place.workflow,
        step=story.steps[asked.kind],
        data_class=DATA_CLASSES[compiled.data_class],
        risk=RISKS[compiled.risk],
        tags=(("kind", asked.kind), ("question", asked.question)),
    )
    state = State(at=_milliseconds(request.at))
    planned = engine.plan(facts, asked.signals, state, place.snapshot)
    if not isinstance(planned, Plan):
        raise ValueError(f"the policy refuses recorded requests: {planned.text}")
    made: list[AttemptSignals] = []
    while isinstance(move := engine.next(planned, made), Climb):
        made.append(_attempt(request, story, planned, move))
    decision = engine.conclude(
        planned,
        made,
        id=_id(request.at, f"{request.name} decision"),
        at=moment_text(request.at),
        environment=place.environment,
        key=place.key,
        facts=facts,
        signals=asked.signals,
        state=state,
        snapshot=place.snapshot.digest,
        review=review_id(place.key, _hash(request.name)) if isinstance(move, Person) else None,
    )
    return Told(decision, tuple(_events(request, planned, decision, place)))


def _attempt(request: Request, story: Story, planned: Plan, move: Climb) -> AttemptSignals:
    model = planned.rungs[move.rung].model
    if _is_out(request, story, model):
        return AttemptSignals(
            rung=move.rung, endpoint=move.endpoint, outcome="error", latency_ms=40 + _drawn(f"{request.name} out", 80)
        )
    answer = request.asked.answers[list(story.milliseconds).index(model) > 0]
    tokens = _output_tokens(answer, request.asked, story)
    latency = 180 + _drawn(f"{request.name} {model} wait", 240) + tokens * story.milliseconds[model]
    return AttemptSignals(
        rung=move.rung,
        endpoint=move.endpoint,
        outcome="ok",
        confidence=answer.confidence,
        stop_reason="stop",
        output_tokens=tokens,
        latency_ms=latency,
    )


def _output_tokens(answer: Answer, asked: Figures, story: Story) -> int:
    if answer.characters is None:
        return story.tokens[asked.kind]
    return max(1, round(answer.characters / CHARACTERS_PER_TOKEN))


def _events(request: Request, planned: Plan, decision: Decision, place: Place) -> Iterator[UsageEvent]:
    at = request.at
    kept = len(decision.attempts) - 1 if decision.outcome == "kept" else None
    if kept is not None:
        # The last rung that answered: after an outage that is not the last attempt.
        kept = next(
            index
            for index, attempt in reversed(list(enumerate(decision.attempts)))
            if planned.rungs[attempt.rung].model == decision.kept_model
        )
    for number, attempt in enumerate(decision.attempts):
        answered = attempt.outcome == "ok"
        endpoint = place.snapshot.endpoints[attempt.endpoint]
        yield UsageEvent(
            id=_id(at, f"{request.name} attempt {number}"),
            decision=decision.id,
            attempt=number,
            occurred_at=at,
            workflow=decision.workflow,
            environment=decision.environment,
            key=decision.key,
            step=decision.step,
            endpoint=attempt.endpoint,
            model=endpoint.model,
            tier=planned.rungs[attempt.rung].tier,
            model_requested=decision.facts.model,
            model_served=endpoint.upstream_model if answered else None,
            outcome=attempt.outcome,
            kept=number == kept,
            http_status=200 if answered else None,
            error=None if answered else "connect",
            input_tokens=decision.signals.input_tokens if answered else 0,
            output_tokens=attempt.output_tokens if answered else 0,
            usage_quality="estimated" if answered else "exact",
            latency_ms=attempt.latency_ms,
            tags=dict(decision.facts.tags),
        )
        at += timedelta(milliseconds=attempt.latency_ms)


def _asked_in_turn(story: Story) -> Iterator[Figures]:
    every = figures.read(story.source)
    turn = 0
    while True:
        yield from sorted(every, key=lambda each: _hash(f"{story.slug} turn {turn} {each.question}"))
        turn += 1


def _moments(story: Story, day: date, days_before: int) -> Sequence[datetime]:
    """The moments of a day's requests in UTC, in order: as many as the day is busy, most in the hours of work."""
    name = f"{story.slug} {days_before}"
    usual = story.weekend if day.weekday() >= 5 else story.weekday
    wanted = usual * (80 + _drawn(f"{name} busy", 41)) // 100
    midnight = datetime.combine(day, time(), tzinfo=ZONE)
    seconds = sorted(_second_of_day(f"{name} {number}") for number in range(wanted))
    return [(midnight + timedelta(seconds=second)).astimezone(UTC) for second in seconds]


def _second_of_day(name: str) -> float:
    place = _drawn(f"{name} hour", sum(HOURS))
    hour = 0
    while place >= HOURS[hour]:
        place -= HOURS[hour]
        hour += 1
    return (FIRST_HOUR + hour) * 3600 + _drawn(f"{name} millisecond", 3_600_000) / 1000


def _is_out(request: Request, story: Story, model: str) -> bool:
    hour = request.at.astimezone(ZONE).hour
    return any(
        request.days_before == outage.days_before
        and hour in outage.hours
        and model in outage.models
        and _drawn(f"{request.name} {model} fails", 10) < 8
        for outage in story.outages
    )


def _id(at: datetime, name: str) -> str:
    """A UUIDv7 of this moment whose other bits come of the name."""
    value = bytearray(_milliseconds(at).to_bytes(6, "big") + _hash(name)[:10])
    value[6] = value[6] & 0x0F | 0x70
    value[8] = value[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(value)))


def _milliseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _drawn(name: str, sides: int) -> int:
    return int.from_bytes(_hash(name)[:8], "big") % sides
