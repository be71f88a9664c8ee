"""Requests for embeddings: the same guards, no output to pay or to judge."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given

from smallfirst import engine
from smallfirst.engine import Decision, Facts, Keep, Observed, Plan, Policy, Signals
from smallfirst.engine.policy import Gate, Guards, Limits
from smallfirst.engine.snapshot import Registry
from tests.engine import strategies as some
from tests.engine.made import (
    LEXICON,
    MINILM,
    REGISTRY,
    attempted,
    concluded,
    left_out_of,
    make_facts,
    make_policy,
    make_price,
    make_review,
    make_rule,
    make_snapshot,
    make_step,
    models_of,
    planned,
    refused,
)
from tests.engine.test_invariants import Request, levels, often, requests

PLAIN = make_step(gate=None, limits=Limits(max_output_tokens=10))


def embedding(**changes: Any) -> Facts:
    """The facts of a request for embeddings."""
    return make_facts(kind="embeddings", **changes)


def test_the_ladder_is_walked_on_failure_alone() -> None:
    plan = planned(make_policy(PLAIN), facts=embedding())

    assert models_of(plan) == ["lexicon", "minilm", "grand"]
    assert engine.next(plan, [attempted(0, LEXICON, stop_reason=None)]) == Keep(0)
    assert engine.next(plan, [attempted(0, LEXICON, "error")]) == engine.Climb(1, MINILM)


def test_the_sum_of_many_texts_is_no_reason_to_leave_a_model_out() -> None:
    many = Signals(input_tokens=1_000_000)

    assert models_of(planned(make_policy(PLAIN), facts=embedding(), signals=many)) == ["lexicon", "minilm", "grand"]
    assert refused(make_policy(PLAIN), facts=make_facts(), signals=many).clause == "context"


def test_a_cost_ceiling_counts_what_is_read_alone() -> None:
    prices = (make_price(LEXICON, "1", None), make_price(MINILM, "4", None))
    registry = msgspec.structs.replace(REGISTRY, prices=prices)
    policy = make_policy(make_step(gate=None), guards=Guards(max_cost="0.002"))

    plan = planned(policy, registry=registry, facts=embedding(), signals=Signals(input_tokens=1000))

    (rung,) = plan.rungs
    (place,) = rung.endpoints
    assert (place.input_cost, place.output_rate, place.most) == (Decimal("0.001"), Decimal(0), Decimal("0.001"))
    assert left_out_of(plan)["minilm"] == ("cost", "it may cost up to USD 0.004, the ceiling is USD 0.002")
    assert left_out_of(plan)["grand"][0] == "price_unknown"


@pytest.mark.parametrize(
    ("policy", "clause"),
    [
        (make_policy(make_step()), "gate"),
        (make_policy(make_step(gate=Gate(labels=("a", "b")), review=make_review())), "gate"),
        (make_policy(make_step(gate=None, review=make_review(when="always"))), "review"),
        (make_policy(PLAIN, rules=(make_rule(keep_from=0.9),)), "gate"),
        (make_policy(make_step(gate=None, review=make_review()), rules=(make_rule(review=True),)), "review"),
    ],
)
def test_where_answers_are_judged_there_are_no_embeddings(policy: Policy, clause: str) -> None:
    refusal = refused(policy, facts=embedding())

    assert (refusal.code, refusal.clause) == ("not_allowed", clause)
    assert refusal.text == (
        "step “sentiment” judges its answers; ask for embeddings in a step without a gate and a review"
    )


def test_a_watched_policy_that_judges_would_refuse_and_an_evaluation_is_not_judged() -> None:
    watching = planned(make_policy(), facts=embedding(model="minilm"), mode="observe")
    measuring = planned(make_policy(), facts=embedding(model="minilm", purpose="evaluation"))

    assert (models_of(watching), watching.observed) == (["minilm"], Observed(clause="gate"))
    assert models_of(measuring) == ["minilm"]


@pytest.mark.parametrize("kind", ["chat", "embeddings"])
def test_a_decision_says_what_was_asked_for_where_it_was_no_chat(kind: Any) -> None:
    snapshot = make_snapshot(make_policy(PLAIN))
    decision = concluded(snapshot, [attempted(0, LEXICON)], facts=make_facts(kind=kind))

    stored = engine.encode(decision)

    assert (b'"kind":"embeddings"' in stored) == (kind == "embeddings")
    assert b'"kind":"chat"' not in stored
    read = msgspec.json.decode(stored, type=Decision)
    assert read == decision
    assert engine.encode(engine.replay(read, snapshot)) == stored


@often
@given(some.policies(), some.registries(), requests, levels)
def test_embeddings_reach_no_place_that_a_chat_of_no_length_could_not(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    """What is left away can only be the room for an answer: its tokens, their price, and the sum of the texts."""
    facts, signals, state = request
    snapshot = make_snapshot(policy, registry, **level)
    asked = msgspec.structs.replace(facts, kind="embeddings", max_output_tokens=None)

    plan = engine.plan(asked, signals, state, snapshot)

    if not isinstance(plan, Plan):
        return
    assert (plan.gate, plan.review) == (None, None)
    bare_registry = msgspec.structs.replace(
        registry,
        models=tuple(msgspec.structs.replace(model, context_tokens=None) for model in registry.models),
        prices=tuple(msgspec.structs.replace(price, output="0") for price in registry.prices),
    )
    chat = msgspec.structs.replace(facts, max_output_tokens=1)
    other = engine.plan(chat, signals, state, make_snapshot(policy, bare_registry, **level))
    assert isinstance(other, Plan)
    assert [(rung.model, [place.id for place in rung.endpoints]) for rung in plan.rungs] == [
        (rung.model, [place.id for place in rung.endpoints]) for rung in other.rungs
    ]
