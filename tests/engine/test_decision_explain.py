"""A decision's reasons, read as a reviewer or an integrator reads them."""

from typing import Any

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import AttemptSignals, Reason, Signals, Snapshot
from smallfirst.engine.policy import Gate, Guards, Rung, Start, StepIs
from tests.engine.made import (
    GRAND,
    LEXICON,
    MINILM,
    MINILM_SPARE,
    REVIEW,
    attempted,
    concluded,
    ident,
    make_facts,
    make_policy,
    make_review,
    make_rule,
    make_snapshot,
    make_step,
)

FIRST = "Policy version 3 of feedback decided, for step “sentiment”."


def told(snapshot: Snapshot, *attempts: AttemptSignals, **inputs: Any) -> list[str]:
    return [reason.sentence for reason in engine.explain(concluded(snapshot, attempts, **inputs), snapshot)]


def test_a_climb_is_told_in_the_order_in_which_it_happened() -> None:
    rule = make_rule("careful with German", keep_from=0.8)
    snapshot = make_snapshot(make_policy(rules=(rule,)))

    sentences = told(
        snapshot,
        attempted(0, LEXICON, confidence=0.41),
        attempted(1, MINILM, "timeout"),
        attempted(1, MINILM_SPARE, confidence=0.93),
        facts=make_facts(data_class="confidential"),
    )

    assert sentences == [
        FIRST,
        "Rule “careful with German” fired.",
        "grand left out: data class confidential is not allowed there.",
        "lexicon answered with confidence 0.41, under 0.80: climbed.",
        "minilm did not answer in time: its next endpoint was asked.",
        "minilm answered with confidence 0.93, 0.80 is enough: kept.",
    ]


def test_a_reason_carries_its_code_and_figures() -> None:
    snapshot = make_snapshot()

    reasons = engine.explain(concluded(snapshot, [attempted(0, LEXICON, confidence=0.9)]), snapshot)

    assert [reason.code for reason in reasons] == ["policy", "attempt", "not_asked"]
    assert reasons[0].facts == {"version": 3}
    assert reasons[1].facts == {
        "rung": 0,
        "model": "lexicon",
        "tier": "small",
        "endpoint": LEXICON,
        "outcome": "ok",
        "confidence": 0.9,
        "keep_from": 0.8,
    }
    assert reasons[2] == Reason("not_asked", "minilm and grand were not asked.", {"models": "minilm, grand"})


def test_a_person_is_told_why_he_is_asked() -> None:
    step = make_step(review=make_review(), ladder=(Rung(model="lexicon"), Rung(model="minilm")))
    snapshot = make_snapshot(make_policy(step))
    unsure = attempted(0, LEXICON, confidence=0.7999)
    failed = attempted(1, MINILM, "error"), attempted(1, MINILM_SPARE, "error")

    assert told(snapshot, unsure, *failed, review=REVIEW)[1:] == [
        "lexicon answered with confidence 0.7999, under 0.8000: climbed.",
        "minilm failed: its next endpoint was asked.",
        "minilm failed: a person was asked.",
        "lexicon answered with confidence 0.7999, under 0.8000, and no further model may be asked.",
    ]


def test_a_rule_that_asks_for_a_person_says_so() -> None:
    policy = make_policy(make_step(review=make_review()), rules=(make_rule("money above 5,000", review=True),))

    assert told(make_snapshot(policy), attempted(0, LEXICON, confidence=0.9), review=REVIEW)[1:] == [
        "Rule “money above 5,000” fired.",
        "lexicon answered with confidence 0.90, 0.80 is enough: a person was asked.",
        "Rule “money above 5,000” asks for a person.",
        "minilm and grand were not asked.",
    ]


def test_the_last_answer_is_kept_for_want_of_another() -> None:
    unsure = attempted(0, LEXICON), attempted(1, MINILM, confidence=0.5)

    kept_itself = told(make_snapshot(), *unsure, attempted(2, GRAND, stop_reason="length"))
    kept_below = told(make_snapshot(), *unsure, attempted(2, GRAND, "refused"))

    assert kept_itself[1] == "lexicon answered without a confidence, 0.80 is needed: climbed."
    assert kept_itself[3:] == ["grand stopped with “length”: kept, since no further model may be asked."]
    assert kept_below[3:] == [
        "grand refused the request: the answer of minilm was kept, since no further model may be asked."
    ]


def test_labels_and_stop_reasons_that_do_not_pass_are_named() -> None:
    step = make_step(gate=Gate(labels=("positive", "negative")))

    sentences = told(
        make_snapshot(make_policy(step)),
        attempted(0, LEXICON, label="perhaps"),
        attempted(1, MINILM, stop_reason=None),
        attempted(2, GRAND, label="positive"),
    )

    assert sentences[1:] == [
        "lexicon answered “perhaps”, which is none of its labels: climbed.",
        "minilm stopped for no known reason: climbed.",
        "grand answered: kept.",
    ]


def test_an_answer_without_a_label_is_named() -> None:
    snapshot = make_snapshot(make_policy(make_step(gate=Gate(labels=("positive",)))))

    assert "lexicon answered no label, which is none of its labels: climbed." in told(
        snapshot, attempted(0, LEXICON), attempted(1, MINILM, label="positive")
    )


def test_what_failed_whole_says_so() -> None:
    snapshot = make_snapshot(make_policy(make_step(ladder=(Rung(model="lexicon"),))))

    assert told(snapshot, attempted(0, LEXICON, "error"))[1:] == [
        "lexicon failed: no answer.",
        "No model answered, and nothing is left to ask.",
    ]
    assert told(snapshot, attempted(0, LEXICON, "aborted"))[1:] == [
        "lexicon was cut off: no answer.",
        "The caller left or the answer broke off, so nothing more was asked.",
    ]


def test_a_request_that_ended_early_says_so() -> None:
    assert told(make_snapshot())[1:] == ["The request ended before any model was asked."]
    assert told(make_snapshot(), attempted(0, LEXICON, confidence=0.1))[1:] == [
        "lexicon answered with confidence 0.10, under 0.80: the request ended before anything more was asked.",
        "minilm and grand were not asked.",
    ]


def test_the_same_request_sent_again_says_so() -> None:
    assert told(make_snapshot(), review=REVIEW)[1:] == [
        "The same request had been sent before and its review decides, so no model was asked."
    ]


@pytest.mark.parametrize(
    ("signals", "sentence"),
    [
        (Signals(), "The request looks easy: the ladder starts at minilm (mid)."),
        (
            Signals(code=2, digits=40),
            "The request looks medium (many figures and code): the ladder starts at minilm (mid).",
        ),
    ],
)
def test_an_entry_above_the_bottom_names_what_triage_saw(signals: Signals, sentence: str) -> None:
    step = make_step(start=Start(easy="mid", medium="mid", hard="mid"))

    assert told(make_snapshot(make_policy(step)), signals=signals)[1] == sentence


def test_an_entry_that_a_rule_chose_names_the_rule() -> None:
    policy = make_policy(rules=(make_rule("hard ones", start="frontier"),))

    sentences = told(make_snapshot(policy), attempted(2, GRAND))

    assert sentences[1:3] == ["Rule “hard ones” fired.", "Rule “hard ones” starts the ladder at grand (frontier)."]


def test_a_pin_is_named_with_what_became_of_it() -> None:
    facts = make_facts(model="minilm")

    allowed = told(make_snapshot(), attempted(0, MINILM, confidence=0.9), facts=facts)
    replaced = told(make_snapshot(make_policy(pin="replace")), attempted(0, LEXICON, confidence=0.9), facts=facts)

    assert allowed[1] == "minilm was asked for by name, which the policy allows."
    assert replaced[1] == "minilm was asked for by name; the policy chose instead."


def test_a_refusal_names_its_clause_and_every_candidate() -> None:
    snapshot = make_snapshot(make_policy(guards=Guards(regions=("de",))))

    reasons = engine.explain(concluded(snapshot), snapshot)

    assert [reason.code for reason in reasons] == ["policy", "left_out", "left_out", "left_out", "not_allowed"]
    assert reasons[1].sentence == "lexicon left out: the policy does not allow region eu."
    assert reasons[1].facts == {"model": "lexicon", "clause": "region"}
    assert reasons[-1].sentence.startswith("Refused: lexicon: the policy does not allow region eu; minilm:")
    assert reasons[-1].facts == {"clause": "region"}


def test_a_rule_that_refuses_is_named_before_its_words() -> None:
    rules = (make_rule("no refunds", when=(StepIs(is_=("sentiment",)),), refuse="refunds are made by people"),)

    assert told(make_snapshot(make_policy(rules=rules))) == [
        FIRST,
        "Rule “no refunds” fired.",
        "Refused: refunds are made by people.",
    ]


def test_a_request_without_a_step_and_one_without_a_policy_read_well() -> None:
    snapshot = make_snapshot(make_policy(make_step(name="*")))

    assert told(snapshot, facts=make_facts(step="*"))[0] == (
        "Policy version 3 of feedback decided, for a request that names no step."
    )
    assert told(snapshot, facts=make_facts(workflow=ident(99))) == [
        "No policy decided: the bundle did not hold the workflow.",
        "Refused: no policy of this workflow is live here, or the gateway has not fetched it yet.",
    ]


def test_a_decision_that_does_not_follow_is_not_explained() -> None:
    snapshot = make_snapshot()
    lying = msgspec.structs.replace(concluded(snapshot), attempts=(attempted(2, GRAND),))

    with pytest.raises(engine.ReplayError):
        engine.explain(lying, snapshot)
