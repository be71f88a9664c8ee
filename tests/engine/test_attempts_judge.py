"""What is done after each attempt: keep, climb, call a person, fail."""

from typing import Any

import pytest

from smallfirst import engine
from smallfirst.engine import Climb, Fail, Keep, Person, Plan, Signals
from smallfirst.engine.policy import Gate, Guards, Limits, Rung
from tests.engine.made import (
    GRAND,
    LEXICON,
    MINILM,
    MINILM_SPARE,
    attempted,
    ident,
    make_facts,
    make_policy,
    make_review,
    make_rule,
    make_step,
    planned,
)


def gated(**changes: object) -> Plan:
    return planned(make_policy(make_step(**changes)))


def test_a_sure_answer_is_kept() -> None:
    plan = gated()

    assert engine.next(plan, ()) == Climb(0, LEXICON)
    assert engine.next(plan, [attempted(0, LEXICON, confidence=0.8)]) == Keep(0)


def test_an_unsure_answer_climbs_and_the_next_may_be_kept() -> None:
    plan = gated()
    first = attempted(0, LEXICON, confidence=0.79)

    assert engine.next(plan, [first]) == Climb(1, MINILM)
    assert engine.next(plan, [first, attempted(1, MINILM, confidence=0.9)]) == Keep(1)


def test_an_answer_of_unknown_confidence_is_not_sure() -> None:
    assert engine.next(gated(), [attempted(0, LEXICON)]) == Climb(1, MINILM)


@pytest.mark.parametrize(
    ("gate", "attempt", "code"),
    [
        (Gate(keep_from=0.8), {"stop_reason": "length", "confidence": 0.9}, "stop_reason"),
        (Gate(keep_from=0.8), {"stop_reason": None, "confidence": 0.9}, "stop_reason"),
        (Gate(labels=("positive",)), {"label": "perhaps"}, "label"),
        (Gate(labels=("positive",)), {}, "label"),
        (Gate(keep_from=0.8), {"confidence": 0.7}, "confidence"),
        (Gate(keep_from=0.8), {}, "no_confidence"),
        (Gate(keep_from=0.8, stop_reasons=None), {"stop_reason": "length", "confidence": 0.9}, None),
        (Gate(labels=("positive",)), {"label": "positive"}, None),
        (None, {"stop_reason": "length"}, None),
    ],
)
def test_the_gate_asks_stop_reason_label_and_confidence(
    gate: Gate | None, attempt: dict[str, Any], code: str | None
) -> None:
    reason = engine.doubt(gated(gate=gate), attempted(0, LEXICON, **attempt))

    assert (reason and reason.code) == code


@pytest.mark.parametrize("outcome", ["error", "timeout"])
def test_a_failure_asks_the_next_endpoint_and_then_climbs(outcome: str) -> None:
    plan = gated()
    attempts = [attempted(0, LEXICON, confidence=0.1), attempted(1, MINILM, outcome)]

    assert engine.next(plan, attempts) == Climb(1, MINILM_SPARE)
    assert engine.next(plan, [*attempts, attempted(1, MINILM_SPARE, outcome)]) == Climb(2, GRAND)


def test_a_refused_request_does_not_ask_the_same_model_elsewhere() -> None:
    attempts = [attempted(0, LEXICON, confidence=0.1), attempted(1, MINILM, "refused")]

    assert engine.next(gated(), attempts) == Climb(2, GRAND)


def test_after_an_aborted_attempt_nothing_is_asked() -> None:
    move = engine.next(gated(), [attempted(0, LEXICON, "aborted")])

    assert isinstance(move, Fail)
    assert move.reason.code == "aborted"


UNSURE = [attempted(0, LEXICON, confidence=0.1), attempted(1, MINILM, confidence=0.2)]


def test_the_last_rung_is_kept_where_the_policy_asks_no_person() -> None:
    assert engine.next(gated(), [*UNSURE, attempted(2, GRAND, confidence=0.3)]) == Keep(2)


def test_the_highest_answer_is_kept_when_those_above_it_fail() -> None:
    assert engine.next(gated(), [*UNSURE, attempted(2, GRAND, "timeout")]) == Keep(1)


def test_a_person_decides_on_the_highest_answer_when_none_is_sure() -> None:
    plan = gated(review=make_review())

    move = engine.next(plan, [*UNSURE, attempted(2, GRAND, "error")])

    assert isinstance(move, Person)
    assert move.rung == 1
    assert move.reason.code == "unsure"
    assert (
        move.reason.sentence == "minilm answered with confidence 0.20, under 0.80, and no further model may be asked."
    )
    assert move.reason.facts == {"doubt": "confidence", "confidence": 0.2, "keep_from": 0.8}


def test_a_person_releases_every_answer_where_the_policy_says_always() -> None:
    plan = gated(review=make_review(when="always"))

    sure = engine.next(plan, [attempted(0, LEXICON, confidence=0.9)])
    unsure = engine.next(plan, [*UNSURE, attempted(2, GRAND, confidence=0.3)])

    assert isinstance(sure, Person)
    assert (sure.rung, sure.reason.code) == (0, "always")
    assert isinstance(unsure, Person)
    assert (unsure.rung, unsure.reason.code) == (2, "always")


def test_a_rule_asks_for_a_person_by_its_name() -> None:
    policy = make_policy(make_step(review=make_review()), rules=(make_rule("money above 5,000", review=True),))

    move = engine.next(planned(policy), [attempted(0, LEXICON, confidence=0.9)])

    assert isinstance(move, Person)
    assert move.reason.code == "rule"
    assert move.reason.sentence == "Rule “money above 5,000” asks for a person."


def test_without_any_answer_it_fails_even_where_a_person_could_be_asked() -> None:
    plan = gated(review=make_review(when="always"), ladder=(Rung(model="lexicon"),))

    down = engine.next(plan, [attempted(0, LEXICON, "error")])
    refused = engine.next(plan, [attempted(0, LEXICON, "refused")])

    assert isinstance(down, Fail)
    assert down.reason.code == "no_model_available"
    assert isinstance(refused, Fail)
    assert refused.reason.code == "request_refused"


def test_when_time_is_up_nothing_more_is_asked() -> None:
    plan = gated(limits=Limits(deadline_ms=1000))
    in_time, late = attempted(0, LEXICON, latency_ms=999), attempted(0, LEXICON, latency_ms=1000)

    assert engine.next(plan, [in_time]) == Climb(1, MINILM)
    assert engine.next(plan, [late]) == Keep(0)
    assert engine.next(plan, [attempted(0, LEXICON, confidence=0.9, latency_ms=5000)]) == Keep(0)


def ceiling(amount: str) -> Plan:
    """A plan whose attempts cost at most USD 0.00003 (lexicon), 0.0003 (minilm) and 0.018 (grand)."""
    return planned(
        make_policy(guards=Guards(max_cost=amount)),
        facts=make_facts(max_output_tokens=1000),
        signals=Signals(input_tokens=1000),
    )


def test_climbing_stops_where_all_attempts_together_could_pass_the_ceiling() -> None:
    unsure = attempted(0, LEXICON, confidence=0.1)

    assert engine.next(ceiling("0.00033"), [unsure]) == Climb(1, MINILM)
    assert engine.next(ceiling("0.00032"), [unsure]) == Keep(0)


def test_known_tokens_free_what_they_did_not_take() -> None:
    used = attempted(0, LEXICON, confidence=0.1, output_tokens=100)

    assert engine.next(ceiling("0.000312"), [used]) == Climb(1, MINILM)
    assert engine.next(ceiling("0.0003119"), [used]) == Keep(0)


def test_an_answer_that_never_came_costs_nothing_but_one_that_may_have_come_does() -> None:
    unsure = attempted(0, LEXICON, confidence=0.1, output_tokens=0)
    plan = ceiling("0.0004")

    assert engine.next(plan, [unsure, attempted(1, MINILM, "error")]) == Climb(1, MINILM_SPARE)
    assert engine.next(plan, [unsure, attempted(1, MINILM, "timeout")]) == Keep(0)
    assert engine.next(plan, [unsure, attempted(1, MINILM, "error", output_tokens=1000)]) == Keep(0)


def test_the_first_attempt_is_at_the_rung_where_the_ladder_is_entered() -> None:
    plan = planned(make_policy(rules=(make_rule(start="mid"),)))

    assert engine.next(plan, ()) == Climb(1, MINILM)


@pytest.mark.parametrize(("rung", "endpoint"), [(3, GRAND), (0, GRAND), (0, ident(77))])
def test_an_attempt_that_the_plan_does_not_name_is_an_error(rung: int, endpoint: str) -> None:
    with pytest.raises(ValueError, match=f"no rung {rung} with endpoint"):
        engine.next(gated(), [attempted(rung, endpoint)])


def test_bytes_may_leave_as_they_come_only_where_nothing_can_hold_them_back() -> None:
    always = make_review(when="always")

    assert [engine.streams(gated(), rung) for rung in range(3)] == [False, False, True]
    assert engine.streams(gated(gate=None), 0)
    assert engine.streams(gated(gate=None, review=make_review()), 0)
    assert not engine.streams(gated(gate=None, review=always), 0)
    assert not engine.streams(gated(review=make_review()), 2)
