"""What a decision costs where the engine runs inside a program: the decision itself, its signals, its replay.

Every figure is taken in this process, on one core, over many different requests, in rounds; the median counts.
A decision is the plan (rules that fired, models left out and why, where the ladder is entered) and the first move.
"""

import argparse
import gc
import json
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import TypeVar

import msgspec

from benchmarks import machine, world
from benchmarks.measures import Measure, Void, columns, middle, percentile, report, shown
from smallfirst import engine, signals
from smallfirst.engine import AttemptSignals, Decision, Facts, Plan, Refusal, Signals, Snapshot, State
from smallfirst.engine.policy import DATA_CLASSES

AT = "2026-11-24T09:30:00.000001Z"
IDENTITY = world.new_id()
T = TypeVar("T")


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run bench decide", description="Measure the engine in this process.")
    parser.add_argument("--rounds", type=int, default=7, help="of each measure (%(default)s)")
    parser.add_argument("--requests", type=int, default=20_000, help="different requests of a round (%(default)s)")
    parser.add_argument("--rules", type=int, default=world.RULES, help="of the policy (%(default)s)")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    options = arguments(words)
    print(f"decide: {machine.described()}")
    plain = compiled(world.document(rules=options.rules, max_cost=None))
    capped = compiled(world.document(rules=options.rules, max_cost="1.00"))
    hard = compiled(world.document(rules=options.rules, hard=True))
    asked = requests(options.requests, plain)
    costs = {
        "plan and first move": per_call(partial(decide, snapshot=plain), asked, options.rounds),
        "plan, move and the record to store": per_call(partial(conclude, snapshot=plain), asked, options.rounds),
    }
    for title, other in (("under a cost ceiling", capped), ("every condition looked at, a fifth fires", hard)):
        others = requests(options.requests, other)
        costs[f"plan and move, {title}"] = per_call(partial(decide, snapshot=other), others, options.rounds)
    stored = [conclude(each, plain) for each in asked]
    costs["encode the record"] = per_call(engine.encode, stored, options.rounds)
    costs["explain it in sentences"] = per_call(partial(engine.explain, snapshot=plain), stored, options.rounds)
    replayed = per_call(partial(engine.replay, snapshot=plain), stored, options.rounds)
    costs["replay"] = replayed
    check_replay(stored, plain)
    prompts = texts(options.requests)
    reading = [per_prompt(prompts) for _ in range(options.rounds)]
    rows = [[name, shown(cost * 1e6), shown(1 / cost)] for name, cost in costs.items()]
    print(f"\n{columns(('in one process, one core', 'CPU us', 'a second'), rows)}")
    report(measures(costs["plan and first move"], reading, 1 / replayed, options.rules))
    return 0


def compiled(policy: dict[str, object]) -> Snapshot:
    """A snapshot with one workflow that has this policy, read as a gateway reads it."""
    text = json.dumps(world.snapshot({"bench": policy}, "http://127.0.0.1:9/v1")).encode()
    snapshot = engine.read_snapshot(text)
    assert snapshot.digest == sha256(text).hexdigest()
    return snapshot


Asked = tuple[Facts, Signals, State]


def requests(number: int, snapshot: Snapshot) -> list[Asked]:
    """So many requests, no two alike: other lengths, classes, tags, languages; the same ones in every run."""
    chance = random.Random(4471)
    (workflow,) = snapshot.workflows
    found = []
    for each in range(number):
        facts = Facts(
            workflow=workflow,
            step=chance.choice(("answer", "summarise", "classify")),
            data_class=chance.choice(DATA_CLASSES[:2]),
            risk=chance.choice(("minimal", "limited")),
            language=chance.choice(("en", "de", "fr", None)),
            run=f"run-{each}",
            tags=(("desk", f"desk-{chance.randrange(40)}"), ("shop", "north")),
            max_output_tokens=chance.choice((200, 400)),
        )
        words = chance.randrange(20, 400)
        read = Signals(
            input_tokens=words * 2 + 8,
            characters=words * 6,
            words=words,
            sentences=words // 12 + 1,
            questions=chance.randrange(3),
        )
        found.append((facts, read, State(at=1_790_000_000_000 + each)))
    return found


def decide(asked: Asked, snapshot: Snapshot) -> tuple[Plan | Refusal, engine.Move | None]:
    """The decision: what may be asked and why nothing else, and what to ask first."""
    planned = engine.plan(*asked, snapshot)
    return planned, engine.next(planned, ()) if isinstance(planned, Plan) else None


def conclude(asked: Asked, snapshot: Snapshot) -> Decision:
    """The record of a request whose first model answered well."""
    planned, move = decide(asked, snapshot)
    assert isinstance(move, engine.Climb)
    attempt = AttemptSignals(
        rung=move.rung, endpoint=move.endpoint, outcome="ok", stop_reason="stop", output_tokens=128, latency_ms=240
    )
    facts, read, state = asked
    return engine.conclude(
        planned,
        (attempt,),
        id=IDENTITY,
        at=AT,
        environment=IDENTITY,
        key=IDENTITY,
        facts=facts,
        signals=read,
        state=state,
        snapshot=snapshot.digest,
    )


def per_call(act: Callable[[T], object], on: Sequence[T], rounds: int) -> float:
    """Seconds of processor time that one call takes: the median of the rounds, each over all of them."""
    found = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        began = time.process_time()
        for each in on:
            act(each)
        found.append((time.process_time() - began) / len(on))
        gc.enable()
    return middle(found) or 0.0


def check_replay(stored: Sequence[Decision], snapshot: Snapshot) -> None:
    """Decide all again from their bytes. Raises Void for one that comes out otherwise."""
    decoder = msgspec.json.Decoder(Decision)
    for each in stored:
        written = engine.encode(each)
        if engine.encode(engine.replay(decoder.decode(written), snapshot)) != written:
            raise Void(f"a decision comes out of its replay otherwise: {written.decode()}")


def texts(number: int) -> list[list[dict[str, str]]]:
    """Conversations of about 1 KB, each with the words in another order."""
    chance = random.Random(4471)
    words = world.QUESTION.split()
    found = []
    for _ in range(number):
        chance.shuffle(words)
        found.append([{"role": "system", "content": world.SYSTEM}, {"role": "user", "content": " ".join(words)}])
    return found


def per_prompt(prompts: Sequence[Sequence[object]]) -> float:
    """The 95th percentile of the milliseconds that reading the signals of one conversation takes."""
    found = []
    gc.collect()
    gc.disable()
    for messages in prompts:
        began = time.perf_counter_ns()
        signals.read(messages)
        found.append((time.perf_counter_ns() - began) / 1e6)
    gc.enable()
    return percentile(found, 0.95)


def measures(decision: float, reading: Sequence[float], replays: float, rules: int) -> list[Measure]:
    """What the goals say: ``decision`` in seconds, ``reading`` in milliseconds, ``replays`` a second."""
    return [
        Measure(
            measure="decide.decision",
            title=f"decision with {rules} rules and its reasons, signals given",
            value=decision * 1e6,
            unit="us",
            goal=5.0,
        ),
        Measure(
            measure="decide.signals_p95",
            title="signals of a 1 KB prompt, p95",
            value=middle(reading),
            unit="ms",
            goal=0.2,
        ),
        Measure(
            measure="decide.replay",
            title="stored decisions replayed, all equal to the engine",
            value=replays,
            unit="a second",
            goal=3_000_000,
            at_least=True,
        ),
    ]
