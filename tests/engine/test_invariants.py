"""The promises of the engine, tried on any policy, request and sequence of events."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from smallfirst import engine
from smallfirst.engine import AttemptSignals, Climb, Decision, Facts, Plan, Policy, Signals, Snapshot, State
from smallfirst.engine.policy import DATA_CLASS_RANK, DATA_CLASSES, RISK_RANK, RISKS, Gate, Guards, Rule, Then
from smallfirst.engine.snapshot import Held, Registry
from tests.engine import strategies as some
from tests.engine.made import REVIEW, WORKFLOW, concluded, make_document, make_snapshot, make_standard

often = settings(max_examples=50, deadline=None, derandomize=True, database=None)

Request = tuple[Facts, Signals, State]
requests = st.tuples(some.facts, some.signals, some.calm)
CALM = Signals(), State()
levels = st.fixed_dictionaries(
    {
        "data_class": some.mostly("public", st.sampled_from(DATA_CLASSES)),
        "risk": st.sampled_from(RISKS[:3]),
        "guards": some.mostly(None, some.guards()),
    }
)


def candidates(policy: Policy, registry: Registry, request: Request, level: dict[str, Any]) -> set[tuple[str, str]]:
    """Every model and endpoint that may be asked."""
    plan = engine.plan(*request, make_snapshot(policy, registry, **level))
    if not isinstance(plan, Plan):
        return set()
    return {(rung.model, place.id) for rung in plan.rungs for place in rung.endpoints}


def walked(data: st.DataObject, plan: Plan) -> list[AttemptSignals]:
    """The attempts that come of a plan when anything may happen at each, until a move asks nothing more."""
    attempts: list[AttemptSignals] = []
    while isinstance(move := engine.next(plan, attempts), Climb):
        came = data.draw(some.outcomes())
        attempts.append(msgspec.structs.replace(came, rung=move.rung, endpoint=move.endpoint))
        assert len(attempts) <= sum(len(rung.endpoints) for rung in plan.rungs)
    return attempts


@often
@given(some.policies(), some.registries(), requests, levels)
def test_each_candidate_is_in_the_ladder_or_left_out_with_a_reason(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    facts = request[0]
    snapshot = make_snapshot(policy, registry, **level)
    planned = engine.plan(*request, snapshot)
    if not isinstance(planned, Plan):
        assert planned.text
        assert planned.clause
        return
    step = next(step for step in policy.steps if step.name == planned.step)
    pinned = facts.model != "auto" and policy.pin == "allow"
    expected = [facts.model] if pinned else [rung.model for rung in step.ladder]

    assert sorted([rung.model for rung in planned.rungs] + [one.model for one in planned.left_out]) == sorted(expected)
    assert [model for model in expected if model in {rung.model for rung in planned.rungs}] == [
        rung.model for rung in planned.rungs
    ]
    assert all(rung.endpoints for rung in planned.rungs)
    assert all(one.clause and one.text for one in planned.left_out)
    assert 0 <= planned.start < len(planned.rungs)


@often
@given(some.policies(), some.registries(), requests, levels)
def test_whatever_may_be_asked_passes_every_guard_of_every_level(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    """An oracle that knows only the guards, so that pins, fallbacks and climbs cannot slip past them together."""
    facts, _, state = request
    planned = engine.plan(*request, make_snapshot(policy, registry, **level))
    if not isinstance(planned, Plan):
        return
    fired = [rule.then for rule in policy.rules if rule.name in planned.rules]
    guards = [level["guards"], policy.guards]
    for each in registry.standards:
        guards.append(each.standard.guards)
        fired += [rule.as_rule().then for rule in each.standard.rules if f"{rule.name} ({each.name})" in planned.rules]
    guards += [then.guards for then in fired]
    models = {model.name: model for model in registry.models}
    endpoints = {endpoint.id: endpoint for endpoint in registry.endpoints}
    for rung in planned.rungs:
        model = models[rung.model]
        cleared = max(DATA_CLASS_RANK[name] for name in model.data_classes)
        assert cleared >= max(DATA_CLASS_RANK[facts.data_class], DATA_CLASS_RANK[level["data_class"]])
        assert model.id not in state.stopped_models
        for place in rung.endpoints:
            endpoint = endpoints[place.id]
            assert endpoint.model == model.name
            assert endpoint.region in model.regions
            assert endpoint.id not in state.stopped_endpoints + state.open_breakers
            assert endpoint.logprobs or not facts.wants_logprobs
            for guard in filter(None, guards):
                assert guard.data_class is None or cleared >= DATA_CLASS_RANK[guard.data_class]
                assert guard.regions is None or endpoint.region in guard.regions
                assert guard.hosting is None or {endpoint.hosting, model.hosting} <= set(guard.hosting)
                assert guard.licences is None or model.licence in guard.licences
                assert guard.models is None or model.name in guard.models
                assert guard.max_cost is None or place.most <= Decimal(guard.max_cost)
                assert guard.max_latency_ms is None or planned.limits.deadline_ms <= guard.max_latency_ms


@often
@given(some.policies(), some.registries(), requests, levels, some.guards(), st.sampled_from(("top", "own", "policy")))
def test_a_further_guard_never_adds_a_candidate(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any], further: Guards, where: str
) -> None:
    """Given as a rule that always fires, and as the guards of a level that had none, with a standard among them."""
    before = candidates(policy, registry, request, level)
    rule = Rule(name="further", then=Then(guards=further))
    guarded = msgspec.structs.replace(policy, rules=(*policy.rules, rule))
    assert candidates(guarded, registry, request, level) <= before

    bare_policy = msgspec.structs.replace(policy, guards=Guards())
    bare_registry = msgspec.structs.replace(registry, standards=())
    before = candidates(bare_policy, bare_registry, request, level | {"guards": None})
    if where == "top":
        bare_registry = msgspec.structs.replace(registry, standards=(make_standard(guards=further),))
    if where == "policy":
        bare_policy = msgspec.structs.replace(policy, guards=further)
    own = further if where == "own" else None
    assert candidates(bare_policy, bare_registry, request, level | {"guards": own}) <= before


@often
@given(some.policies(), some.registries(), requests, levels, some.rules(), st.integers(0, 3))
def test_a_further_rule_never_adds_a_candidate(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any], further: Rule, place: int
) -> None:
    rules = list(policy.rules)
    rules.insert(place, msgspec.structs.replace(further, name="further"))

    ruled = msgspec.structs.replace(policy, rules=tuple(rules))

    assert candidates(ruled, registry, request, level) <= candidates(policy, registry, request, level)


@often
@given(st.data(), some.policies(), some.registries(), requests, levels)
def test_an_exception_never_takes_a_candidate_away(
    data: st.DataObject, policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    """So what a workflow is excepted from restricts it no longer, and nothing else does instead."""
    narrow = msgspec.structs.replace(registry, standards=data.draw(some.standards()))
    excepted = level | {"standards": data.draw(some.held(narrow))}
    everything = tuple(Held(standard=each.id, without=each.standard.part_keys()) for each in narrow.standards)

    whole, some_left = candidates(policy, narrow, request, level), candidates(policy, narrow, request, excepted)

    assert whole <= some_left
    free = candidates(policy, narrow, request, level | {"standards": everything})
    assert some_left <= free
    assert free == candidates(policy, msgspec.structs.replace(registry, standards=()), request, level)


@often
@given(some.policies(), some.registries(), requests, levels, st.sampled_from(DATA_CLASSES), st.sampled_from(RISKS))
def test_raising_class_or_risk_never_adds_a_candidate_and_lowering_them_changes_nothing(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any], data_class: str, risk: str
) -> None:
    facts, signals, state = request
    raised = msgspec.structs.replace(
        facts,
        data_class=max(facts.data_class, data_class, key=lambda name: DATA_CLASS_RANK[name]),
        risk=max(facts.risk, risk, key=lambda name: RISK_RANK[name]),
    )
    lowered = msgspec.structs.replace(facts, data_class="public", risk="minimal")
    declared = msgspec.structs.replace(facts, data_class=level["data_class"], risk=level["risk"])

    before = candidates(policy, registry, request, level)

    assert candidates(policy, registry, (raised, signals, state), level) <= before
    assert candidates(policy, registry, (lowered, signals, state), level) == candidates(
        policy, registry, (declared, signals, state), level
    )


@often
@given(some.policies(), some.registries(), requests, levels, some.states)
def test_stops_and_breakers_never_add_a_candidate(
    policy: Policy, registry: Registry, request: Request, level: dict[str, Any], state: State
) -> None:
    facts, signals, _ = request

    stopped = candidates(policy, registry, (facts, signals, state), level)

    assert stopped <= candidates(policy, registry, (facts, signals, State()), level)


@often
@given(st.data(), some.policies(), some.registries(), requests, levels)
def test_each_endpoint_of_each_rung_is_asked_once_at_most_and_only_upwards(
    data: st.DataObject, policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    planned = engine.plan(*request, make_snapshot(policy, registry, **level))
    if not isinstance(planned, Plan):
        return

    attempts = walked(data, planned)

    order = [(index, place.id) for index, rung in enumerate(planned.rungs) for place in rung.endpoints]
    asked = [order.index((attempt.rung, attempt.endpoint)) for attempt in attempts]
    assert asked == sorted(set(asked))
    left_out = {one.model for one in planned.left_out}
    assert left_out.isdisjoint(planned.rungs[attempt.rung].model for attempt in attempts)
    assert all(attempt.rung >= planned.start for attempt in attempts)


@often
@given(st.data(), some.policies(), some.registries(), requests, levels)
def test_all_attempts_together_never_pass_the_cost_ceiling(
    data: st.DataObject, policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    planned = engine.plan(*request, make_snapshot(policy, registry, **level))
    if not isinstance(planned, Plan) or planned.max_cost is None:
        return

    total = Decimal(0)
    for attempt in walked(data, planned):
        place = next(place for place in planned.rungs[attempt.rung].endpoints if place.id == attempt.endpoint)
        if attempt.output_tokens is not None:
            total += place.input_cost + place.output_rate * attempt.output_tokens
        elif attempt.outcome in ("ok", "timeout", "aborted"):
            total += place.most

    assert total <= planned.max_cost


@often
@given(st.data(), some.policies(), some.registries(), requests, levels)
def test_a_decision_comes_out_of_its_replay_with_the_same_bytes_and_can_be_told(
    data: st.DataObject, policy: Policy, registry: Registry, request: Request, level: dict[str, Any]
) -> None:
    snapshot: Snapshot = make_snapshot(policy, registry, **level)
    planned = engine.plan(*request, snapshot)
    attempts = walked(data, planned) if isinstance(planned, Plan) else []
    attempts = attempts[: data.draw(st.integers(0, len(attempts)))]
    facts, signals, state = request
    decision = concluded(snapshot, attempts, facts=facts, signals=signals, state=state, review=REVIEW)

    stored = engine.encode(decision)
    again = engine.replay(msgspec.json.decode(stored, type=Decision), snapshot)

    assert engine.encode(again) == stored
    reasons = engine.explain(decision, snapshot)
    assert all(reason.sentence.endswith(".") and reason.code for reason in reasons)
    assert [reason.code for reason in reasons].count("attempt") == len(attempts)


@often
@given(some.policies(), some.registries(), levels)
def test_the_text_of_a_snapshot_gives_the_same_decisions_as_its_rows(
    policy: Policy, registry: Registry, level: dict[str, Any]
) -> None:
    document = make_document(policy, registry, **level)

    read = engine.read_snapshot(msgspec.json.encode(document))
    made = engine.compile_snapshot(document, digest=read.digest)

    for step in ("one", "two", "*"):
        facts = Facts(workflow=WORKFLOW, step=step, max_output_tokens=5)
        assert engine.plan(facts, Signals(), State(), read) == engine.plan(facts, Signals(), State(), made)


@often
@given(some.policies(), some.registries(), levels)
def test_a_policy_without_problems_serves_each_of_its_steps_and_one_that_serves_none_has_some(
    policy: Policy, registry: Registry, level: dict[str, Any]
) -> None:
    steps = tuple(msgspec.structs.replace(step, gate=Gate(keep_from=0.8), start=None) for step in policy.steps)
    policy = msgspec.structs.replace(policy, steps=steps, rules=())
    served = [
        candidates(policy, registry, (Facts(workflow=WORKFLOW, step=step.name, max_output_tokens=1), *CALM), level)
        for step in steps
    ]

    standards = [Held(standard=each.id) for each in registry.standards]

    problems = engine.validate(policy, registry, **level, standards=standards)

    assert all(problem.path and problem.message and problem.fix for problem in problems)
    assert all(served) or problems
    if all("empty list" not in problem.message and "no model is called" not in problem.message for problem in problems):
        assert bool(problems) == (not all(served))


@often
@given(some.policies(), some.policies())
def test_a_difference_is_empty_only_between_equal_policies(one: Policy, other: Policy) -> None:
    assert engine.difference(one, one) == []
    assert (engine.difference(one, other) == []) == (one == other)
    for sentence in engine.difference(one, other):
        before = "".join(part.text for part in sentence.parts if part.kind != "ins")
        after = "".join(part.text for part in sentence.parts if part.kind != "del")
        assert (before, after) == (sentence.before or "", sentence.after or "")


@often
@given(some.policies())
def test_a_policy_survives_its_text(policy: Policy) -> None:
    assert engine.read_policy(msgspec.json.encode(policy)) == policy
    assert engine.read_policy(msgspec.to_builtins(policy)) == policy
