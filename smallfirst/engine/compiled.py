"""A snapshot made ready for deciding: all that no single request can change is worked out once, here."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import TypeVar

import msgspec

from smallfirst.engine.conditions import Predicate, all_hold
from smallfirst.engine.decision import LeftOut, Output, PlannedEndpoint, PlannedRung, PolicyNumber
from smallfirst.engine.guards import (
    EXACT,
    Source,
    clearance_rank,
    endpoint_barrier,
    least_clearance,
    least_cost,
    least_latency,
    model_barrier,
)
from smallfirst.engine.policy import (
    ANY_STEP,
    DATA_CLASS_RANK,
    RISK_RANK,
    Guards,
    Limits,
    Pin,
    Policy,
    Rule,
    Step,
    StepIs,
    Then,
)
from smallfirst.engine.snapshot import Endpoint, Model, Price, SnapshotDocument, StandardVersion, Workflow

T = TypeVar("T")


class SnapshotError(ValueError):
    """The text is not a snapshot, or its rows do not fit together; the message names the place."""


class Rates(Output, frozen=True):
    """What one token of each kind costs at an endpoint; None is not priced."""

    currency: str
    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_write: Decimal | None


class Candidate(Output, frozen=True):
    """A model that the guards above the rules let a step ask, at those endpoints that they let it use.

    ``rung`` is the rung that it makes when nothing about the request narrows it further.
    """

    model: Model
    clearance: int
    endpoints: tuple[Endpoint, ...]
    rung: PlannedRung


class CompiledRule(Output, frozen=True):
    """A rule with its conditions as one function and its guards with their origin in words."""

    name: str
    fires: Predicate
    then: Then
    source: Source | None


class CompiledStep(Output, frozen=True):
    """A step with its candidates, bottom first, what is left out of it for good, and the rules that can fire there."""

    step: Step
    candidates: tuple[Candidate | LeftOut, ...]
    rules: tuple[CompiledRule, ...]


class HeldStandard(Output, frozen=True):
    """A standard that holds for a workflow; ``without`` are those of its parts that the workflow is excepted from.

    ``guards`` and ``rules`` are what is left of it; the rules are named with whose they are.
    """

    name: str
    number: int
    guards: Guards
    rules: tuple[Rule, ...]
    without: tuple[str, ...]


class CompiledWorkflow(Output, frozen=True):
    """A workflow's policy ready for deciding; ranks and ceilings are the narrowest of all levels above the rules.

    The rules of its ``standards`` stand before those of the policy. ``watched`` is None where that is enforced. In
    observe mode, requests that name a model are served by it: the workflow under a policy that asks for nothing but the
    steps' deadlines, so that all above it still holds.
    """

    id: str
    slug: str
    policy_version: PolicyNumber
    pin: Pin
    data_class: int
    risk: int
    standards: tuple[HeldStandard, ...]
    sources: tuple[Source, ...]
    clearance: int
    max_cost: Decimal | None
    max_latency_ms: int | None
    steps: dict[str, CompiledStep]
    watched: "CompiledWorkflow | None"


class Snapshot(Output, frozen=True):
    """A whole snapshot: workflows and endpoints by id, models and ``served`` by model name, rates by endpoint id."""

    digest: str
    workflows: dict[str, CompiledWorkflow]
    models: dict[str, Model]
    endpoints: dict[str, Endpoint]
    served: dict[str, tuple[Endpoint, ...]]
    rates: dict[str, Rates]


def read_snapshot(text: bytes) -> Snapshot:
    """Return the snapshot of an exact text, whose SHA-256 is its digest. Raises SnapshotError."""
    try:
        document = msgspec.json.decode(text, type=SnapshotDocument)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    return compile_snapshot(document, digest=sha256(text).hexdigest())


def compile_snapshot(document: SnapshotDocument, *, digest: str) -> Snapshot:
    """Return the snapshot of a document that was already read. Raises SnapshotError where rows do not fit together."""
    models = _unique("models", ((model.name, model) for model in document.models))
    endpoints = _unique("endpoints", ((endpoint.id, endpoint) for endpoint in document.endpoints))
    prices = _unique("prices", ((price.endpoint, price) for price in document.prices))
    served: dict[str, list[Endpoint]] = {name: [] for name in models}
    for endpoint in sorted(document.endpoints, key=lambda endpoint: (endpoint.order, endpoint.id)):
        if endpoint.model not in models:
            raise SnapshotError(f"endpoints: {endpoint.id} serves {endpoint.model!r}, which is no model here")
        served[endpoint.model].append(endpoint)
    for price in document.prices:
        if price.endpoint not in endpoints:
            raise SnapshotError(f"prices: {price.endpoint} is no endpoint here")
    snapshot = Snapshot(
        digest=digest,
        workflows={},
        models=models,
        endpoints=endpoints,
        served={name: tuple(places) for name, places in served.items()},
        rates={endpoint: _rates(price) for endpoint, price in prices.items()},
    )
    standards = _unique("standards", ((standard.id, standard) for standard in document.standards))
    rows = _unique("workflows", ((workflow.id, workflow) for workflow in document.workflows))
    for row in rows.values():
        snapshot.workflows[row.id] = _compile_workflow(row, _held(row, standards), snapshot)
    return snapshot


def candidate(name: str, keep_from: float | None, sources: Sequence[Source], snapshot: Snapshot) -> Candidate | LeftOut:
    """Return the model as a candidate under these guards, or why it can never be one."""
    model = snapshot.models.get(name)
    if model is None:
        return LeftOut(name, "unregistered", "it is not registered in this environment")
    if model.suspended is not None:
        return LeftOut(name, "suspended", f"it is suspended in this environment ({model.suspended})")
    barrier = model_barrier(model, sources)
    if barrier is not None:
        return LeftOut(name, barrier.clause, barrier.text)
    places = snapshot.served[name]
    if not places:
        return LeftOut(name, "no_endpoint", "it is served nowhere in this environment")
    barriers = [endpoint_barrier(place, model, sources) for place in places]
    allowed = tuple(place for place, barrier in zip(places, barriers, strict=True) if barrier is None)
    if not allowed:
        first = next(barrier for barrier in barriers if barrier is not None)
        return LeftOut(name, first.clause, first.text)
    return Candidate(
        model=model,
        clearance=clearance_rank(model),
        endpoints=allowed,
        rung=PlannedRung(name, model.tier, tuple(PlannedEndpoint(place.id) for place in allowed), keep_from),
    )


def keep_from_of(step: Step, model: str) -> float | None:
    """Return the confidence from which the step keeps this model's answer: its rung's own, else the gate's."""
    if step.gate is None:
        return None
    own = next((rung.keep_from for rung in step.ladder if rung.model == model), None)
    return step.gate.keep_from if own is None else own


def _held(row: Workflow, standards: Mapping[str, StandardVersion]) -> tuple[HeldStandard, ...]:
    """Return the standards that hold for a workflow, without what it is excepted from."""
    held = []
    for each in row.standards:
        version = standards.get(each.standard)
        if version is None:
            raise SnapshotError(f"workflows: {row.slug} holds to standard {each.standard}, which is none here")
        left, named = version.standard.without(each.without), version.name
        rules = tuple(msgspec.structs.replace(rule.as_rule(), name=f"{rule.name} ({named})") for rule in left.rules)
        without = tuple(key for key in version.standard.part_keys() if key in each.without)
        held.append(HeldStandard(named, version.number, left.guards, rules, without))
    return tuple(held)


def _compile_workflow(row: Workflow, standards: tuple[HeldStandard, ...], snapshot: Snapshot) -> CompiledWorkflow:
    compiled = _compile_policy(row, row.policy, standards, snapshot)
    if row.mode == "enforce":
        return compiled
    alone = tuple([msgspec.structs.replace(each, rules=_unreviewed(each.rules)) for each in standards])
    watched = _compile_policy(row, _asking_nothing(row.policy), alone, snapshot)
    return msgspec.structs.replace(compiled, watched=watched)


def _unreviewed(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules without their reviews: where a policy is only watched, nothing says how a person is asked."""
    plain = [msgspec.structs.replace(rule, then=msgspec.structs.replace(rule.then, review=False)) for rule in rules]
    return tuple([rule for rule in plain if rule.then != Then()])


def _asking_nothing(policy: Policy) -> Policy:
    """Return a policy that serves each named model in any step; of a policy only the steps' deadlines are left."""
    steps = [
        Step(name=step.name, ladder=(), limits=Limits(deadline_ms=step.limits.deadline_ms)) for step in policy.steps
    ]
    return Policy(format=1, pin="allow", steps=(*steps, Step(name=ANY_STEP, ladder=())))


def _compile_policy(
    row: Workflow, policy: Policy, standards: tuple[HeldStandard, ...], snapshot: Snapshot
) -> CompiledWorkflow:
    levels = (
        *((each.name, each.guards) for each in standards),
        *(("the workflow", row.guards), ("the policy", policy.guards)),
    )
    rules = (*(rule for each in standards for rule in each.rules), *policy.rules)
    sources = tuple(Source(name, guards) for name, guards in levels if guards is not None)
    return CompiledWorkflow(
        id=row.id,
        slug=row.slug,
        policy_version=PolicyNumber(row.policy_version.id, row.policy_version.number),
        pin=policy.pin,
        data_class=DATA_CLASS_RANK[row.data_class],
        risk=RISK_RANK[row.risk],
        standards=standards,
        sources=sources,
        clearance=least_clearance(sources),
        max_cost=least_cost(sources),
        max_latency_ms=least_latency(sources),
        # Reversed, because of two steps of one name the first holds.
        steps={step.name: _compile_step(step, policy, rules, sources, snapshot) for step in reversed(policy.steps)},
        watched=None,
    )


def _compile_step(
    step: Step, policy: Policy, rules: Sequence[Rule], sources: Sequence[Source], snapshot: Snapshot
) -> CompiledStep:
    return CompiledStep(
        step=step,
        candidates=tuple(
            candidate(rung.model, keep_from_of(step, rung.model), sources, snapshot) for rung in step.ladder
        ),
        rules=tuple(_compile_rule(rule) for rule in rules if can_fire(rule, step.name, policy)),
    )


def can_fire(rule: Rule, step: str, policy: Policy) -> bool:
    """Say whether a rule can ever fire in a step; ``*`` takes the requests of every name without a part of its own."""
    named = [condition.is_ for condition in rule.when if isinstance(condition, StepIs)]
    if step != ANY_STEP:
        return all(step in names for names in named)
    taken = {one.name for one in policy.steps} - {ANY_STEP}
    return not any(taken.issuperset(names) for names in named)


def _compile_rule(rule: Rule) -> CompiledRule:
    source = None if rule.then.guards is None else Source(f"rule “{rule.name}”", rule.then.guards)
    return CompiledRule(rule.name, all_hold(rule.when), rule.then, source)


def _rates(price: Price) -> Rates:
    def per_token(amount: str | None) -> Decimal | None:
        return None if amount is None else Decimal(amount).scaleb(-6, EXACT)

    return Rates(
        currency=price.currency,
        input=per_token(price.input),
        output=per_token(price.output),
        cache_read=per_token(price.cache_read),
        cache_write=per_token(price.cache_write),
    )


def _unique(noun: str, rows: Iterable[tuple[str, T]]) -> dict[str, T]:
    indexed: dict[str, T] = {}
    for key, row in rows:
        if key in indexed:
            raise SnapshotError(f"{noun}: {key!r} stands twice")
        indexed[key] = row
    return indexed
