"""Everything in a policy or a standard that makes no sense, each with its place and what to do about it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from smallfirst.engine.compiled import can_fire, compile_snapshot
from smallfirst.engine.decision import Refusal
from smallfirst.engine.facts import Facts, Signals, State
from smallfirst.engine.plan import plan
from smallfirst.engine.policy import (
    ANY_STEP,
    AUTO,
    TIER_RANK,
    TIERS,
    Condition,
    DataClass,
    Gate,
    Guards,
    InputTokens,
    LanguageIs,
    ModelIs,
    Policy,
    Review,
    Risk,
    Rule,
    SignalBetween,
    Standard,
    StandardRule,
    Step,
    StepIs,
    TagIs,
    Then,
)
from smallfirst.engine.reading import PolicyError, Problem, read_policy
from smallfirst.engine.snapshot import Held, Model, Registry, SnapshotDocument, Version, Workflow
from smallfirst.engine.words import listed

# Stands for a workflow and a policy version that no snapshot holds.
NOBODY = "00000000-0000-8000-8000-000000000000"


def validate(
    document: Policy | bytes | Mapping[str, Any],
    registry: Registry,
    *,
    data_class: DataClass = "public",
    risk: Risk = "minimal",
    guards: Guards | None = None,
    standards: Sequence[Held] = (),
) -> list[Problem]:
    """Return every problem of a policy for a workflow of this declared class and risk; an empty list when it is sound.

    ``registry`` holds the models, endpoints, prices and standards of the environment; ``guards`` and ``standards`` hold
    for the workflow whatever its policy says. Problems of shape come alone, since sense can be judged only in what has
    the right shape.
    """
    if not isinstance(document, Policy):
        try:
            document = read_policy(document)
        except PolicyError as error:
            return list(error.problems)
    models = {model.name: model for model in registry.models}
    problems = [
        *_guards_problems("guards", document.guards, models),
        *_steps_problems(document, models),
        *_rules_problems(document, models),
    ]
    if not problems:
        frame = Workflow(
            id=NOBODY,
            slug="policy",
            mode="enforce",
            risk=risk,
            data_class=data_class,
            policy_version=Version(id=NOBODY, number=1),
            policy=document,
            guards=guards,
            standards=tuple(standards),
        )
        problems += _service_problems(document, registry, frame)
    return problems


def validate_standard(standard: Standard, registry: Registry) -> list[Problem]:
    """Return every problem of a standard by itself; whether policies can serve under it is for ``validate`` to say."""
    models = {model.name: model for model in registry.models}
    problems = list(_guards_problems("guards", standard.guards, models))
    if standard == Standard(format=1):
        problems.append(Problem("", "the standard restricts nothing", "give it a guard or a rule"))
    seen: set[str] = set()
    for index, rule in enumerate(standard.rules):
        problems += _rule_problems(f"rules[{index}]", rule, seen, {ANY_STEP}, models)
    return problems


def _guards_problems(path: str, guards: Guards, models: Mapping[str, Model]) -> Iterator[Problem]:
    for name in ("regions", "hosting", "licences", "models"):
        if getattr(guards, name) == ():
            yield Problem(f"{path}.{name}", "an empty list allows nothing", "name what is allowed, or use null")
    for index, model in enumerate(guards.models or ()):
        if model not in models:
            yield _unknown_model(f"{path}.models[{index}]", model, models)


def _steps_problems(policy: Policy, models: Mapping[str, Model]) -> Iterator[Problem]:
    if not policy.steps:
        yield Problem("steps", "the policy has no step", f"add a step; the name {ANY_STEP} takes every step")
    seen: set[str] = set()
    for index, step in enumerate(policy.steps):
        path = f"steps[{index}]"
        if step.name in seen:
            yield Problem(f"{path}.name", f"step “{step.name}” stands twice", "rename it or remove it")
        seen.add(step.name)
        yield from _ladder_problems(path, step, models)
        if step.gate is not None:
            yield from _gate_problems(f"{path}.gate", step.gate)
        if step.start is not None:
            yield from _start_problems(f"{path}.start", step)
        if step.review is not None:
            yield from _review_problems(f"{path}.review", step.review)
            yield from _doubt_problems(f"{path}.review.when", step, step.review, policy)


def _ladder_problems(path: str, step: Step, models: Mapping[str, Model]) -> Iterator[Problem]:
    if not step.ladder:
        yield Problem(f"{path}.ladder", "the ladder is empty", "add a rung that names a model")
    highest = 0
    seen: set[str] = set()
    for index, rung in enumerate(step.ladder):
        here = f"{path}.ladder[{index}]"
        model = models.get(rung.model)
        if model is None:
            yield _unknown_model(f"{here}.model", rung.model, models)
        else:
            rank = TIER_RANK[model.tier]
            if rank < highest:
                message = f"{rung.model} is {model.tier} and stands above a rung that is {TIERS[highest]}"
                yield Problem(f"{here}.model", message, "put the rungs in the order small, mid, frontier")
            highest = max(highest, rank)
        if rung.model in seen:
            yield Problem(f"{here}.model", f"{rung.model} is a rung already", "remove one of the two")
        seen.add(rung.model)
        if rung.keep_from is not None:
            yield from _confidence_problems(f"{here}.keep_from", rung.keep_from)
            if step.gate is None:
                message = "without a gate no confidence is looked at"
                yield Problem(f"{here}.keep_from", message, f"give step “{step.name}” a gate, or use null")


def _gate_problems(path: str, gate: Gate) -> Iterator[Problem]:
    yield from _confidence_problems(f"{path}.keep_from", gate.keep_from)
    if gate == Gate(keep_from=None, labels=None, stop_reasons=None):
        yield Problem(path, "the gate asks nothing", "use null for a step without a gate")
    for name in ("labels", "stop_reasons"):
        if getattr(gate, name) == ():
            yield Problem(f"{path}.{name}", "an empty list lets no answer pass", "name what may pass, or use null")


def _confidence_problems(path: str, keep_from: float | None) -> Iterator[Problem]:
    if keep_from is not None and not 0 < keep_from <= 1:
        yield Problem(path, f"{keep_from} is not a confidence", "use a number above 0 and at most 1, such as 0.8")


def _start_problems(path: str, step: Step) -> Iterator[Problem]:
    for lower, higher in (("easy", "medium"), ("medium", "hard")):
        tier, above = getattr(step.start, lower), getattr(step.start, higher)
        if TIER_RANK[above] < TIER_RANK[tier]:
            message = f"{higher} requests start lower than {lower} ones"
            yield Problem(f"{path}.{higher}", message, f"use {tier} or a higher tier")


def _review_problems(path: str, review: Review) -> Iterator[Problem]:
    if review.expire_after < review.respond_within:
        message = "the case expires before its answer is due"
        fix = f"use at least {review.respond_within}, the seconds of respond_within"
        yield Problem(f"{path}.expire_after", message, fix)
    form, expiry = review.answer, review.on_expiry
    if form.type == "label" and len(set(form.options)) < 2:
        yield Problem(f"{path}.answer.options", "a label is chosen among at least two", "name the labels")
    if form.type != "label" and form.options:
        yield Problem(f"{path}.answer.options", "only labels have options", "use an empty list")
    if form.type == "fields" and form.schema is None:
        yield Problem(f"{path}.answer.schema", "fields need a schema", "give a JSON schema of an object")
    if form.type != "fields" and form.schema is not None:
        yield Problem(f"{path}.answer.schema", "only fields have a schema", "use null")
    if expiry.action == "answer" and expiry.answer is None:
        yield Problem(f"{path}.on_expiry.answer", "the answer at expiry is missing", "write it, or refuse at expiry")
    if expiry.action == "refuse" and expiry.answer is not None:
        yield Problem(f"{path}.on_expiry.answer", "a refusal has no answer", "use null")
    if expiry.answer is not None and form.type == "label" and expiry.answer not in form.options:
        message = f"“{expiry.answer}” is none of the labels"
        yield Problem(f"{path}.on_expiry.answer", message, f"use {listed(form.options, 'or')}")


def _doubt_problems(path: str, step: Step, review: Review, policy: Policy) -> Iterator[Problem]:
    """A review of unsure answers that never comes: nothing makes an answer of this step unsure."""
    raised = any(
        can_fire(rule, step.name, policy) and (rule.then.review or rule.then.keep_from is not None)
        for rule in policy.rules
    )
    if review.when == "unsure" and step.gate is None and not raised:
        yield Problem(path, "without a gate no answer is ever unsure", "add a gate, or review always")


def _rules_problems(policy: Policy, models: Mapping[str, Model]) -> Iterator[Problem]:
    seen: set[str] = set()
    steps = {step.name for step in policy.steps}
    for index, rule in enumerate(policy.rules):
        path, then = f"rules[{index}]", rule.then
        yield from _rule_problems(path, rule, seen, steps, models)
        yield from _confidence_problems(f"{path}.then.keep_from", then.keep_from)
        for step in policy.steps:
            if then.review and step.review is None and can_fire(rule, step.name, policy):
                message = f"step “{step.name}” does not say how a person is asked"
                yield Problem(f"{path}.then.review", message, f"give step “{step.name}” a review")


def _rule_problems(
    path: str, rule: Rule | StandardRule, seen: set[str], steps: set[str], models: Mapping[str, Model]
) -> Iterator[Problem]:
    """Find what is wrong with a rule of a policy or a standard alike; ``seen`` are the names before it."""
    if rule.name in seen:
        yield Problem(f"{path}.name", f"rule “{rule.name}” stands twice", "rename it or remove it")
    seen.add(rule.name)
    for number, condition in enumerate(rule.when):
        yield from _condition_problems(f"{path}.when[{number}]", condition, steps, models)
    then = rule.then if isinstance(rule.then, Then) else rule.as_rule().then
    if then.guards is not None:
        yield from _guards_problems(f"{path}.then.guards", then.guards, models)
    if then in (Then(), Then(guards=Guards())):
        yield Problem(f"{path}.then", "the rule does nothing", "say what it does, or remove it")
    if then.refuse is not None and not rule.when:
        yield Problem(f"{path}.when", "the rule refuses every request", "add a condition")


def _condition_problems(
    path: str, condition: Condition, steps: set[str], models: Mapping[str, Model]
) -> Iterator[Problem]:
    match condition:
        case InputTokens(at_least=least, at_most=most) | SignalBetween(at_least=least, at_most=most):
            yield from _bounds_problems(path, least, most)
        case StepIs(is_=names) | LanguageIs(is_=names) | TagIs(is_=names) | ModelIs(is_=names) if not names:
            yield Problem(f"{path}.is", "an empty list never holds", "name at least one value")
        case StepIs(is_=names) if ANY_STEP not in steps:
            for index, name in enumerate(names):
                if name not in steps:
                    message = f"no step is called “{name}”"
                    yield Problem(f"{path}.is[{index}]", message, f"use {listed(sorted(steps), 'or')}")
        case ModelIs(is_=names):
            for index, name in enumerate(names):
                if name not in models and name != AUTO:
                    yield _unknown_model(f"{path}.is[{index}]", name, models)


def _bounds_problems(path: str, least: float | None, most: float | None) -> Iterator[Problem]:
    if least is None and most is None:
        yield Problem(path, "the condition has no bound", "give at_least, at_most or both")
    elif not all(math.isfinite(bound) for bound in (least, most) if bound is not None):
        yield Problem(path, "a bound is not a finite number", "correct the bounds")
    elif least is not None and most is not None and least > most:
        yield Problem(f"{path}.at_most", f"nothing is at least {least} and at most {most}", "correct the bounds")


def _unknown_model(path: str, name: str, models: Mapping[str, Model]) -> Problem:
    fix = f"use one of: {', '.join(sorted(models))}" if models else "register a model first"
    return Problem(path, f"no model is called “{name}”", fix)


def _service_problems(policy: Policy, registry: Registry, frame: Workflow) -> Iterator[Problem]:
    """Find what can never serve: a step under the guards above the rules, or one that a rule's guards leave empty.

    ``frame`` is the workflow with all that holds for it besides the policy.
    """

    def refusal(tried: Policy, step: Step) -> Refusal | None:
        """Plan the request that asks least: harmless, no input, one token of output."""
        workflow = msgspec.structs.replace(frame, policy=tried)
        document = SnapshotDocument(
            models=registry.models,
            endpoints=registry.endpoints,
            prices=registry.prices,
            standards=registry.standards,
            workflows=(workflow,),
        )
        snapshot = compile_snapshot(document, digest="")
        facts = Facts(workflow=NOBODY, step=step.name, max_output_tokens=1)
        planned = plan(facts, Signals(), State(), snapshot)
        return planned if isinstance(planned, Refusal) else None

    for index, step in enumerate(policy.steps):
        refused = refusal(msgspec.structs.replace(policy, rules=()), step)
        if refused is not None:
            message = f"this step can never serve: {refused.text}"
            if refused.clause == "review":
                yield Problem(f"steps[{index}].review", message, f"give step “{step.name}” a review")
            else:
                yield Problem(f"steps[{index}].ladder", message, "widen the guards, or name another model")
    for index, rule in enumerate(policy.rules):
        if rule.then.guards is None or rule.then.refuse is not None:
            continue
        always = Rule(name=rule.name, then=Then(guards=rule.then.guards))
        for step in policy.steps:
            if not can_fire(rule, step.name, policy):
                continue
            refused = refusal(msgspec.structs.replace(policy, rules=(always,)), step)
            if refused is not None:
                message = f"in step “{step.name}” it leaves no model: {refused.text}"
                yield Problem(f"rules[{index}].then.guards", message, "widen them, or say refuse instead")
