"""Very many past requests of one workflow: each decided by the engine as in a gateway, priced, and copied in.

What is copied are the rows that ingest and fold write; that both are spared their time here is not measured. No two
requests have the same numbers: length, confidence, milliseconds and tokens all vary, and so do classes, tags and runs.
"""

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from benchmarks import machine, world
from benchmarks.inside.site import STEPS, Site
from ledger import packed, partitions
from ledger.models import Price
from smallfirst import engine
from smallfirst.engine import AttemptSignals, Climb, Facts, Person, Plan, Refusal, Signals, Snapshot, State
from smallfirst.records import moment_text

DAYS = 28
AT_ONCE = 20_000
MILLION = Decimal(1_000_000)
# By rung: how sure the answers are (both parameters of a beta distribution), and typical milliseconds of one.
ANSWERS = ((6.0, 1.6, 180), (9.0, 1.6, 420), (14.0, 1.2, 1_400))

Asked = tuple[Facts, Signals, State]

DECISION = (
    "id, occurred_at, recorded_at, gateway_id, workflow_id, environment_id, key_id, step, run, facts, signals, state, "
    "snapshot, policy_version_id, attempts, outcome, kept_model, tier, review_id, triage, packed, packed_attempts"
)
EVENT = (
    "id, decision_id, attempt, occurred_at, recorded_at, booked_at, clock, gateway_id, workflow_id, environment_id, "
    "key_id, step, run, endpoint_id, model, tier, model_requested, outcome, kept, http_status, input_tokens, "
    "cache_read_tokens, cache_write_tokens, output_tokens, usage_quality, latency_ms, tags"
)
CHARGE = (
    "id, recorded_at, state, price_id, currency, input_amount, output_amount, cache_read_amount, cache_write_amount, "
    "amount"
)
TABLES = (("ledger_decision", DECISION), ("ledger_usageevent", EVENT), ("ledger_charge", CHARGE))


@dataclass(frozen=True)
class Made:
    """One request as it is told: what went in, the attempts, and by whom it ended."""

    at: datetime
    asked: Asked
    attempts: tuple[AttemptSignals, ...]
    planned: Plan | Refusal
    outcome: str
    kept: int | None


def requests(workflow: str, number: int, until: datetime) -> Iterator[tuple[datetime, Asked]]:
    """So many requests of the last days, the same ones in every run, oldest first."""
    chance = random.Random(4471)
    for each in range(number):
        at = until - timedelta(days=DAYS) * ((number - each) / (number + 1))
        facts = Facts(
            workflow=workflow,
            step=chance.choice(STEPS),
            data_class=chance.choice(("public", "internal")),
            risk=chance.choice(("minimal", "limited")),
            language=chance.choice(("en", "de", "fr", None)),
            run=f"run-{each // 3}",
            tags=(("desk", f"desk-{chance.randrange(40)}"), ("shop", "north")),
            max_output_tokens=chance.choice((200, 400)),
        )
        words = min(4_000, int(chance.lognormvariate(4.2, 0.9)) + 3)
        read = Signals(
            input_tokens=words * 2 + 8,
            characters=words * 6 + chance.randrange(6),
            words=words,
            sentences=words // 12 + 1,
            questions=chance.randrange(3),
            digits=chance.randrange(20),
        )
        yield at, (facts, read, State(at=int(at.timestamp() * 1000)))


def policy(*, rules: int, keep_from: float, start: str = "small") -> dict[str, Any]:
    """A policy of the benchmarks' world that keeps answers from a confidence on, and asks a person at last."""
    document = world.document(rules=rules, max_cost=None)
    document["pin"] = "allow"
    document["guards"] = {"regions": ["eu"], "licences": ["Apache-2.0"]}
    (step,) = document["steps"]
    step["start"] = {"easy": "small", "medium": "small", "hard": start}
    step["gate"] = {"keep_from": keep_from, "stop_reasons": ["stop"]}
    step["review"] = {
        "when": "unsure",
        "role": "reviewer",
        "respond_within": 900,
        "expire_after": 3600,
        "on_expiry": {"action": "refuse"},
        "answer": {"type": "label", "options": ["yes", "no"]},
    }
    return document


def fill(site: Site, snapshot: Snapshot, version: UUID, number: int, until: datetime) -> int:
    """Decide so many requests under a snapshot and copy in what comes of them; how many attempts that were."""
    partitions.ensure(first=(until - timedelta(days=DAYS + 1)).date(), last=until.date())
    prices = {price.endpoint_id: price for price in Price.objects.all() if price.endpoint_id is not None}
    chance = random.Random(2093)
    attempts = 0
    with psycopg.connect(os.environ["DATABASE_URL"]) as server:
        waiting: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for count, (at, asked) in enumerate(requests(str(site.keys[0].workflow_id), number, until), start=1):
            made = _made(at, asked, snapshot, chance)
            attempts += len(made.attempts)
            _tell(made, site, snapshot, version, prices, chance, waiting)
            if count % AT_ONCE == 0 or count == number:
                machine.say(f"copying in: {count:,} of {number:,} requests") if count % (5 * AT_ONCE) == 0 else None
                _copy(server, waiting)
                waiting = ([], [], [])
    return attempts


def _made(at: datetime, asked: Asked, snapshot: Snapshot, chance: random.Random) -> Made:
    """What a gateway makes of a request."""
    planned = engine.plan(*asked, snapshot)
    attempts: list[AttemptSignals] = []
    if isinstance(planned, Refusal):
        return Made(at, asked, (), planned, "refused", None)
    move = engine.next(planned, attempts)
    while isinstance(move, Climb):
        attempts.append(_attempt(move, chance))
        move = engine.next(planned, attempts)
    match move:
        case engine.Keep(rung=rung):
            return Made(at, asked, tuple(attempts), planned, "kept", rung)
        case Person():
            return Made(at, asked, tuple(attempts), planned, "person", None)
        case _:
            return Made(at, asked, tuple(attempts), planned, "failed", None)


def _attempt(move: Climb, chance: random.Random) -> AttemptSignals:
    sure, unsure, typical = ANSWERS[move.rung]
    failed = chance.random() < 0.01
    return AttemptSignals(
        rung=move.rung,
        endpoint=move.endpoint,
        outcome="error" if failed else "ok",
        confidence=None if failed else round(chance.betavariate(sure, unsure), 4),
        stop_reason=None if failed else "length" if chance.random() < 0.01 else "stop",
        output_tokens=None if failed else chance.randrange(20, 200),
        latency_ms=int(chance.lognormvariate(0, 0.4) * typical),
    )


def _tell(
    made: Made,
    site: Site,
    snapshot: Snapshot,
    version: UUID,
    prices: dict[UUID, Price],
    chance: random.Random,
    waiting: tuple[list[Any], list[Any], list[Any]],
) -> None:
    """Add the rows of a request to those that wait to be copied."""
    decisions, events, charges = waiting
    key, (facts, read, state) = site.keys[0], made.asked
    own, models = _id(made.at, chance), made.planned.rungs if isinstance(made.planned, Plan) else ()
    place = (site.gateway.pk, key.workflow_id, key.environment_id, key.pk, facts.step, facts.run)
    record = engine.conclude(
        made.planned,
        made.attempts,
        id=str(own),
        at=moment_text(made.at),
        environment=str(key.environment_id),
        key=str(key.pk),
        facts=facts,
        signals=read,
        state=state,
        snapshot=snapshot.digest,
        review=str(_id(made.at, chance)) if made.outcome == "person" else None,
    )
    went_in = (_json(facts), _json(read), _json(state), snapshot.digest, version, _json(made.attempts))
    came_out = (record.outcome, record.kept_model, record.tier, record.review, record.triage)
    decisions.append((own, made.at, made.at, *place, *went_in, *came_out, packed.head(record), packed.attempts(record)))
    tags = _json(dict(facts.tags))
    for number, attempt in enumerate(made.attempts):
        event, rung = _id(made.at + timedelta(milliseconds=attempt.latency_ms), chance), models[attempt.rung]
        last = made.kept is not None and number == len(made.attempts) - 1
        tokens = (read.input_tokens, 0, 0, attempt.output_tokens)
        served = ("auto", attempt.outcome, last, 200 if attempt.outcome == "ok" else 503, *tokens)
        quality = "exact" if attempt.output_tokens is not None else "partial"
        named = (attempt.endpoint, rung.model, rung.tier, *served, quality, attempt.latency_ms, tags)
        events.append((event, own, number, made.at, made.at, made.at, "ok", *place, *named))
        price = prices[UUID(attempt.endpoint)]
        rates = ((read.input_tokens, price.input), (attempt.output_tokens or 0, price.output))
        amounts = [tokens * (rate or Decimal(0)) / MILLION for tokens, rate in rates]
        charges.append((event, made.at, "priced", price.pk, price.currency, *amounts, 0, 0, sum(amounts)))


def _copy(server: psycopg.Connection[Any], waiting: Iterable[list[Any]]) -> None:
    for (table, names), rows in zip(TABLES, waiting, strict=True):
        with server.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    server.commit()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _id(at: datetime, chance: random.Random) -> UUID:
    """A UUIDv7 of a moment."""
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62))
