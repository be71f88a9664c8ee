"""Judging a policy document: every problem with its path and its fix, and none for a sound one."""

from typing import Any

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import Policy, Problem
from smallfirst.engine.policy import (
    AnswerForm,
    Expiry,
    Gate,
    Guards,
    InputTokens,
    LanguageIs,
    ModelIs,
    Restriction,
    Rung,
    SignalBetween,
    Standard,
    StandardRule,
    Start,
    StepIs,
    TagIs,
)
from smallfirst.engine.snapshot import Held, Registry
from tests.engine.made import (
    REGISTRY,
    make_policy,
    make_review,
    make_rule,
    make_standard,
    make_step,
    with_standards,
)

GERMAN = LanguageIs(is_=("de",))


def problems(policy: Policy, registry: Registry = REGISTRY, **workflow: Any) -> list[tuple[str, str, str]]:
    return [(one.path, one.message, one.fix) for one in engine.validate(policy, registry, **workflow)]


def test_a_sound_policy_has_no_problem() -> None:
    policy = make_policy(
        make_step(
            ladder=(Rung(model="lexicon", keep_from=0.9), Rung(model="minilm"), Rung(model="grand")),
            start=Start(easy="small", medium="mid", hard="mid"),
            gate=Gate(keep_from=1.0, labels=("positive", "negative")),
            review=make_review(on_expiry=Expiry(action="answer", answer="positive")),
        ),
        make_step(name="*", gate=None),
        guards=Guards(models=("lexicon", "minilm", "grand"), max_cost="1"),
        rules=(
            make_rule("money", when=(TagIs(name="amount", is_=("high",)), StepIs(is_=("sentiment",))), review=True),
            make_rule("long", when=(InputTokens(at_least=1, at_most=1),), start="mid"),
            make_rule("no essays", when=(SignalBetween(name="words", at_least=500),), refuse="too long"),
            make_rule("asked", when=(ModelIs(is_=("auto", "grand")),), guards=Guards(regions=("us",))),
        ),
    )

    assert problems(policy) == []
    assert engine.validate(msgspec.json.encode(policy), REGISTRY) == []
    assert engine.validate(msgspec.to_builtins(policy), REGISTRY) == []


def test_a_wrong_shape_is_a_problem_like_any_other() -> None:
    assert engine.validate(b"{}", REGISTRY) == [Problem("format", "this field is missing", "add it")]


def test_a_model_that_nobody_registered_is_named_with_those_there_are() -> None:
    step = make_step(ladder=(Rung(model="lexicon"), Rung(model="gpt5")))

    assert problems(make_policy(step)) == [
        ("steps[0].ladder[1].model", "no model is called “gpt5”", "use one of: grand, lexicon, minilm")
    ]
    nothing = Registry(models=(), endpoints=(), prices=())
    assert problems(make_policy(step), nothing)[0][2] == "register a model first"


@pytest.mark.parametrize(
    ("changes", "path", "message", "fix"),
    [
        ({"ladder": ()}, "steps[0].ladder", "the ladder is empty", "add a rung that names a model"),
        (
            {"ladder": (Rung(model="minilm"), Rung(model="lexicon"))},
            "steps[0].ladder[1].model",
            "lexicon is small and stands above a rung that is mid",
            "put the rungs in the order small, mid, frontier",
        ),
        (
            {"ladder": (Rung(model="lexicon"), Rung(model="lexicon"))},
            "steps[0].ladder[1].model",
            "lexicon is a rung already",
            "remove one of the two",
        ),
        (
            {"ladder": (Rung(model="lexicon", keep_from=1.2),)},
            "steps[0].ladder[0].keep_from",
            "1.2 is not a confidence",
            "use a number above 0 and at most 1, such as 0.8",
        ),
        (
            {"ladder": (Rung(model="lexicon", keep_from=0.8),), "gate": None},
            "steps[0].ladder[0].keep_from",
            "without a gate no confidence is looked at",
            "give step “sentiment” a gate, or use null",
        ),
        (
            {"gate": Gate(keep_from=0.0)},
            "steps[0].gate.keep_from",
            "0.0 is not a confidence",
            "use a number above 0 and at most 1, such as 0.8",
        ),
        (
            {"gate": Gate(keep_from=float("nan"))},
            "steps[0].gate.keep_from",
            "nan is not a confidence",
            "use a number above 0 and at most 1, such as 0.8",
        ),
        (
            {"gate": Gate(stop_reasons=None)},
            "steps[0].gate",
            "the gate asks nothing",
            "use null for a step without a gate",
        ),
        (
            {"gate": Gate(labels=())},
            "steps[0].gate.labels",
            "an empty list lets no answer pass",
            "name what may pass, or use null",
        ),
        (
            {"gate": Gate(keep_from=0.8, stop_reasons=())},
            "steps[0].gate.stop_reasons",
            "an empty list lets no answer pass",
            "name what may pass, or use null",
        ),
        (
            {"start": Start(easy="mid", medium="small", hard="small")},
            "steps[0].start.medium",
            "medium requests start lower than easy ones",
            "use mid or a higher tier",
        ),
        (
            {"start": Start(easy="small", medium="mid", hard="small")},
            "steps[0].start.hard",
            "hard requests start lower than medium ones",
            "use mid or a higher tier",
        ),
        (
            {"review": make_review(), "gate": None},
            "steps[0].review.when",
            "without a gate no answer is ever unsure",
            "add a gate, or review always",
        ),
    ],
)
def test_a_step_that_makes_no_sense_is_named(changes: dict[str, Any], path: str, message: str, fix: str) -> None:
    assert problems(make_policy(make_step(**changes))) == [(path, message, fix)]


@pytest.mark.parametrize(
    ("changes", "path", "message", "fix"),
    [
        (
            {"respond_within": 901, "expire_after": 900},
            "expire_after",
            "the case expires before its answer is due",
            "use at least 901, the seconds of respond_within",
        ),
        (
            {"answer": AnswerForm(type="label", options=("yes", "yes"))},
            "answer.options",
            "a label is chosen among at least two",
            "name the labels",
        ),
        (
            {"answer": AnswerForm(type="text", options=("yes", "no"))},
            "answer.options",
            "only labels have options",
            "use an empty list",
        ),
        (
            {"answer": AnswerForm(type="fields")},
            "answer.schema",
            "fields need a schema",
            "give a JSON schema of an object",
        ),
        (
            {"answer": AnswerForm(type="text", schema={})},
            "answer.schema",
            "only fields have a schema",
            "use null",
        ),
        (
            {"on_expiry": Expiry(action="answer")},
            "on_expiry.answer",
            "the answer at expiry is missing",
            "write it, or refuse at expiry",
        ),
        (
            {"on_expiry": Expiry(action="refuse", answer="positive")},
            "on_expiry.answer",
            "a refusal has no answer",
            "use null",
        ),
        (
            {"on_expiry": Expiry(action="answer", answer="perhaps")},
            "on_expiry.answer",
            "“perhaps” is none of the labels",
            "use positive or negative",
        ),
    ],
)
def test_a_review_that_makes_no_sense_is_named(changes: dict[str, Any], path: str, message: str, fix: str) -> None:
    step = make_step(review=make_review(**changes))

    assert problems(make_policy(step)) == [(f"steps[0].review.{path}", message, fix)]


def test_a_review_of_fields_or_text_may_answer_anything_at_expiry() -> None:
    expiry = Expiry(action="answer", answer="we call you back")
    for form in (AnswerForm(type="text"), AnswerForm(type="fields", schema={"type": "object"})):
        assert problems(make_policy(make_step(review=make_review(answer=form, on_expiry=expiry)))) == []


@pytest.mark.parametrize("then", [{"review": True}, {"keep_from": 0.9}])
def test_a_rule_can_make_answers_unsure_where_no_gate_does(then: dict[str, Any]) -> None:
    step = make_step(gate=None, review=make_review())

    assert problems(make_policy(step, rules=(make_rule(when=(GERMAN,), **then),))) == []


@pytest.mark.parametrize(
    ("rule", "path", "message", "fix"),
    [
        (make_rule(), "rules[0].then", "the rule does nothing", "say what it does, or remove it"),
        (make_rule(guards=Guards()), "rules[0].then", "the rule does nothing", "say what it does, or remove it"),
        (make_rule(refuse="no"), "rules[0].when", "the rule refuses every request", "add a condition"),
        (
            make_rule(keep_from=-1.0),
            "rules[0].then.keep_from",
            "-1.0 is not a confidence",
            "use a number above 0 and at most 1, such as 0.8",
        ),
        (
            make_rule(guards=Guards(models=("gpt5",))),
            "rules[0].then.guards.models[0]",
            "no model is called “gpt5”",
            "use one of: grand, lexicon, minilm",
        ),
        (
            make_rule(when=(LanguageIs(is_=()),), start="mid"),
            "rules[0].when[0].is",
            "an empty list never holds",
            "name at least one value",
        ),
        (
            make_rule(when=(GERMAN, StepIs(is_=("sentiment", "reply"))), start="mid"),
            "rules[0].when[1].is[1]",
            "no step is called “reply”",
            "use sentiment",
        ),
        (
            make_rule(when=(ModelIs(is_=("gpt5", "auto", "grand")),), start="mid"),
            "rules[0].when[0].is[0]",
            "no model is called “gpt5”",
            "use one of: grand, lexicon, minilm",
        ),
        (
            make_rule(when=(InputTokens(),), start="mid"),
            "rules[0].when[0]",
            "the condition has no bound",
            "give at_least, at_most or both",
        ),
        (
            make_rule(when=(SignalBetween(name="words", at_least=5, at_most=4),), start="mid"),
            "rules[0].when[0].at_most",
            "nothing is at least 5 and at most 4",
            "correct the bounds",
        ),
        (
            make_rule(when=(SignalBetween(name="words", at_most=float("nan")),), start="mid"),
            "rules[0].when[0]",
            "a bound is not a finite number",
            "correct the bounds",
        ),
        (
            make_rule(review=True),
            "rules[0].then.review",
            "step “sentiment” does not say how a person is asked",
            "give step “sentiment” a review",
        ),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(rule: Any, path: str, message: str, fix: str) -> None:
    assert problems(make_policy(rules=(rule,))) == [(path, message, fix)]


def test_a_rule_may_name_any_step_where_one_part_takes_every_step() -> None:
    rule = make_rule(when=(StepIs(is_=("reply",)),), start="mid")

    assert problems(make_policy(make_step(name="*"), rules=(rule,))) == []


def test_a_review_is_missed_only_in_steps_where_the_rule_can_fire() -> None:
    steps = make_step(review=make_review()), make_step(name="reply")
    rule = make_rule(when=(StepIs(is_=("sentiment",)),), review=True)

    assert problems(make_policy(*steps, rules=(rule,))) == []


def test_names_stand_once() -> None:
    rules = make_rule("x", start="mid"), make_rule("x", start="small")

    assert problems(make_policy(make_step(), make_step(), rules=rules)) == [
        ("steps[1].name", "step “sentiment” stands twice", "rename it or remove it"),
        ("rules[1].name", "rule “x” stands twice", "rename it or remove it"),
    ]


def test_a_policy_without_steps_is_named() -> None:
    policy = msgspec.structs.replace(make_policy(), steps=())

    assert problems(policy) == [("steps", "the policy has no step", "add a step; the name * takes every step")]


@pytest.mark.parametrize("name", ["regions", "hosting", "licences", "models"])
def test_a_guard_that_allows_nothing_is_named(name: str) -> None:
    guards = msgspec.structs.replace(Guards(), **{name: ()})
    policy = make_policy(guards=guards)

    assert problems(policy) == [(f"guards.{name}", "an empty list allows nothing", "name what is allowed, or use null")]


def test_a_step_that_can_never_serve_is_named_with_what_is_in_its_way() -> None:
    policy = make_policy(
        make_step(ladder=(Rung(model="grand"),)), make_step(name="*"), guards=Guards(licences=("MIT", "Apache-2.0"))
    )

    assert problems(policy) == [
        (
            "steps[0].ladder",
            "this step can never serve: grand: the policy does not allow licence proprietary",
            "widen the guards, or name another model",
        )
    ]


@pytest.mark.parametrize(
    ("workflow", "clause"),
    [
        ({"data_class": "restricted"}, "data class restricted is not allowed there"),
        ({"risk": "unacceptable"}, "an unacceptable risk is never served"),
        ({"guards": Guards(models=("grand",))}, "the workflow does not allow this model"),
    ],
)
def test_what_the_workflow_declares_and_allows_counts_too(workflow: dict[str, Any], clause: str) -> None:
    policy = make_policy(make_step(ladder=(Rung(model="lexicon"),)))

    ((path, message, _),) = problems(policy, **workflow)

    assert path == "steps[0].ladder"
    assert clause in message


def test_standards_count_too_but_for_what_the_workflow_is_excepted_from() -> None:
    standard = make_standard(guards=Guards(regions=("de",)))

    ((_, message, _),) = problems(make_policy(), with_standards(standard), standards=[Held(standard=standard.id)])

    assert "the organisation’s standard does not allow region eu" in message
    excepted = Held(standard=standard.id, without=("guards.regions",))
    assert problems(make_policy(), with_standards(standard), standards=[excepted]) == []


def test_a_step_that_a_standard_wants_reviewed_says_how() -> None:
    asks = StandardRule(name="with care", then=Restriction(review=True))
    standard = make_standard(rules=(asks,))

    ((path, message, fix),) = problems(make_policy(), with_standards(standard), standards=[Held(standard=standard.id)])

    assert path == "steps[0].review"
    assert "rule “with care (the organisation’s standard)” asks for a person" in message
    assert fix == "give step “sentiment” a review"
    reviewed = make_policy(make_step(review=make_review()))
    assert problems(reviewed, with_standards(standard), standards=[Held(standard=standard.id)]) == []


@pytest.mark.parametrize(
    ("parts", "path", "message"),
    [
        ({}, "", "the standard restricts nothing"),
        ({"guards": Guards(regions=())}, "guards.regions", "an empty list allows nothing"),
        ({"guards": Guards(models=("nobody",))}, "guards.models[0]", "no model is called “nobody”"),
        ({"rules": (StandardRule(name="x", then=Restriction()),)}, "rules[0].then", "the rule does nothing"),
        (
            {"rules": (StandardRule(name="x", then=Restriction(refuse="no")),)},
            "rules[0].when",
            "the rule refuses every request",
        ),
        (
            {"rules": (StandardRule(name="x", when=(GERMAN,), then=Restriction(review=True)),) * 2},
            "rules[1].name",
            "rule “x” stands twice",
        ),
        (
            {"rules": (StandardRule(name="x", when=(StepIs(is_=()),), then=Restriction(review=True)),)},
            "rules[0].when[0].is",
            "an empty list never holds",
        ),
    ],
)
def test_each_fault_of_a_standard_is_named(parts: dict[str, Any], path: str, message: str) -> None:
    ((found),) = engine.validate_standard(Standard(format=1, **parts), REGISTRY)

    assert (found.path, found.message) == (path, message)
    assert found.fix


def test_a_standard_may_speak_of_steps_that_only_some_workflows_have() -> None:
    rule = StandardRule(name="x", when=(StepIs(is_=("anything",)),), then=Restriction(review=True))

    assert engine.validate_standard(Standard(format=1, rules=(rule,)), REGISTRY) == []


def test_a_rule_that_leaves_a_step_empty_is_named() -> None:
    narrow = Guards(licences=("Apache-2.0",))
    steps = make_step(), make_step(name="reply", ladder=(Rung(model="lexicon"),))
    rules = (
        make_rule("everywhere", when=(GERMAN,), guards=narrow),
        make_rule("elsewhere", when=(StepIs(is_=("sentiment",)),), guards=narrow),
        make_rule("refuses anyway", when=(GERMAN,), guards=narrow, refuse="not in German"),
    )

    assert problems(make_policy(*steps, rules=rules)) == [
        (
            "rules[0].then.guards",
            "in step “reply” it leaves no model: lexicon: rule “everywhere” does not allow licence MIT",
            "widen them, or say refuse instead",
        )
    ]


def test_all_problems_are_named_at_once() -> None:
    policy = make_policy(
        make_step(ladder=(Rung(model="gpt5", keep_from=7.0),), gate=Gate(keep_from=2.0)),
        guards=Guards(regions=(), models=("gpt6",)),
        rules=(make_rule(),),
    )

    assert [path for path, _, _ in problems(policy)] == [
        "guards.regions",
        "guards.models[0]",
        "steps[0].ladder[0].model",
        "steps[0].ladder[0].keep_from",
        "steps[0].gate.keep_from",
        "rules[0].then",
    ]
