"""A stored decision, decided again: the same bytes, or a named reason why not."""

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import Decision, Signals, State
from smallfirst.engine.policy import Guards
from tests.engine.made import (
    AT,
    DECISION,
    DIGEST,
    ENVIRONMENT,
    GRAND,
    KEY,
    LEXICON,
    MINILM,
    REVIEW,
    VERSION,
    WORKFLOW,
    attempted,
    concluded,
    ident,
    make_facts,
    make_policy,
    make_review,
    make_snapshot,
    make_step,
)

CLIMBED = (attempted(0, LEXICON, confidence=0.41, output_tokens=1), attempted(1, MINILM, confidence=0.93))


def test_a_decision_comes_out_of_its_replay_with_the_same_bytes() -> None:
    snapshot = make_snapshot()
    decision = concluded(snapshot, CLIMBED)

    stored = msgspec.json.decode(engine.encode(decision), type=Decision)

    assert stored == decision
    assert engine.encode(engine.replay(stored, snapshot)) == engine.encode(decision)


def test_the_bytes_of_a_decision_never_change() -> None:
    """Ledgers hold these bytes: a change here is a new format, not a new test."""
    facts = make_facts(tags=(("amount", "high"),), language="de", run="run-1")

    decision = concluded(make_snapshot(), CLIMBED, facts=facts, signals=Signals(input_tokens=12), state=State(at=5))

    assert engine.encode(decision) == (
        b'{"at":"2026-11-24T09:30:00.000001Z",'
        b'"attempts":['
        b'{"confidence":0.41,"endpoint":"00000000-0000-7000-8000-000000001000","label":null,"latency_ms":10,'
        b'"outcome":"ok","output_tokens":1,"rung":0,"stop_reason":"stop"},'
        b'{"confidence":0.93,"endpoint":"00000000-0000-7000-8000-000000001001","label":null,"latency_ms":10,'
        b'"outcome":"ok","output_tokens":null,"rung":1,"stop_reason":"stop"}],'
        b'"environment":"00000000-0000-7000-8000-000000000003",'
        b'"facts":{"data_class":"public","language":"de","max_output_tokens":null,"model":"auto","risk":"minimal",'
        b'"run":"run-1","step":"sentiment","stream":false,"tags":[["amount","high"]],"wants_logprobs":false,'
        b'"workflow":"00000000-0000-7000-8000-000000000001"},'
        b'"id":"00000000-0000-7000-8000-000000000004",'
        b'"kept_model":"minilm","key":"00000000-0000-7000-8000-000000000002","outcome":"kept",'
        b'"policy_version":"00000000-0000-7000-8000-000000000006","review":null,"run":"run-1",'
        b'"signals":{"characters":0,"code":0,"digits":0,"input_tokens":12,"questions":0,"sentences":0,"version":1,'
        b'"words":0},'
        b'"snapshot":"0000000000000000000000000000000000000000000000000000000000000000",'
        b'"state":{"at":5,"open_breakers":[],"stopped_endpoints":[],"stopped_models":[],"stopped_workflow":false},'
        b'"step":"sentiment","tier":"mid","triage":"easy",'
        b'"workflow":"00000000-0000-7000-8000-000000000001"}'
    )


def test_a_kept_answer_names_its_model_and_tier() -> None:
    decision = concluded(make_snapshot(), CLIMBED, review=REVIEW)

    assert (decision.outcome, decision.kept_model, decision.tier, decision.review) == ("kept", "minilm", "mid", None)
    assert (decision.id, decision.at, decision.environment, decision.key) == (DECISION, AT, ENVIRONMENT, KEY)
    assert (decision.workflow, decision.policy_version, decision.snapshot) == (WORKFLOW, VERSION, DIGEST)


def test_a_case_for_a_person_names_its_review() -> None:
    snapshot = make_snapshot(make_policy(make_step(review=make_review(when="always"))))

    decision = concluded(snapshot, CLIMBED, review=REVIEW)

    assert (decision.outcome, decision.kept_model, decision.tier, decision.review) == ("person", None, None, REVIEW)
    assert engine.replay(decision, snapshot) == decision


def test_a_case_for_a_person_without_a_review_is_an_error() -> None:
    snapshot = make_snapshot(make_policy(make_step(review=make_review(when="always"))))

    with pytest.raises(ValueError, match="name the review"):
        concluded(snapshot, CLIMBED)


def test_the_same_request_sent_again_belongs_to_its_review() -> None:
    snapshot = make_snapshot()

    decision = concluded(snapshot, review=REVIEW)

    assert (decision.outcome, decision.review, decision.attempts) == ("person", REVIEW, ())
    assert engine.replay(decision, snapshot) == decision


@pytest.mark.parametrize("attempts", [(), CLIMBED[:1], (attempted(0, LEXICON, "aborted"),)])
def test_a_request_that_ended_early_failed(attempts: tuple[engine.AttemptSignals, ...]) -> None:
    snapshot = make_snapshot()

    decision = concluded(snapshot, attempts)

    assert (decision.outcome, decision.kept_model, decision.review) == ("failed", None, None)
    assert engine.replay(decision, snapshot) == decision


def test_a_refusal_is_a_decision_too() -> None:
    snapshot = make_snapshot(make_policy(guards=Guards(models=())))

    decision = concluded(snapshot, review=REVIEW)

    assert (decision.outcome, decision.review, decision.policy_version) == ("refused", None, VERSION)
    assert engine.replay(decision, snapshot) == decision
    assert concluded(snapshot, facts=make_facts(workflow=ident(99))).policy_version is None


def test_another_snapshot_is_named() -> None:
    decision = concluded(make_snapshot())
    other = msgspec.structs.replace(make_snapshot(), digest="1" * 64)

    with pytest.raises(engine.ReplayError, match="made under snapshot 0000"):
        engine.replay(decision, other)


@pytest.mark.parametrize(
    "attempts",
    [
        (attempted(1, MINILM, confidence=0.9),),
        (attempted(0, LEXICON, confidence=0.9), attempted(1, MINILM, confidence=0.9)),
        (CLIMBED[0], CLIMBED[0]),
        (CLIMBED[0], attempted(2, GRAND)),
    ],
)
def test_attempts_that_the_plan_would_not_have_made_are_named(attempts: tuple[engine.AttemptSignals, ...]) -> None:
    snapshot = make_snapshot()
    lying = msgspec.structs.replace(concluded(snapshot, CLIMBED), attempts=attempts)

    with pytest.raises(engine.ReplayError, match=rf"attempts\[{len(attempts) - 1}\] is not what the plan asks"):
        engine.replay(lying, snapshot)


def test_a_refused_request_has_no_attempts() -> None:
    snapshot = make_snapshot(make_policy(guards=Guards(models=())))
    lying = msgspec.structs.replace(concluded(snapshot), attempts=CLIMBED)

    with pytest.raises(engine.ReplayError, match=r"attempts\[0\]"):
        engine.replay(lying, snapshot)


def test_a_decision_that_claims_more_than_it_decided_comes_out_otherwise() -> None:
    snapshot = make_snapshot()
    lying = msgspec.structs.replace(concluded(snapshot, CLIMBED), kept_model="lexicon", tier="small")

    assert engine.encode(engine.replay(lying, snapshot)) != engine.encode(lying)
