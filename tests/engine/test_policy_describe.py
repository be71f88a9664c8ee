"""A policy told in sentences, and a change to it told by what differs."""

from typing import Any

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import Part, Policy, Sentence
from smallfirst.engine.policy import (
    AnswerForm,
    DataClassAtLeast,
    Expiry,
    Gate,
    Guards,
    InputTokens,
    LanguageIs,
    Limits,
    ModelIs,
    Review,
    RiskAtLeast,
    Rung,
    SignalBetween,
    Start,
    Step,
    StepIs,
    TagIs,
)
from tests.engine.made import make_policy, make_review, make_rule, make_step


def told(policy: Policy) -> dict[str, str]:
    return {path: sentence for path, sentence, _ in engine.sentences(policy)}


def changed_step(**changes: Any) -> Policy:
    return make_policy(make_step(**changes))


def test_a_plain_policy_is_told_in_the_order_of_its_document() -> None:
    assert engine.sentences(make_policy()) == [
        ("pin", "A model that is asked for by name is used where the guards allow it.", None),
        ("steps", "The policy covers sentiment.", None),
        ("steps[0].ladder", "In sentiment, lexicon answers first, then minilm, then grand.", None),
        ("steps[0].start", "In sentiment, every request starts at the bottom rung.", None),
        (
            "steps[0].gate.keep_from",
            "In sentiment, an answer is kept from confidence 0.80; below that the next rung answers.",
            None,
        ),
        ("steps[0].gate.stop_reasons", "In sentiment, an answer is kept only if it ended with stop.", None),
        ("steps[0].review", "In sentiment, no person is asked.", "person"),
        ("steps[0].limits.deadline_ms", "In sentiment, no further model is asked after 30 seconds.", None),
    ]


def test_a_lower_threshold_is_told_as_the_change_of_one_number() -> None:
    old, new = changed_step(gate=Gate(keep_from=0.8)), changed_step(gate=Gate(keep_from=0.6))

    assert engine.difference(old, new) == [
        Sentence(
            path="steps[0].gate.keep_from",
            before="In sentiment, an answer is kept from confidence 0.80; below that the next rung answers.",
            after="In sentiment, an answer is kept from confidence 0.60; below that the next rung answers.",
            parts=(
                Part("same", "In sentiment, an answer is kept from confidence "),
                Part("del", "0.80"),
                Part("ins", "0.60"),
                Part("same", "; below that the next rung answers."),
            ),
        )
    ]


def test_a_first_policy_is_all_new_and_the_same_policy_is_no_change() -> None:
    policy = make_policy()

    first = engine.difference(None, policy)

    assert [(one.path, one.after) for one in first] == [(path, text) for path, text, _ in engine.sentences(policy)]
    assert all(one.before is None and one.parts == (Part("ins", one.after or ""),) for one in first)
    assert engine.difference(policy, policy) == []


def test_what_is_gone_stands_last_with_its_old_place() -> None:
    old = make_policy(make_step(), make_step(name="reply", gate=None), rules=(make_rule("x", start="mid"),))
    new = make_policy(make_step())

    gone = [one for one in engine.difference(old, new) if one.after is None]

    assert gone[0].path == "steps[1].ladder"
    assert gone[-1] == Sentence(
        "rules[0]",
        "Rule “x”: always, the ladder starts at mid.",
        None,
        (Part("del", "Rule “x”: always, the ladder starts at mid."),),
    )
    assert engine.difference(old, new)[0].after == "The policy covers sentiment."


def test_moving_steps_and_rules_changes_only_what_is_said_about_the_order() -> None:
    steps = make_step(name="a"), make_step(name="b")
    rules = make_rule("x", start="mid"), make_rule("y", start="small")

    changes = engine.difference(make_policy(*steps, rules=rules), make_policy(*steps[::-1], rules=rules[::-1]))

    assert [one.after for one in changes] == [
        "The policy covers b and a.",
        "Where several rules choose, the first does, in the order “y” and “x”.",
    ]


def test_a_change_that_no_sentence_shows_is_said_to_be_there() -> None:
    one = changed_step(gate=Gate(keep_from=0.8, labels=("a or b",)))
    other = changed_step(gate=Gate(keep_from=0.8, labels=("a", "b")))

    (sentence,) = engine.difference(one, other)

    assert sentence.after == "Something changes that no sentence shows; compare the documents."


@pytest.mark.parametrize(
    ("guards", "sentence"),
    [
        (Guards(data_class="confidential"), "Only models cleared for confidential data are asked."),
        (Guards(regions=("eu", "ch")), "Only endpoints in eu and ch are asked."),
        (Guards(regions=()), "Only endpoints in none are asked."),
        (Guards(hosting=("self",)), "Only self-hosted models are asked."),
        (Guards(hosting=("self", "hosted")), "Only self-hosted and hosted models are asked."),
        (Guards(licences=("MIT",)), "Only models under MIT are asked."),
        (Guards(models=("lexicon",)), "Of all models only lexicon may be asked."),
        (Guards(max_cost="0.0100"), "One request may cost at most USD 0.0100."),
        (Guards(max_latency_ms=1500), "One request asks no further model after 1,500 ms."),
    ],
)
def test_a_guard_is_told_alone_and_within_a_rule(guards: Guards, sentence: str) -> None:
    (path,) = [name for name in Guards.__struct_fields__ if getattr(guards, name) is not None]

    assert told(make_policy(guards=guards))[f"guards.{path}"] == sentence
    clause = sentence[:1].lower() + sentence[1:]
    assert told(make_policy(rules=(make_rule("x", guards=guards),)))["rules[0]"] == f"Rule “x”: always, {clause}"


@pytest.mark.parametrize(
    ("pin", "sentence"),
    [
        ("replace", "A model that is asked for by name is replaced by the policy’s own choice."),
        ("refuse", "A request that names a model is refused."),
    ],
)
def test_what_a_pin_means_is_told(pin: str, sentence: str) -> None:
    assert told(make_policy(pin=pin))["pin"] == sentence


@pytest.mark.parametrize(
    ("changes", "path", "sentence"),
    [
        ({"ladder": ()}, "ladder", "no model is asked"),
        ({"ladder": (Rung(model="lexicon"),)}, "ladder", "only lexicon is asked"),
        ({"gate": None}, "gate.keep_from", "the first answer is kept as it is"),
        ({"gate": Gate(labels=("yes",))}, "gate.keep_from", "an answer is kept whatever its confidence"),
        (
            {"ladder": (Rung(model="lexicon"),)},
            "gate.keep_from",
            "an answer is kept from confidence 0.80; there is no next rung",
        ),
        (
            {"ladder": (Rung(model="lexicon"),), "review": make_review()},
            "gate.keep_from",
            "an answer is kept from confidence 0.80; below that a person is asked",
        ),
        (
            {"ladder": (Rung(model="lexicon", keep_from=0.875),)},
            "ladder[0].keep_from",
            "an answer of lexicon is kept from confidence 0.875",
        ),
        ({"gate": Gate(labels=("yes", "no"))}, "gate.labels", "an answer is kept only if it is yes or no"),
        ({"gate": Gate(labels=())}, "gate.labels", "an answer is kept only if it is one of no labels"),
        (
            {"gate": Gate(keep_from=0.8, stop_reasons=())},
            "gate.stop_reasons",
            "an answer is kept only if it ended with no reason at all",
        ),
        ({"limits": Limits(max_output_tokens=400)}, "limits.max_output_tokens", "an answer has at most 400 tokens"),
        ({"limits": Limits(max_output_tokens=1)}, "limits.max_output_tokens", "an answer has at most 1 token"),
        ({"limits": Limits(deadline_ms=120_000)}, "limits.deadline_ms", "no further model is asked after 2 minutes"),
    ],
)
def test_a_step_is_told_part_by_part(changes: dict[str, Any], path: str, sentence: str) -> None:
    assert told(changed_step(**changes))[f"steps[0].{path}"] == f"In sentiment, {sentence}."


def test_a_gate_that_looks_at_no_stop_reason_says_nothing_of_it() -> None:
    assert "steps[0].gate.stop_reasons" not in told(changed_step(gate=Gate(keep_from=0.8, stop_reasons=None)))


def test_triage_speaks_in_the_colours_of_its_tiers() -> None:
    policy = changed_step(start=Start(easy="small", medium="mid", hard="frontier"))

    assert [line for line in engine.sentences(policy) if ".start." in line[0]] == [
        ("steps[0].start.easy", "In sentiment, an easy request starts at small.", "small"),
        ("steps[0].start.medium", "In sentiment, a medium request starts at mid.", "mid"),
        ("steps[0].start.hard", "In sentiment, a hard request starts at frontier.", "frontier"),
    ]


@pytest.mark.parametrize(
    ("review", "path", "sentence"),
    [
        (make_review(), "when", "a person with the role reviewer decides when no model that was asked is sure"),
        (make_review(when="always"), "when", "a person with the role reviewer releases every answer"),
        (make_review(respond_within=90), "respond_within", "a person answers within 90 seconds"),
        (make_review(expire_after=86_400), "on_expiry", "what nobody decided within 1 day is refused"),
        (
            make_review(on_expiry=Expiry(action="answer", answer="we call you back"), expire_after=7200),
            "on_expiry",
            "what nobody decided within 2 hours is answered with “we call you back”",
        ),
        (make_review(), "answer", "the person chooses among positive and negative"),
        (make_review(answer=AnswerForm(type="text")), "answer", "the person writes a text"),
        (make_review(title="Unclear feedback"), "title", "a case is titled “Unclear feedback”"),
    ],
)
def test_a_review_is_told_in_the_colour_of_people(review: Review, path: str, sentence: str) -> None:
    lines = {line[0]: line[1:] for line in engine.sentences(changed_step(review=review))}

    assert lines[f"steps[0].review.{path}"] == (f"In sentiment, {sentence}.", "person")


def test_the_fields_of_an_answer_are_named_and_any_change_of_them_shows() -> None:
    def form(schema: dict[str, Any] | None) -> Policy:
        return changed_step(review=make_review(answer=AnswerForm(type="fields", schema=schema)))

    fields = {"amount": {"type": "number"}, "date": {"type": "string"}}
    dated = form({"properties": fields})
    undated = form({"properties": {"amount": {"type": "number"}, "date": {}}})

    sentence = told(dated)["steps[0].review.answer"]

    assert sentence.startswith("In sentiment, the person fills in amount and date (schema ")
    (change,) = engine.difference(dated, undated)
    assert change.before == sentence
    assert told(form(None))["steps[0].review.answer"].startswith("In sentiment, the person fills in a form (schema ")
    assert told(form({"properties": []}))["steps[0].review.answer"].startswith("In sentiment, the person fills in a f")


def test_the_part_for_every_step_is_called_so() -> None:
    alone = told(make_policy(make_step(name="*")))
    beside = told(make_policy(make_step(), make_step(name="*")))

    assert alone["steps"] == "The policy covers every step."
    assert alone["steps[0].ladder"].startswith("In every step, ")
    assert beside["steps"] == "The policy covers sentiment and every other step."
    assert beside["steps[1].ladder"].startswith("In every other step, ")


def test_a_policy_without_steps_can_still_be_told() -> None:
    assert told(msgspec.structs.replace(make_policy(), steps=()))["steps"] == "The policy covers no step."


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (StepIs(is_=("a", "b")), "the step is a or b"),
        (DataClassAtLeast(at_least="internal"), "the data is internal or graver"),
        (RiskAtLeast(at_least="high"), "the risk is high or graver"),
        (LanguageIs(is_=("de",)), "the language is de"),
        (TagIs(name="amount", is_=("high",)), "the tag amount is high"),
        (InputTokens(at_least=1000), "the input has at least 1,000 tokens"),
        (InputTokens(at_least=1, at_most=5), "the input has at least 1 and at most 5 tokens"),
        (InputTokens(), "the input has any number of tokens"),
        (SignalBetween(name="digits", at_most=2.5), "the signal digits is at most 2.5"),
        (ModelIs(is_=("auto",)), "the model asked for is auto"),
    ],
)
def test_a_condition_is_told(condition: object, words: str) -> None:
    policy = make_policy(rules=(make_rule("x", when=(condition,), start="mid"),))

    assert told(policy)["rules[0]"] == f"Rule “x”: when {words}, the ladder starts at mid."


def test_a_rule_is_told_with_all_it_does() -> None:
    everything = make_rule(
        "all of it",
        when=(LanguageIs(is_=("de",)), RiskAtLeast(at_least="high")),
        refuse="no",
        guards=Guards(regions=("eu",), models=("lexicon",)),
        start="small",
        keep_from=0.9,
        review=True,
    )

    lines = engine.sentences(make_policy(rules=(everything, make_rule("nothing"), make_rule("start", start="mid"))))

    assert lines[-3:] == [
        (
            "rules[0]",
            "Rule “all of it”: when the language is de and the risk is high or graver, the request is refused "
            "with “no”, only endpoints in eu are asked, of all models only lexicon may be asked, the ladder starts at "
            "small, an answer is kept from confidence 0.90 and a person releases the answer.",
            "person",
        ),
        ("rules[1]", "Rule “nothing”: always, nothing happens.", None),
        ("rules[2]", "Rule “start”: always, the ladder starts at mid.", "mid"),
    ]


def test_a_step_can_be_told_with_bare_defaults() -> None:
    assert "steps[0].gate.stop_reasons" not in told(make_policy(Step(name="a", ladder=())))
