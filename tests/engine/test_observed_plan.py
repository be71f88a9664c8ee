"""A policy that is only watched: the named model is served, all above it holds, and what it would have done is told."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallfirst import engine
from smallfirst.engine import (
    AttemptSignals,
    Decision,
    Facts,
    Observed,
    Plan,
    Policy,
    Refusal,
    ReplayError,
    Signals,
    Snapshot,
    State,
)
from smallfirst.engine.policy import DATA_CLASS_RANK, Guards, Limits, ModelIs, Rung, Start
from smallfirst.engine.snapshot import Registry
from tests.engine import strategies as some
from tests.engine.made import (
    GRAND,
    MINILM,
    MINILM_SPARE,
    REGISTRY,
    REVIEW,
    attempted,
    concluded,
    make_document,
    make_facts,
    make_model,
    make_policy,
    make_review,
    make_rule,
    make_snapshot,
    make_standard,
    make_step,
    models_of,
    with_standards,
)
from tests.engine.test_invariants import Request, levels, often, requests, walked

# All that a policy can do to a request, at once.
BUSY = make_policy(
    make_step(
        review=make_review(when="always"),
        start=Start(easy="mid", medium="mid", hard="frontier"),
        limits=Limits(max_output_tokens=5, deadline_ms=900),
    ),
    pin="refuse",
    guards=Guards(models=("lexicon", "minilm"), max_latency_ms=50),
    rules=(
        make_rule("careful", keep_from=0.99, review=True, guards=Guards(licences=("Apache-2.0",))),
        make_rule("closed to grand", when=(ModelIs(is_=("grand",)),), refuse="no"),
    ),
)


def observed(
    policy: Policy | None = None,
    *,
    registry: Registry = REGISTRY,
    signals: Signals | None = None,
    state: State | None = None,
    guards: Guards | None = None,
    data_class: str = "public",
    **facts: Any,
) -> Plan | Refusal:
    """Plan a request for grand under a policy that is only watched."""
    level = {"guards": guards, "data_class": data_class, "mode": "observe"}
    snapshot = make_snapshot(policy or BUSY, registry, **level)
    wanted = make_facts(**{"model": "grand"} | facts)
    return engine.plan(wanted, signals or Signals(), state or State(), snapshot)


def test_the_named_model_is_served_as_asked() -> None:
    plan = observed(max_output_tokens=4000)

    assert isinstance(plan, Plan)
    assert models_of(plan) == ["grand"]
    assert (plan.gate, plan.review, plan.review_rule, plan.start, plan.start_rule) == (None, None, None, 0, None)
    assert (plan.rules, plan.left_out, plan.max_cost) == ((), (), None)
    assert plan.rungs[0].keep_from is None
    assert plan.limits == Limits(max_output_tokens=4000, deadline_ms=900)
    assert engine.streams(plan, 0)
    assert plan.observed == Observed(model="minilm", tier="mid", ladder=("minilm",))


def test_the_ladder_is_told_from_its_start_up() -> None:
    step = make_step(start=Start(easy="mid", medium="mid", hard="mid"))

    plan = observed(make_policy(step))

    assert plan.observed == Observed(model="minilm", tier="mid", ladder=("minilm", "grand"))


def test_a_refusal_that_would_have_been_is_told_by_its_clause() -> None:
    plan = observed(make_policy(rules=(make_rule(refuse="not here"),)))

    assert isinstance(plan, Plan)
    assert plan.observed == Observed(clause="rule")


def test_a_step_that_the_policy_does_not_have_is_served_all_the_same() -> None:
    plan = observed(step="unheard of")

    assert isinstance(plan, Plan)
    assert models_of(plan) == ["grand"]
    assert plan.limits == Limits()
    assert plan.observed == Observed(clause="step")


@pytest.mark.parametrize("model", ["auto", "nobody"])
def test_what_names_no_registered_model_is_decided_as_in_force(model: str) -> None:
    facts = make_facts(model=model)

    plan = engine.plan(facts, Signals(), State(), make_snapshot(BUSY, mode="observe"))

    assert plan == engine.plan(facts, Signals(), State(), make_snapshot(BUSY))
    assert plan.observed is None


def test_an_evaluation_measures_a_rung_whatever_the_mode() -> None:
    facts = make_facts(model="minilm", purpose="evaluation")

    plan = engine.plan(facts, Signals(), State(), make_snapshot(BUSY, mode="observe"))

    assert plan == engine.plan(facts, Signals(), State(), make_snapshot(BUSY))
    assert plan.observed is None


def with_guards(guards: Guards) -> Registry:
    return with_standards(make_standard(guards=guards))


@pytest.mark.parametrize(
    ("changes", "code", "clause"),
    [
        ({"registry": with_guards(Guards(models=("lexicon",)))}, "not_allowed", "models"),
        ({"registry": with_guards(Guards(hosting=("self",)))}, "not_allowed", "hosting"),
        ({"registry": with_guards(Guards(max_cost="1"))}, "not_allowed", "unbounded_cost"),
        ({"guards": Guards(licences=("MIT",))}, "not_allowed", "licence"),
        ({"guards": Guards(regions=("eu",))}, "not_allowed", "region"),
        ({"guards": Guards(data_class="confidential")}, "not_allowed", "data_class"),
        ({"data_class": "confidential"}, "not_allowed", "data_class"),
        ({"signals": Signals(input_tokens=9000)}, "not_allowed", "context"),
        ({"wants_logprobs": True}, "not_allowed", "no_logprobs"),
        ({"risk": "unacceptable"}, "not_allowed", "risk"),
        ({"state": State(stopped_workflow=True)}, "no_model_available", "stopped"),
        ({"state": State(stopped_models=(make_model("grand").id,))}, "no_model_available", "stopped"),
        ({"state": State(stopped_endpoints=(GRAND,))}, "no_model_available", "stopped"),
        ({"state": State(open_breakers=(GRAND,))}, "no_model_available", "breaker_open"),
    ],
)
def test_what_is_above_the_policy_holds(changes: dict[str, Any], code: str, clause: str) -> None:
    refusal = observed(**changes)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.clause, refusal.rules) == (code, clause, ())
    assert refusal.observed is not None


def test_ceilings_of_time_above_the_policy_hold() -> None:
    plan = observed(registry=with_guards(Guards(max_latency_ms=70)), guards=Guards(max_latency_ms=60))

    assert isinstance(plan, Plan)
    assert plan.limits.deadline_ms == 60


ASKING = make_facts(model="minilm")


def told(decision: Decision, snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(reason.code, reason.sentence) for reason in engine.explain(decision, snapshot)]


def test_it_is_told_that_the_policy_was_only_watched_and_what_it_would_have_done() -> None:
    snapshot = make_snapshot(make_policy(make_step(review=make_review())), mode="observe")
    decision = concluded(snapshot, [attempted(0, MINILM, "error"), attempted(0, MINILM_SPARE)], facts=ASKING)

    assert told(decision, snapshot) == [
        ("policy", "Policy version 3 of feedback was only watched, for step “sentiment”."),
        ("observed", "It would have started at lexicon (small) and could have climbed to minilm, grand and a person."),
        ("pin", "minilm was asked for by name and served as asked."),
        ("attempt", "minilm failed: its next endpoint was asked."),
        ("attempt", "minilm answered: kept."),
    ]


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (
            make_policy(make_step(ladder=(Rung(model="lexicon"),))),
            "It would have started at lexicon (small).",
        ),
        (
            make_policy(make_step(ladder=(Rung(model="lexicon"),), review=make_review(when="always"))),
            "It would have started at lexicon (small); a person would have released the answer.",
        ),
        (
            make_policy(rules=(make_rule(refuse="Not for this."),)),
            "It would have refused the request: Not for this.",
        ),
    ],
)
def test_what_it_would_have_done_is_told_for_each_policy(policy: Policy, sentence: str) -> None:
    snapshot = make_snapshot(policy, mode="observe")

    assert told(concluded(snapshot, facts=ASKING), snapshot)[1] == ("observed", sentence)


def test_a_decision_under_another_snapshot_would_have_nothing() -> None:
    decision = concluded(make_snapshot(mode="observe"), facts=ASKING)

    with pytest.raises(ReplayError, match="made under snapshot"):
        engine.would_have(decision, msgspec.structs.replace(make_snapshot(), digest="1" * 64))


def test_decisions_from_before_observation_are_read_and_keep_their_bytes() -> None:
    stored = engine.encode(concluded(make_snapshot()))

    assert b"observed" not in stored
    assert engine.encode(msgspec.json.decode(stored, type=Decision)) == stored


pinned = st.sampled_from(some.NAMES)


def pinning(request: Request, model: str) -> Request:
    facts, signals, state = request
    return msgspec.structs.replace(facts, model=model), signals, state


@often
@given(some.policies(), some.registries(), requests, levels, pinned)
def test_no_model_but_the_named_one_is_ever_asked(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any], model: str
) -> None:
    plan = engine.plan(*pinning(request, model), make_snapshot(policy, registry, **level, mode="observe"))

    assert plan.observed is not None
    assert {one.model for one in plan.left_out} <= {model}
    if isinstance(plan, Plan):
        assert models_of(plan) == [model]
        assert (plan.gate, plan.review, plan.start) == (None, None, 0)


@often
@given(some.policies(), some.registries(), requests, levels, pinned)
def test_guards_above_the_policy_hold_as_under_one_that_asks_for_nothing(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any], model: str
) -> None:
    """An oracle that knows only these guards, and the request's own."""
    facts, signals, state = pinning(request, model)

    plan = engine.plan(facts, signals, state, make_snapshot(policy, registry, **level, mode="observe"))

    if not isinstance(plan, Plan):
        return
    (rung,) = plan.rungs
    chosen = next(one for one in registry.models if one.name == model)
    cleared = max(DATA_CLASS_RANK[name] for name in chosen.data_classes)
    assert cleared >= max(DATA_CLASS_RANK[facts.data_class], DATA_CLASS_RANK[level["data_class"]])
    assert chosen.id not in state.stopped_models
    for place in rung.endpoints:
        endpoint = next(one for one in registry.endpoints if one.id == place.id)
        assert (endpoint.model, endpoint.region in chosen.regions) == (model, True)
        assert endpoint.id not in state.stopped_endpoints + state.open_breakers
        assert endpoint.logprobs or not facts.wants_logprobs
        for guard in filter(None, (*(each.standard.guards for each in registry.standards), level["guards"])):
            assert guard.data_class is None or cleared >= DATA_CLASS_RANK[guard.data_class]
            assert guard.regions is None or endpoint.region in guard.regions
            assert guard.hosting is None or {endpoint.hosting, chosen.hosting} <= set(guard.hosting)
            assert guard.licences is None or chosen.licence in guard.licences
            assert guard.models is None or model in guard.models
            assert guard.max_latency_ms is None or plan.limits.deadline_ms <= guard.max_latency_ms


@often
@given(some.policies(), some.policies(), some.registries(), requests, levels, pinned)
def test_nothing_of_the_policy_acts_but_the_deadlines_of_its_steps(
    one: Policy, other: Policy, registry: Registry, request: Request, level: dict[str, Any], model: str
) -> None:
    def served(policy: Policy) -> Plan | Refusal:
        plan = engine.plan(*pinning(request, model), make_snapshot(policy, registry, **level, mode="observe"))
        if isinstance(plan, Plan):
            limits = Limits(max_output_tokens=plan.limits.max_output_tokens)
            return msgspec.structs.replace(plan, observed=None, step="", limits=limits)
        return msgspec.structs.replace(plan, observed=None)

    assert served(one) == served(other)


@often
@given(some.policies(), some.registries(), requests, levels, pinned)
def test_what_would_have_been_is_the_plan_under_enforce(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any], model: str
) -> None:
    facts, signals, state = pinning(request, model)
    snapshot = make_snapshot(policy, registry, **level, mode="observe")
    decision = concluded(snapshot, facts=facts, signals=signals, state=state)

    would = engine.would_have(decision, snapshot)

    left_open = msgspec.structs.replace(facts, model="auto")
    assert would == engine.plan(left_open, signals, state, make_snapshot(policy, registry, **level))
    if isinstance(would, Refusal):
        assert decision.observed == Observed(clause=would.clause)
    else:
        first = would.rungs[would.start]
        ladder = tuple(models_of(would)[would.start :])
        assert decision.observed == Observed(model=first.model, tier=first.tier, ladder=ladder)


@often
@given(st.data(), some.policies(), some.registries(), requests, levels, pinned)
def test_an_observed_decision_comes_out_of_its_replay_with_the_same_bytes_and_can_be_told(
    data: st.DataObject, policy: Policy, registry: Registry, request: Request, level: dict[str, Any], model: str
) -> None:
    snapshot = make_snapshot(policy, registry, **level, mode="observe")
    facts, signals, state = pinning(request, model)
    plan = engine.plan(facts, signals, state, snapshot)
    attempts: list[AttemptSignals] = walked(data, plan) if isinstance(plan, Plan) else []
    decision = concluded(snapshot, attempts, facts=facts, signals=signals, state=state, review=REVIEW)

    stored = engine.encode(decision)

    assert b'"observed":{' in stored
    again = engine.replay(msgspec.json.decode(stored, type=Decision), snapshot)
    assert engine.encode(again) == stored
    codes = [reason.code for reason in engine.explain(decision, snapshot)]
    assert codes[:2] == ["policy", "observed"]
    assert codes.count("attempt") == len(attempts)


@often
@given(some.policies(), some.registries(), levels)
def test_the_text_of_a_snapshot_observes_as_its_rows_do(
    policy: Policy, registry: Registry, level: dict[str, Any]
) -> None:
    document = make_document(policy, registry, **level, mode="observe")
    read = engine.read_snapshot(msgspec.json.encode(document))
    made = engine.compile_snapshot(document, digest=read.digest)

    facts = Facts(workflow=document.workflows[0].id, step="one", model="bee")

    assert engine.plan(facts, Signals(), State(), read) == engine.plan(facts, Signals(), State(), made)
