"""Which models may be asked for one request, in which order, starting where; or that none may."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from smallfirst.engine.compiled import Candidate, CompiledRule, CompiledStep, CompiledWorkflow, Snapshot, keep_from_of
from smallfirst.engine.compiled import candidate as candidate_of
from smallfirst.engine.decision import (
    MISSING_CLAUSES,
    STATE_CLAUSES,
    LeftOut,
    Observed,
    Output,
    Plan,
    PlannedEndpoint,
    PlannedRung,
    Refusal,
    RefusalCode,
)
from smallfirst.engine.facts import Facts, Signals, State
from smallfirst.engine.guards import (
    EXACT,
    Barrier,
    Source,
    endpoint_barrier,
    least_clearance,
    least_cost,
    least_latency,
    model_barrier,
)
from smallfirst.engine.policy import (
    ANY_STEP,
    AUTO,
    DATA_CLASS_RANK,
    DATA_CLASSES,
    RISK_RANK,
    TIER_RANK,
    Difficulty,
    Gate,
    Limits,
    Tier,
)
from smallfirst.engine.snapshot import Endpoint, Model
from smallfirst.engine.triage import triage

N = TypeVar("N", int, Decimal)

UNACCEPTABLE = RISK_RANK["unacceptable"]


class Case(Output, frozen=True):
    """One request as the guards see it: its inputs, the rules that fired, and the narrowest of all levels."""

    facts: Facts
    signals: Signals
    state: State
    snapshot: Snapshot
    workflow: CompiledWorkflow
    fired: tuple[CompiledRule, ...]
    triage: Difficulty
    risk: int
    sources: tuple[Source, ...]
    clearance: int
    max_cost: Decimal | None
    max_output_tokens: int | None
    narrowed: bool


def plan(facts: Facts, signals: Signals, state: State, snapshot: Snapshot) -> Plan | Refusal:
    """Return the ladder for one request, or why no model may be asked.

    The same arguments always give the same result. Data class and risk are those of the facts, raised to what the
    workflow declares and its guards ask for. Where the policy is only watched, a registered model that the request
    names is all that is asked.
    """
    difficulty = triage(signals)
    workflow = snapshot.workflows.get(facts.workflow)
    if workflow is None:
        text = "no policy of this workflow is live here, or the gateway has not fetched it yet"
        return Refusal(None, facts.step, (), difficulty, "no_model_available", "workflow", text)
    if workflow.watched is None or not _watches(facts, snapshot):
        return _decided(facts, signals, state, snapshot, workflow, difficulty)
    served = _decided(facts, signals, state, snapshot, workflow.watched, difficulty)
    would = _decided(msgspec.structs.replace(facts, model=AUTO), signals, state, snapshot, workflow, difficulty)
    return msgspec.structs.replace(served, observed=_observed(would))


def _watches(facts: Facts, snapshot: Snapshot) -> bool:
    """Say whether a policy in observe mode stands aside: not where the choice is left to it, nor from a measurement."""
    return facts.model != AUTO and facts.model in snapshot.models and facts.purpose != "evaluation"


def _observed(would: Plan | Refusal) -> Observed:
    if isinstance(would, Refusal):
        return Observed(clause=would.clause)
    ladder = would.rungs[would.start :]
    return Observed(model=ladder[0].model, tier=ladder[0].tier, ladder=tuple([rung.model for rung in ladder]))


def _decided(
    facts: Facts,
    signals: Signals,
    state: State,
    snapshot: Snapshot,
    workflow: CompiledWorkflow,
    difficulty: Difficulty,
) -> Plan | Refusal:
    """Plan a request under the policy of one compiled workflow."""
    step = workflow.steps.get(facts.step) or workflow.steps.get(ANY_STEP)
    if step is None:
        text = f"the policy has no step “{facts.step}”"
        return Refusal(workflow.policy_version, facts.step, (), difficulty, "not_allowed", "step", text)
    case = _case(facts, signals, state, snapshot, workflow, step, difficulty)
    refusal = _refused_outright(case) or _pin_refused(case, step)
    if refusal is not None:
        return refusal
    rungs: list[PlannedRung] = []
    left_out: list[LeftOut] = []
    for wanted in _asked(case, step):
        placed = wanted if isinstance(wanted, LeftOut) else _place(wanted, case)
        if isinstance(placed, LeftOut):
            left_out.append(placed)
        else:
            rungs.append(placed)
    if not rungs:
        return _nothing_left(case, tuple(left_out))
    if facts.purpose == "evaluation":
        return _measured(case, step, rungs[0])
    return _planned(case, step, tuple(rungs), tuple(left_out))


def _case(
    facts: Facts,
    signals: Signals,
    state: State,
    snapshot: Snapshot,
    workflow: CompiledWorkflow,
    step: CompiledStep,
    difficulty: Difficulty,
) -> Case:
    """Raise class and risk to the declared ones, find the rules that fire, and gather what narrows the request."""
    data_class = max(DATA_CLASS_RANK[facts.data_class], workflow.data_class)
    risk = max(RISK_RANK[facts.risk], workflow.risk)
    fired = tuple([rule for rule in step.rules if rule.fires(facts, signals, data_class, risk)])
    sources = tuple([rule.source for rule in fired if rule.source is not None])
    max_cost = workflow.max_cost
    clearance = max(data_class, workflow.clearance)
    if sources:
        max_cost = _narrower(max_cost, least_cost(sources))
        clearance = max(clearance, least_clearance(sources))
    return Case(
        facts=facts,
        signals=signals,
        state=state,
        snapshot=snapshot,
        workflow=workflow,
        fired=fired,
        triage=difficulty,
        risk=risk,
        sources=sources,
        clearance=clearance,
        max_cost=max_cost,
        max_output_tokens=_narrower(step.step.limits.max_output_tokens, facts.max_output_tokens),
        narrowed=bool(
            sources
            or max_cost is not None
            or facts.wants_logprobs
            or state.stopped_models
            or state.stopped_endpoints
            or state.open_breakers
        ),
    )


def _refused_outright(case: Case) -> Refusal | None:
    """Say what refuses the request whatever its candidates are; None when nothing does."""
    facts = case.facts
    if facts.model != AUTO and facts.model not in case.snapshot.models:
        text = f"no model is called “{facts.model}”; “{AUTO}” lets the policy choose"
        return _refusal(case, "unknown_model", "model", text)
    if case.state.stopped_workflow:
        return _refusal(case, "no_model_available", "stopped", "this workflow is stopped")
    if case.risk == UNACCEPTABLE:
        return _refusal(case, "not_allowed", "risk", "an unacceptable risk is never served")
    for rule in case.fired:
        if rule.then.refuse is not None:
            return _refusal(case, "not_allowed", "rule", rule.then.refuse)
    return None


def _pin_refused(case: Case, step: CompiledStep) -> Refusal | None:
    """Say why the model that the request names, or that it names none, is refused; None when it is not."""
    named = case.facts.model
    if case.facts.purpose == "evaluation":
        if named == AUTO:
            text = f"an evaluation measures one model: name one of the ladder instead of “{AUTO}”"
            return _refusal(case, "not_allowed", "pin", text)
        if all(rung.model != named for rung in step.step.ladder):
            text = f"“{named}” is no rung of step “{step.step.name}”, and an evaluation measures only those"
            return _refusal(case, "not_allowed", "pin", text)
    elif named != AUTO and case.workflow.pin == "refuse":
        text = f"this workflow’s policy chooses the model: ask for “{AUTO}” instead of “{named}”"
        return _refusal(case, "not_allowed", "pin", text)
    return None


def _asked(case: Case, step: CompiledStep) -> Sequence[Candidate | LeftOut]:
    """Return the models that the request may be asked of: those of the ladder, or the one that it names."""
    named, workflow = case.facts.model, case.workflow
    if case.facts.purpose == "evaluation":
        rungs = zip(step.step.ladder, step.candidates, strict=True)
        return [candidate for rung, candidate in rungs if rung.model == named][:1]
    if named != AUTO and workflow.pin == "allow":
        return (candidate_of(named, keep_from_of(step.step, named), workflow.sources, case.snapshot),)
    return step.candidates


def _place(candidate: Candidate, case: Case) -> PlannedRung | LeftOut:
    """Turn a candidate into a rung for this request, or say what leaves it out."""
    model = candidate.model
    if case.sources:
        barrier = model_barrier(model, case.sources)
        if barrier is not None:
            return LeftOut(model.name, barrier.clause, barrier.text)
    if candidate.clearance < case.clearance:
        text = f"data class {DATA_CLASSES[case.clearance]} is not allowed there"
        return LeftOut(model.name, "data_class", text)
    needed = case.signals.input_tokens + (case.max_output_tokens or 0)
    # Each text to embed is read by itself, so their sum says nothing of what a model must take at once.
    if case.facts.kind == "chat" and model.context_tokens is not None and needed > model.context_tokens:
        text = f"the request needs about {needed:,} tokens, it takes {model.context_tokens:,}"
        return LeftOut(model.name, "context", text)
    if not case.narrowed:
        return candidate.rung
    if model.id in case.state.stopped_models:
        return LeftOut(model.name, "stopped", "this model is stopped")
    return _place_somewhere(candidate, case)


def _place_somewhere(candidate: Candidate, case: Case) -> PlannedRung | LeftOut:
    """Turn a candidate into a rung at those of its endpoints that the request may use, if any."""
    model = candidate.model
    barriers: list[Barrier] = []
    places: list[PlannedEndpoint] = []
    for endpoint in candidate.endpoints:
        place = _place_endpoint(endpoint, model, case)
        if isinstance(place, Barrier):
            barriers.append(place)
        else:
            places.append(place)
    if not places:
        # What passes by itself is the truer reason: but for it, the model would be asked.
        reason = next((barrier for barrier in barriers if barrier.clause in STATE_CLAUSES), barriers[0])
        return LeftOut(model.name, reason.clause, reason.text)
    return PlannedRung(model.name, model.tier, tuple(places), candidate.rung.keep_from)


def _place_endpoint(endpoint: Endpoint, model: Model, case: Case) -> PlannedEndpoint | Barrier:
    """Let a model be asked at one of its endpoints for this request, or say what keeps it out there."""
    barrier = endpoint_barrier(endpoint, model, case.sources)
    if barrier is not None:
        return barrier
    if case.facts.wants_logprobs and not endpoint.logprobs:
        return Barrier("no_logprobs", "it gives no token probabilities, which the request asks for")
    place = PlannedEndpoint(endpoint.id)
    if case.max_cost is not None:
        priced = _priced(endpoint, case, case.max_cost)
        if isinstance(priced, Barrier):
            return priced
        place = priced
    if endpoint.id in case.state.stopped_endpoints:
        return Barrier("stopped", "its endpoint is stopped")
    if endpoint.id in case.state.open_breakers:
        return Barrier("breaker_open", "its endpoint failed too often just now")
    return place


def _priced(endpoint: Endpoint, case: Case, ceiling: Decimal) -> PlannedEndpoint | Barrier:
    """Hold one attempt at an endpoint, at its dearest, against the cost ceiling."""
    rates = case.snapshot.rates.get(endpoint.id)
    # Embeddings are no output tokens: who bills them bills what was read.
    speaks = case.facts.kind == "chat"
    output_rate = rates.output if rates is not None and speaks else Decimal(0)
    if rates is None or rates.input is None or output_rate is None:
        return Barrier("price_unknown", "its price is not known, and cost has a ceiling")
    if rates.currency != "USD":
        return Barrier("price_unknown", f"it is priced in {rates.currency}, and the ceiling is in USD")
    if speaks and case.max_output_tokens is None:
        return Barrier("unbounded_cost", "its output has no limit, and cost has a ceiling")
    input_cost = EXACT.multiply(rates.input, case.signals.input_tokens)
    most = EXACT.add(input_cost, EXACT.multiply(output_rate, case.max_output_tokens or 0))
    if most > ceiling:
        return Barrier("cost", f"it may cost up to USD {most.normalize(EXACT):f}, the ceiling is USD {ceiling:f}")
    return PlannedEndpoint(endpoint.id, input_cost, output_rate, most)


def _nothing_left(case: Case, left_out: tuple[LeftOut, ...]) -> Refusal:
    """Refuse for want of a rung: for now when one may come back, else by the first guard, else for lack of any."""
    if not left_out:
        return _refusal(case, "not_allowed", "ladder", "the policy names no model for this step")
    for one in left_out:
        if one.clause in STATE_CLAUSES:
            return _refusal(case, "no_model_available", one.clause, f"{one.model}: {one.text}", left_out)
    text = "; ".join([f"{one.model}: {one.text}" for one in left_out])
    for one in left_out:
        if one.clause not in MISSING_CLAUSES:
            return _refusal(case, "not_allowed", one.clause, text, left_out)
    return _refusal(case, "no_model_available", left_out[0].clause, text, left_out)


def _planned(
    case: Case, step: CompiledStep, rungs: tuple[PlannedRung, ...], left_out: tuple[LeftOut, ...]
) -> Plan | Refusal:
    """Put the plan together: where triage enters the ladder, how an answer is judged, and who is asked in doubt."""
    policy = step.step
    start: Tier | None = None
    start_rule: str | None = None
    keep_from: float | None = None
    review_rule: str | None = None
    for rule in case.fired:
        if start is None and rule.then.start is not None:
            start, start_rule = rule.then.start, rule.name
        if keep_from is None:
            keep_from = rule.then.keep_from
        if review_rule is None and rule.then.review:
            review_rule = rule.name
    if start is None and policy.start is not None:
        start = getattr(policy.start, case.triage)
    gate = policy.gate
    if keep_from is not None:
        gate = Gate(keep_from=keep_from) if gate is None else msgspec.structs.replace(gate, keep_from=keep_from)
        rungs = tuple([PlannedRung(rung.model, rung.tier, rung.endpoints, keep_from) for rung in rungs])
    review = policy.review
    if review_rule is not None:
        if review is None:
            text = f"rule “{review_rule}” asks for a person, and step “{policy.name}” does not say how"
            return _refusal(case, "not_allowed", "review", text, left_out)
        review = msgspec.structs.replace(review, when="always")
    if case.facts.kind == "embeddings" and (gate is not None or review is not None):
        text = f"step “{policy.name}” judges its answers; ask for embeddings in a step without a gate and a review"
        return _refusal(case, "not_allowed", "review" if gate is None else "gate", text, left_out)
    return Plan(
        policy_version=case.workflow.policy_version,
        step=policy.name,
        rules=tuple([rule.name for rule in case.fired]),
        triage=case.triage,
        rungs=rungs,
        left_out=left_out,
        start=0 if start is None else _entry(rungs, start),
        start_rule=start_rule,
        gate=gate,
        review=review,
        review_rule=review_rule,
        limits=_limits(case, policy.limits),
        max_cost=case.max_cost,
    )


def _measured(case: Case, step: CompiledStep, rung: PlannedRung) -> Plan:
    """Put the plan of an evaluation together: one model, whose answer is kept whatever it is, and nobody else."""
    return Plan(
        policy_version=case.workflow.policy_version,
        step=step.step.name,
        rules=tuple([rule.name for rule in case.fired]),
        triage=case.triage,
        rungs=(PlannedRung(rung.model, rung.tier, rung.endpoints, None),),
        left_out=(),
        start=0,
        start_rule=None,
        gate=None,
        review=None,
        review_rule=None,
        limits=_limits(case, step.step.limits),
        max_cost=case.max_cost,
    )


def _entry(rungs: Sequence[PlannedRung], tier: Tier) -> int:
    """Return the index of the first rung of at least this tier; the last rung when all are below."""
    wanted = TIER_RANK[tier]
    return next((index for index, rung in enumerate(rungs) if TIER_RANK[rung.tier] >= wanted), len(rungs) - 1)


def _limits(case: Case, limits: Limits) -> Limits:
    """Return the step's limits, narrowed by the request's own and by every latency ceiling."""
    ceiling = _narrower(case.workflow.max_latency_ms, least_latency(case.sources) if case.sources else None)
    deadline_ms = limits.deadline_ms if ceiling is None else min(ceiling, limits.deadline_ms)
    if deadline_ms == limits.deadline_ms and case.max_output_tokens == limits.max_output_tokens:
        return limits
    return Limits(max_output_tokens=case.max_output_tokens, deadline_ms=deadline_ms)


def _refusal(case: Case, code: RefusalCode, clause: str, text: str, left_out: tuple[LeftOut, ...] = ()) -> Refusal:
    return Refusal(
        policy_version=case.workflow.policy_version,
        step=case.facts.step,
        rules=tuple([rule.name for rule in case.fired]),
        triage=case.triage,
        code=code,
        clause=clause,
        text=text,
        left_out=left_out,
    )


def _narrower(one: N | None, other: N | None) -> N | None:
    """Return the smaller bound, where None bounds nothing."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
