"""Reading a policy document: the right shape, or every part that has the wrong one."""

from typing import Any

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import PolicyError, Problem
from smallfirst.engine.policy import Guards, InputTokens, Limits, Policy, Rule, Rung, Step, StepIs, Then

LEAST: dict[str, Any] = {"format": 1, "pin": "allow", "steps": [{"name": "*", "ladder": [{"model": "lexicon"}]}]}


def problems_of(document: bytes | dict[str, Any]) -> list[Problem]:
    with pytest.raises(PolicyError) as caught:
        engine.read_policy(document)
    return list(caught.value.problems)


def test_a_short_document_is_read_with_its_defaults() -> None:
    expected = Policy(format=1, pin="allow", steps=(Step(name="*", ladder=(Rung(model="lexicon"),)),))

    assert engine.read_policy(LEAST) == expected
    assert engine.read_policy(msgspec.json.encode(LEAST)) == expected
    assert (expected.guards, expected.rules, expected.steps[0].limits) == (Guards(), (), Limits(deadline_ms=30_000))


def test_conditions_are_told_apart_by_their_type() -> None:
    rule = {
        "name": "long",
        "when": [{"type": "step", "is": ["a"]}, {"type": "input_tokens", "at_least": 5}],
        "then": {"start": "mid"},
    }

    policy = engine.read_policy(LEAST | {"rules": [rule]})

    assert policy.rules == (
        Rule(name="long", when=(StepIs(is_=("a",)), InputTokens(at_least=5)), then=Then(start="mid")),
    )


@pytest.mark.parametrize("text", [b"", b"{", b"nonsense", b'{"format": 1,}', b"\xff\xfe", b'{"name": "\xff"}'])
def test_what_is_not_json_says_so(text: bytes) -> None:
    (problem,) = problems_of(text)

    assert (problem.path, problem.fix) == ("", "send one JSON object")
    assert problem.message.startswith("not JSON: ")


def test_deep_nesting_is_refused_like_anything_that_is_not_json() -> None:
    (problem,) = problems_of(b"[" * 100_000)

    assert problem.message.startswith("not JSON: ")


@pytest.mark.parametrize("text", [b"[]", b"1", b"null"])
def test_another_kind_of_json_says_so(text: bytes) -> None:
    (problem,) = problems_of(text)

    assert problem.path == ""
    assert problem.message.startswith("expected an object, got ")


@pytest.mark.parametrize(
    ("changes", "path", "message", "fix"),
    [
        ({"format": 2}, "format", "2 is not allowed here", "use 1"),
        ({"pin": "maybe"}, "pin", "“maybe” is not allowed here", "use allow, replace or refuse"),
        ({"extra": 1}, "extra", "there is no such field", "remove it or correct its name"),
        ({"steps": {}}, "steps", "expected a list, got an object", "correct the value"),
        ({"guards": {"regions": "eu"}}, "guards.regions", "expected a list or null, got text", "correct the value"),
        ({"guards": {"hosting": ["own"]}}, "guards.hosting[0]", "“own” is not allowed here", "use self or hosted"),
        (
            {"guards": {"max_cost": "1.5 USD"}},
            "guards.max_cost",
            "not an amount of money",
            'write USD as decimal text, such as "0.0100"',
        ),
        (
            {"guards": {"max_cost": 0.01}},
            "guards.max_cost",
            "not an amount of money",
            'write USD as decimal text, such as "0.0100"',
        ),
        ({"steps": [{"name": "*"}]}, "steps[0].ladder", "this field is missing", "add it"),
        (
            {"steps": [{"name": "*", "ladder": [{"model": 5}]}]},
            "steps[0].ladder[0].model",
            "expected text, got a whole number",
            "correct the value",
        ),
        (
            {"steps": [{"name": "*", "ladder": [], "gate": {"keep_form": 0.8}}]},
            "steps[0].gate.keep_form",
            "there is no such field",
            "remove it or correct its name",
        ),
        (
            {"steps": [{"name": "*", "ladder": [], "start": {"easy": "tiny", "medium": "mid", "hard": "mid"}}]},
            "steps[0].start.easy",
            "“tiny” is not allowed here",
            "use small, mid or frontier",
        ),
        (
            {"rules": [{"name": "r", "when": [{"type": "weather"}], "then": {}}]},
            "rules[0].when[0].type",
            "“weather” is not allowed here",
            "use step, data_class, risk, language, tag, input_tokens, signal or model",
        ),
        (
            {"rules": [{"name": "r", "when": [{"type": "signal", "name": "mood"}], "then": {}}]},
            "rules[0].when[0].name",
            "“mood” is not allowed here",
            "use input_tokens, characters, words, sentences, questions, digits or code",
        ),
        (
            {"rules": [{"name": "r", "when": [{"type": "risk", "at_least": "grave"}], "then": {}}]},
            "rules[0].when[0].at_least",
            "“grave” is not allowed here",
            "use public, internal, confidential or restricted for a data class, "
            "minimal, limited, high or unacceptable for a risk",
        ),
        (
            {"rules": [{"name": "a\nb", "then": {}}]},
            "rules[0].name",
            "expected text matching regex '\\\\A[^\\\\x00-\\\\x1f\\\\x7f]+\\\\Z'",
            "correct the value",
        ),
    ],
)
def test_a_wrong_shape_is_named_by_place_with_its_fix(
    changes: dict[str, Any], path: str, message: str, fix: str
) -> None:
    assert problems_of(LEAST | changes) == [Problem(path, message, fix)]


def test_the_answer_form_and_the_moment_of_a_review_have_fixed_words() -> None:
    review = {"when": "never", "role": "reviewer", "respond_within": 1, "expire_after": 1}
    review |= {"on_expiry": {"action": "refuse"}, "answer": {"type": "essay"}}
    step = {"name": "*", "ladder": [], "review": review}

    (first,) = problems_of(LEAST | {"steps": [step]})
    review["when"] = "always"
    (second,) = problems_of(LEAST | {"steps": [step]})

    assert (first.path, first.fix) == ("steps[0].review.when", "use unsure or always")
    assert (second.path, second.fix) == ("steps[0].review.answer.type", "use label, text or fields")


def test_every_step_and_rule_of_the_wrong_shape_is_named_and_the_frame_too() -> None:
    document = LEAST | {
        "pin": "maybe",
        "steps": [{"name": "*"}, {"name": "a", "ladder": []}, 5],
        "rules": [{"name": "r"}, {"then": {}}],
    }

    with pytest.raises(PolicyError, match=r"steps\[0\]\.ladder: this field is missing; steps\[2\]:"):
        engine.read_policy(document)
    assert [problem.path for problem in problems_of(document)] == [
        "steps[0].ladder",
        "steps[2]",
        "rules[0].then",
        "rules[1].name",
        "pin",
    ]


def test_too_many_steps_are_named_as_one_problem() -> None:
    step = {"name": "*", "ladder": []}

    (problem,) = problems_of(LEAST | {"steps": [step] * 101})

    assert (problem.path, problem.message) == ("steps", "expected a list of length <= 100")
