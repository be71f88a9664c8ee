"""What an application decides in process is what the engine and the gateway decide, byte for byte."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smallfirst import engine
from smallfirst.client import InvalidInput, NothingToAsk, Smallfirst
from smallfirst.deciding import Deciding
from smallfirst.engine import Decision, Facts, Plan, Refusal, Signals, State
from smallfirst.signals import read
from tests.client.shop import TEXT, Shop
from tests.gateway.world import ROOT, Process, ask, wait

SURE = {"confidence": 0.95, "label": "positive", "stop_reason": "stop", "output_tokens": 1, "latency_ms": 3}
UNSURE = SURE | {"confidence": 0.4}
CASES: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("open", {}, [{"latency_ms": 5, "output_tokens": 7}]),
    ("open", {"run": "r-1", "language": "en", "tags": {"shop": "north", "desk": "2"}}, [{"latency_ms": 5}]),
    ("open", {}, [{"outcome": "error", "latency_ms": 9}, {"outcome": "timeout", "latency_ms": 9}, {"latency_ms": 1}]),
    ("open", {}, [{"outcome": "refused", "latency_ms": 1}, {"outcome": "refused", "latency_ms": 1}]),
    ("open", {}, [{"outcome": "aborted", "latency_ms": 1}]),
    ("open", {}, []),
    ("gated", {"data_class": "public"}, [SURE]),
    ("gated", {}, [UNSURE, SURE | {"label": " POSITIVE"}]),
    ("gated", {}, [SURE | {"label": "maybe"}, UNSURE, UNSURE]),
    ("gated", {"data_class": "restricted"}, []),
    ("pinning", {"model": "big"}, [{"latency_ms": 2}]),
    ("pinning", {"model": "no such"}, []),
    ("refusing", {"model": "big"}, []),
    ("short", {"max_output_tokens": 9}, [{"outcome": "error", "latency_ms": 2000}]),
    ("ruled", {"risk": "high"}, []),
    ("watched", {"model": "big"}, [{"latency_ms": 4}]),
    ("mute", {}, [SURE | {"confidence": 0.99}]),
    ("open", {"kind": "embeddings"}, [{"latency_ms": 4}]),
    ("gated", {"kind": "embeddings"}, []),
]


def decided(client: Smallfirst, facts: dict[str, Any], attempts: list[dict[str, Any]]) -> Deciding:
    """A decision after these attempts, which is reported."""
    d = client.decide(messages=TEXT, **facts)
    for attempt in attempts:
        d.next(**attempt)
    client.report(d)
    return d


@pytest.mark.parametrize(("slug", "facts", "attempts"), CASES)
def test_same_inputs_same_bytes_as_the_engine(
    shop: Shop, slug: str, facts: dict[str, Any], attempts: list[dict[str, Any]]
) -> None:
    client = shop.client(slug)
    d = decided(client, facts, attempts)
    assert client.flush()
    (stored,) = shop.stored()
    came = msgspec.json.decode(json.dumps(stored), type=Decision)

    # The engine by itself, from what the application said and the control plane published.
    snapshot = engine.read_snapshot(shop.world.snapshot().encode())
    said = Facts(
        workflow=shop.world.workflow(slug),
        data_class="restricted" if facts.get("data_class") == "restricted" else "internal",
        risk=facts.get("risk", "limited"),
        language=facts.get("language"),
        run=facts.get("run"),
        tags=tuple(sorted(facts.get("tags", {}).items())),
        model=facts.get("model", "auto"),
        max_output_tokens=facts.get("max_output_tokens"),
        kind=facts.get("kind", "chat"),
    )
    signals, state = read(TEXT), State(at=came.state.at)
    plan = engine.plan(said, signals, state, snapshot)
    told: list[engine.AttemptSignals] = []
    for attempt in attempts:
        assert isinstance(plan, Plan)
        move = engine.next(plan, told)
        assert isinstance(move, engine.Climb)
        label = (attempt.get("label") or "").strip().lower()
        fields = {
            "outcome": "ok",
            "rung": move.rung,
            "endpoint": move.endpoint,
            **attempt,
            "label": label if plan.gate and label in (plan.gate.labels or ()) else None,
        }
        told.append(msgspec.convert(fields, engine.AttemptSignals))
    ours = engine.conclude(
        plan, told, id=d.id, at=came.at, environment=shop.world.environment, key=shop.world.key(slug), facts=said,
        signals=signals, state=state, snapshot=snapshot.digest,
    )  # fmt: skip
    assert engine.encode(came) == engine.encode(ours)
    assert engine.encode(engine.replay(came, snapshot)) == engine.encode(ours)
    if d.action == "ask":
        with pytest.raises(InvalidInput, match="nothing has come of it yet"):
            d.explain()
    else:
        assert d.explain() == [reason.sentence for reason in engine.explain(ours, snapshot)]


def alike(decision: dict[str, Any]) -> bytes:
    """A decision's bytes without what no two requests share: its id and its moment."""
    came = msgspec.json.decode(json.dumps(decision), type=Decision)
    state = msgspec.structs.replace(came.state, at=0)
    at = "2026-01-01T00:00:00.000000Z"
    return engine.encode(msgspec.structs.replace(came, id=new_id_of_nobody(), at=at, state=state))


def new_id_of_nobody() -> str:
    """Any id."""
    return "00000000-0000-7000-8000-000000000000"


def test_same_request_same_decision_as_the_gateways(shop: Shop, gateway: Process, free_port: Callable[[], int]) -> None:
    """The gateway climbs over an unsure model to a sure one; told of the same attempts, the SDK does just that."""
    script = {
        "small": {"text": "positive", "logprob": -1.0},
        "mid": {"text": "negative", "logprob": -0.01},
    }
    request = ask(script, run="r-7", metadata={"language": "en", "shop": "north"})
    answer = gateway.post(shop.world.tokens["gated"], request)
    assert answer.status_code == 200
    wait(lambda: len(shop.stored()) == 1)
    (theirs,) = shop.stored()

    client = shop.client("gated")
    d = client.decide(messages=request["messages"], run="r-7", language="en", tags={"shop": "north"})
    for attempt in theirs["attempts"]:
        assert d.ask.endpoint == attempt["endpoint"]
        d.next(**{name: value for name, value in attempt.items() if name not in ("rung", "endpoint")})
    client.report(d)
    assert client.flush()
    ours = next(each for each in shop.stored() if each["id"] == d.id)
    assert len(theirs["attempts"]) > 1
    assert alike(ours) == alike(theirs)


@pytest.fixture
def gateway(shop: Shop, tmp_path: Path, free_port: Callable[[], int]) -> Any:
    """A gateway of the same environment."""
    world = shop.world
    made = Process(control=shop.control.url, world=world, state=tmp_path / "gateway", port=free_port())
    with made as running:
        yield running.start()


def test_what_to_ask_says_all_that_a_call_needs(shop: Shop) -> None:
    d = shop.client("short").decide(messages=TEXT, max_output_tokens=20)
    asked = d.ask
    place = shop.world.endpoints[0]
    assert (d.action, asked.model, asked.tier, asked.endpoint) == ("ask", "small", "small", place["id"])
    assert (asked.url, asked.upstream_model, asked.secret) == (place["url"], "small", "env:TEST_MODELS_KEY")
    assert (asked.max_output_tokens, asked.timeout_ms, asked.confidence, asked.labels) == (20, 1000, False, None)
    d.next(outcome="timeout", latency_ms=400)
    assert (d.ask.model, d.ask.upstream_model, d.ask.timeout_ms) == ("small", "small-2", 600)
    gated = shop.client("gated").decide(messages=TEXT)
    assert (gated.ask.confidence, gated.ask.labels) == (True, ("positive", "negative"))


def test_the_answer_that_is_kept_is_named(shop: Shop) -> None:
    """Nothing above answers any more: the last answer is kept, although it was not the last attempt."""
    d = shop.client("gated").decide(messages=TEXT)
    failed = {"outcome": "error", "latency_ms": 1}
    moves = [d.next(**each) for each in (UNSURE, UNSURE, failed)]
    assert moves == ["ask", "ask", "keep"]
    assert d.kept == 1
    assert d.why.sentence == "The answer of mid is kept."


def test_each_attempt_is_a_usage_event(shop: Shop) -> None:
    client = shop.client("gated")
    d = client.decide(messages=TEXT, run="r-1", tags={"shop": "north"})
    d.next(**UNSURE, input_tokens=9, cache_read_tokens=4, http_status=200, provider_request_id="req-1")
    d.next(**SURE | {"output_tokens": None}, model_served="mid-2026")
    client.report(d)
    assert client.flush()
    first, second = sorted(shop.stored("events"), key=lambda event: event["attempt"])
    assert (first["model"], first["kept"], first["usage_quality"]) == ("small", False, "exact")
    assert (first["input_tokens"], first["cache_read_tokens"], first["output_tokens"]) == (9, 4, 1)
    assert (second["model"], second["kept"], second["usage_quality"]) == ("mid", True, "missing")
    assert (second["model_served"], second["tags"], second["run"]) == ("mid-2026", {"shop": "north"}, "r-1")
    assert {first["decision"], second["decision"]} == {d.id}


def test_the_short_way_reports_what_came_of_the_only_attempt(shop: Shop) -> None:
    client = shop.client("open")
    d = client.decide(step="extract", data_class="internal")
    client.report(d, {"input_tokens": 10, "output_tokens": 2}, "ok")
    assert client.flush()
    (decision,) = shop.stored()
    assert (decision["outcome"], decision["kept_model"], decision["step"]) == ("kept", "small", "extract")
    assert [(event["kept"], event["outcome"]) for event in shop.stored("events")] == [(True, "ok")]


def test_signals_may_be_given_instead_of_texts(shop: Shop) -> None:
    client = shop.client("open")
    assert client.decide(signals={"input_tokens": 12, "words": 7}).signals == Signals(input_tokens=12, words=7)
    assert client.decide(signals=Signals(words=7)).signals == Signals(words=7)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"step": ""}, "step"),
        ({"step": "x" * 201}, "step"),
        ({"data_class": "secret"}, "data_class"),
        ({"risk": "none"}, "risk"),
        ({"tags": {"a": "b" * 501}}, "tags[0][1]"),
        ({"tags": {str(n): "x" for n in range(51)}}, "tags"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"signals": {"words": -1}}, "words"),
        ({"signals": {"word": 1}}, "word"),
    ],
)
def test_what_cannot_be_decided_on_is_named(shop: Shop, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        shop.client().decide(**fields)
    assert refused.value.field.startswith(named)


@pytest.mark.parametrize(
    ("attempt", "named"),
    [
        ({"outcome": "fine"}, "outcome"),
        ({"confidence": 1.2}, "confidence"),
        ({"output_tokens": -1}, "output_tokens"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"http_status": 9}, "http_status"),
        ({"tokens": 9}, "tokens"),
    ],
)
def test_what_cannot_be_an_attempt_changes_nothing(shop: Shop, attempt: dict[str, Any], named: str) -> None:
    client = shop.client("gated")
    d = client.decide(messages=TEXT)
    with pytest.raises(InvalidInput) as refused:
        d.next(**attempt)
    assert refused.value.field == named
    assert (d.action, d.ask.model) == ("ask", "small")
    assert d.next(**SURE) == "keep"


def test_nothing_is_asked_twice_or_reported_twice(shop: Shop) -> None:
    client = shop.client("open")
    d = client.decide(messages=TEXT)
    d.next()
    with pytest.raises(NothingToAsk, match="The answer of small is kept"):
        d.next()
    with pytest.raises(NothingToAsk):
        _ = d.ask
    client.report(d)
    with pytest.raises(InvalidInput, match="reported before"):
        client.report(d)
    assert client.flush()
    assert len(shop.stored()) == len(shop.stored("events")) == 1


def test_a_refusal_says_why_and_is_reported(shop: Shop) -> None:
    client = shop.client("ruled")
    d = client.decide(messages=TEXT, risk="high")
    assert isinstance(d.plan, Refusal)
    assert (d.action, d.why.code, d.kept) == ("refuse", "rule", None)
    client.report(d)
    assert client.flush()
    assert [each["outcome"] for each in shop.stored()] == ["refused"]


def test_a_reviewer_is_told_what_an_answer_cost(shop: Shop) -> None:
    d = shop.client("gated").decide(messages=TEXT)
    d.next(**UNSURE, input_tokens=1_000_000)
    (said,) = d.answers()
    assert said.cost is not None
    assert Decimal(said.cost) == Decimal("1.000002")


def test_deciding_opens_no_file_and_asks_nobody(shop: Shop) -> None:
    """Python tells an audit hook of each file and each socket; of this thread there must be none."""
    said = shop.run(
        """
me, seen = threading.get_ident(), []
def told(event, arguments):
    if watching and threading.get_ident() == me:
        seen.append(event)
watching = False
sys.addaudithook(told)
sf.decide(step="topic")
watching = True
for number in range(100):
    d = sf.decide(step="topic", messages=[{"role": "user", "content": "Is it any good?"}], tags={"n": str(number)})
    d.next(output_tokens=3)
watching = False
print(json.dumps(sorted({event for event in seen if event.split(".")[0] in ("open", "os", "socket", "fcntl")})))
"""
    )
    assert said == ["[]"]


def test_the_engine_stays_pure_and_the_sdk_needs_no_gateway() -> None:
    """What each brings into a program that imports it."""
    found = {}
    for statement in ("import smallfirst.engine", "from smallfirst import Smallfirst"):
        code = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        found[statement] = set(done.stdout.split())
    assert not found["import smallfirst.engine"] & {"cryptography", "uuid_utils", "socket", "smallfirst.client"}
    assert not found["from smallfirst import Smallfirst"] & {"aiohttp", "django", "uvicorn", "smallfirst.gateway"}
