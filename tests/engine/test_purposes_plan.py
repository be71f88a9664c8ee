"""What a key is for: an evaluation measures one model of the ladder, everything else is decided alike."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallfirst import engine
from smallfirst.engine import AttemptSignals, Decision, Facts, Keep, Plan, Policy, Refusal, State
from smallfirst.engine.policy import Gate, Guards, Limits, Rung, Start
from smallfirst.engine.snapshot import Registry
from tests.engine import strategies as some
from tests.engine.made import (
    LEXICON,
    MINILM,
    MINILM_SPARE,
    attempted,
    concluded,
    make_facts,
    make_model,
    make_policy,
    make_review,
    make_rule,
    make_snapshot,
    make_step,
    models_of,
    planned,
    refused,
)
from tests.engine.test_invariants import Request, levels, often, requests


def measuring(model: str, **changes: Any) -> Facts:
    """The facts of an evaluation that names a model."""
    return make_facts(model=model, purpose="evaluation", **changes)


@pytest.mark.parametrize("pin", ["allow", "replace", "refuse"])
def test_an_evaluation_asks_the_named_rung_alone(pin: str) -> None:
    step = make_step(
        review=make_review(when="always"),
        start=Start(easy="frontier", medium="frontier", hard="frontier"),
        limits=Limits(max_output_tokens=7, deadline_ms=900),
    )
    rule = make_rule(start="frontier", review=True, keep_from=0.99)

    plan = planned(make_policy(step, pin=pin, rules=(rule,)), facts=measuring("minilm"))

    assert models_of(plan) == ["minilm"]
    assert [place.id for place in plan.rungs[0].endpoints] == [MINILM, MINILM_SPARE]
    assert plan.rungs[0].keep_from is None
    assert (plan.gate, plan.review, plan.review_rule, plan.start, plan.start_rule) == (None, None, None, 0, None)
    assert plan.rules == ("a rule",)
    assert plan.limits == Limits(max_output_tokens=7, deadline_ms=900)
    assert engine.streams(plan, 0)


def test_an_evaluation_keeps_whatever_the_model_answers() -> None:
    plan = planned(make_policy(make_step(gate=Gate(keep_from=0.8, labels=("a",)))), facts=measuring("lexicon"))

    assert engine.next(plan, [attempted(0, LEXICON, confidence=0.01, stop_reason="length")]) == Keep(0)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("auto", "an evaluation measures one model: name one of the ladder instead of “auto”"),
        ("grand", "“grand” is no rung of step “sentiment”, and an evaluation measures only those"),
    ],
)
def test_an_evaluation_of_no_rung_is_refused(model: str, text: str) -> None:
    step = make_step(ladder=(Rung(model="lexicon"), Rung(model="minilm")))

    refusal = refused(make_policy(step, pin="allow"), facts=measuring(model))

    assert (refusal.code, refusal.clause, refusal.text) == ("not_allowed", "pin", text)


@pytest.mark.parametrize(
    ("changes", "facts", "state", "code", "clause"),
    [
        ({"guards": Guards(licences=("MIT",))}, {}, State(), "not_allowed", "licence"),
        ({"rules": (make_rule(guards=Guards(hosting=("hosted",))),)}, {}, State(), "not_allowed", "hosting"),
        ({"rules": (make_rule(refuse="closed"),)}, {}, State(), "not_allowed", "rule"),
        ({}, {"data_class": "restricted"}, State(), "not_allowed", "data_class"),
        ({}, {"risk": "unacceptable"}, State(), "not_allowed", "risk"),
        ({}, {"max_output_tokens": 10_000}, State(), "not_allowed", "context"),
        ({}, {"model": "nobody"}, State(), "unknown_model", "model"),
        ({}, {}, State(stopped_workflow=True), "no_model_available", "stopped"),
        ({}, {}, State(stopped_models=(make_model("minilm").id,)), "no_model_available", "stopped"),
        ({}, {}, State(open_breakers=(MINILM, MINILM_SPARE)), "no_model_available", "breaker_open"),
    ],
)
def test_an_evaluation_is_let_past_nothing_else(
    changes: dict[str, Any], facts: dict[str, Any], state: State, code: str, clause: str
) -> None:
    wanted = measuring(**{"model": "minilm"} | facts)

    refusal = refused(make_policy(pin="refuse", **changes), facts=wanted, state=state)

    assert (refusal.code, refusal.clause) == (code, clause)


@often
@given(st.data(), some.policies(), some.registries(), requests, levels)
def test_an_evaluation_asks_no_other_model_and_at_no_place_that_work_could_not_ask(
    data: st.DataObject, policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    """Held against the plan of an application under a policy whose ladder is that model alone."""
    facts, signals, state = request
    step = next((step for step in policy.steps if step.name == facts.step), policy.steps[-1])
    named = data.draw(st.sampled_from([rung.model for rung in step.ladder if rung.model != "gone"] or ["ant"]))
    facts = msgspec.structs.replace(facts, model=named, purpose="evaluation")

    plan = engine.plan(facts, signals, state, make_snapshot(policy, registry, **level))

    alone = tuple(msgspec.structs.replace(one, ladder=(Rung(model=named),), review=None) for one in policy.steps)
    rules = tuple(
        msgspec.structs.replace(rule, then=msgspec.structs.replace(rule.then, review=False)) for rule in policy.rules
    )
    bare = msgspec.structs.replace(policy, steps=alone, rules=rules, pin="replace")
    working = msgspec.structs.replace(facts, purpose="application")
    expected = engine.plan(working, signals, state, make_snapshot(bare, registry, **level))
    if isinstance(plan, Refusal):
        assert isinstance(expected, Refusal) or plan.clause == "pin"
        return
    assert isinstance(expected, Plan)
    assert [(rung.model, rung.endpoints) for rung in plan.rungs] == [
        (rung.model, rung.endpoints) for rung in expected.rungs
    ]
    assert (plan.limits, plan.max_cost, plan.rules) == (expected.limits, expected.max_cost, expected.rules)


@often
@given(some.policies(), some.registries(), requests, levels)
def test_a_trial_is_decided_as_work_is(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    facts, signals, state = request
    snapshot = make_snapshot(policy, registry, **level)
    trial = msgspec.structs.replace(facts, purpose="trial")

    assert engine.plan(trial, signals, state, snapshot) == engine.plan(facts, signals, state, snapshot)


@pytest.mark.parametrize("purpose", ["application", "trial", "evaluation"])
def test_a_decision_says_what_its_key_was_for_and_replays(purpose: Any) -> None:
    snapshot = make_snapshot()
    attempts: list[AttemptSignals] = [attempted(0, LEXICON, confidence=0.9)]
    decision = concluded(snapshot, attempts, facts=make_facts(model="lexicon", purpose=purpose))

    stored = engine.encode(decision)

    assert (f'"purpose":"{purpose}"'.encode() in stored) == (purpose != "application")
    read = msgspec.json.decode(stored, type=Decision)
    assert read == decision
    assert engine.encode(engine.replay(read, snapshot)) == stored


def test_an_evaluation_is_told() -> None:
    snapshot = make_snapshot()
    facts = measuring("lexicon")

    reasons = engine.explain(concluded(snapshot, [attempted(0, LEXICON, confidence=0.1)], facts=facts), snapshot)

    assert [reason.sentence for reason in reasons] == [
        "Policy version 3 of feedback decided, for step “sentiment”.",
        "lexicon was asked alone, to be measured: no gate looked at its answer, and no person.",
        "lexicon answered: kept.",
    ]


def test_facts_from_before_purposes_are_an_applications() -> None:
    read = msgspec.json.decode(b'{"workflow":"00000000-0000-7000-8000-000000000001"}', type=Facts)

    assert read.purpose == "application"
