"""What a policy would have answered is what the engine says, sample by sample, under whatever policy one asks about."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from governance.models import Mode
from governance.models.ids import new_id
from routing import evaluations, replays
from routing.models import Evaluation, EvaluationResult
from routing.samples import label_of
from smallfirst import engine
from smallfirst.engine import AttemptSignals, Climb, Facts, Plan, Refusal, Signals, State
from tests.cast import make_document
from tests.routing.lab import COSTS, LADDER, Lab, alike, make_lab, measured, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]

LABELS = ["positive", "negative", "neutral"]
GATE = {"keep_from": 0.8, "labels": LABELS}


@pytest.fixture
def lab() -> Lab:
    """A step with a live ladder: lexicon, tf-idf, smollm2, each kept from 0.8, then a person."""
    return make_lab()


def said(label: str | None, confidence: float | None = 0.9, **more: Any) -> dict[str, Any]:
    """An answer."""
    return {"label": label, "confidence": confidence, **more}


def failed(outcome: str = "error", error: str = "no_model_available", **more: Any) -> dict[str, Any]:
    """None."""
    return {"outcome": outcome, "error": error, "label": None, "stop_reason": None, **more}


def changed(keep_from: float = 0.8, **parts: Any) -> dict[str, Any]:
    """The live policy with another threshold and other parts in its step."""
    document = make_document(keep_from)
    document["steps"][0] |= parts
    return document


def test_the_ladder_is_climbed_as_the_answers_say(lab: Lab) -> None:
    rows = [row("a"), row("b"), row("c"), row("d"), row("e")]
    evaluation = measured(
        lab,
        rows,
        {
            "lexicon": [
                said("positive", 0.8),
                said("negative", 0.79),
                said("negative", 0.5),
                said(None, 0.1),
                failed(),
            ],
            "tf-idf": [said("negative"), said("positive", 0.9), said("negative", 0.5), said(None), said("negative", 1)],
            "smollm2": [said("negative"), said("negative"), said("positive", 0.7), said("positive", None), said("x")],
        },
    )

    replay = evaluations.replayed(evaluation)

    assert [(each.position, each.outcome, each.model, each.correct) for each in replay.samples] == [
        (1, "kept", "lexicon", True),
        (2, "kept", "tf-idf", True),
        (3, "person", None, None),
        # Without labels in the gate any answer is one; a confidence that is not told is not enough.
        (4, "kept", "tf-idf", False),
        (5, "kept", "tf-idf", False),
    ]
    climbed = [("lexicon",), LADDER[:2], LADDER, LADDER[:2], LADDER[:2]]
    costs = [sum((Decimal(COSTS[model]) for model in models), Decimal(0)) for models in climbed]
    assert [each.cost for each in replay.samples] == costs
    assert [each.latency_ms for each in replay.samples] == [10, 20, 30, 20, 20]
    assert (replay.n, replay.judged, replay.correct, replay.accuracy) == (5, 4, 2, 0.5)
    assert replay.kept == {"lexicon": 1, "tf-idf": 3}
    assert (replay.outcomes["person"], replay.unpriced, replay.currency) == (1, 0, "USD")
    assert replay.cost_per_task == sum(costs, Decimal(0)) / 5


def test_another_threshold_tells_what_it_would_have_done(lab: Lab) -> None:
    answers = [
        said("positive" if confidence > 0.6 else "negative", confidence) for confidence in (0.5, 0.65, 0.75, 0.9)
    ]
    evaluation = measured(lab, [row(text) for text in "abcd"], alike(answers))

    kept = {level: evaluations.replayed(evaluation, changed(level)).kept["lexicon"] for level in (0.4, 0.6, 0.7, 0.95)}

    assert kept == {0.4: 4, 0.6: 3, 0.7: 2, 0.95: 0}
    lower = evaluations.replayed(evaluation, changed(0.4))
    assert (lower.correct, lower.judged, lower.outcomes["person"]) == (3, 4, 0)
    assert evaluations.replayed(evaluation, changed(0.95)).outcomes == {"person": 4}


def test_a_model_that_was_not_measured_leaves_the_answer_open(lab: Lab) -> None:
    evaluation = measured(lab, [row("a"), row("b")], {"lexicon": [said("positive"), said("positive", 0.1)]})
    replay = evaluations.replayed(evaluation)
    assert [(each.outcome, each.correct, each.cost) for each in replay.samples] == [
        ("kept", True, Decimal("0.001")),
        ("unmeasured", None, None),
    ]
    assert (replay.n, replay.judged, replay.unpriced) == (2, 1, 1)


def test_some_samples_are_replayed_alone(lab: Lab) -> None:
    evaluation = measured(lab, [row(text) for text in "abc"], alike([said("positive")] * 3))
    assert [each.position for each in evaluations.replayed(evaluation, positions=[3, 1]).samples] == [1, 3]


def test_costs_that_are_not_known_are_not_guessed(lab: Lab) -> None:
    unknown, foreign = said("positive", 0.1, cost=None, currency=None), said("positive", currency="EUR")
    evaluation = measured(
        lab,
        [row("a"), row("b"), row("c")],
        {
            "lexicon": [unknown, said("positive", 0.1), said("positive")],
            "tf-idf": [said("positive"), foreign, said("positive")],
            "smollm2": [said("positive")] * 3,
        },
    )
    replay = evaluations.replayed(evaluation)
    assert [each.cost for each in replay.samples] == [None, None, Decimal("0.001")]
    assert (replay.unpriced, replay.cost, replay.cost_per_task) == (2, Decimal("0.001"), Decimal("0.001"))


def test_rules_read_the_samples_as_a_gateway_would(lab: Lab) -> None:
    evaluation = measured(lab, [row("short"), row("word " * 60)], alike([said("positive"), said("positive")]))
    rule = {
        "name": "long ones",
        "when": [{"type": "signal", "name": "words", "at_least": 50}],
        "then": {"start": "mid"},
    }
    replay = evaluations.replayed(evaluation, changed() | {"rules": [rule]})
    assert [each.model for each in replay.samples] == ["lexicon", "tf-idf"]
    refusing = rule | {"then": {"refuse": "too long"}}
    replay = evaluations.replayed(evaluation, changed() | {"rules": [refusing]})
    assert [(each.outcome, each.correct, each.cost) for each in replay.samples] == [
        ("kept", True, Decimal("0.001")),
        ("refused", False, Decimal(0)),
    ]


def test_a_watched_policy_is_replayed_as_if_it_were_in_force(lab: Lab) -> None:
    evaluation = measured(lab, [row("a")], alike([said("positive", 0.1)]))
    text = evaluation.snapshot.text.replace('"mode":"enforce"', f'"mode":"{Mode.OBSERVE}"')
    assert text != evaluation.snapshot.text
    evaluation.snapshot.text = text
    assert evaluations.replayed(evaluation).outcomes == {"person": 1}


def test_what_is_no_policy_is_refused(lab: Lab) -> None:
    evaluation = measured(lab, [row("a")], alike([said("positive")]))
    with pytest.raises(engine.PolicyError):
        evaluations.replayed(evaluation, {"format": 1})


POLICIES: list[dict[str, Any]] = [
    changed(0.3),
    changed(0.8, gate=GATE),
    changed(0.8, gate=GATE | {"labels": ["NEGATIVE", "Positive"]}),
    changed(0.8, gate={"keep_from": 0.6, "stop_reasons": None}),
    changed(0.8, gate=None, review=None),
    changed(0.8, gate=GATE, review=None),
    changed(0.8, start={"easy": "mid", "medium": "frontier", "hard": "small"}),
    changed(0.8, limits={"deadline_ms": 1_500}),
    changed(0.8, limits={"deadline_ms": 1_500, "max_output_tokens": 20}) | {"guards": {"max_cost": "0.00005"}},
    changed(0.8, ladder=[{"model": "lexicon", "keep_from": 0.95}, {"model": "smollm2", "keep_from": 0.2}]),
    changed(0.8) | {"guards": {"models": ["tf-idf"]}},
    changed(0.8)
    | {
        "rules": [
            {"name": "sure", "when": [{"type": "signal", "name": "words", "at_least": 5}], "then": {"keep_from": 0.99}},
            {"name": "people", "when": [{"type": "signal", "name": "digits", "at_least": 1}], "then": {"review": True}},
            {
                "name": "never",
                "when": [{"type": "signal", "name": "questions", "at_least": 2}],
                "then": {"refuse": "no"},
            },
        ]
    },
]


def some_answers(draw: random.Random, count: int) -> list[dict[str, Any]]:
    """Answers of every kind."""
    made = []
    for _ in range(count):
        more = {"latency_ms": draw.choice([5, 400, 900, 1600]), "output_tokens": draw.choice([None, 1, 40])}
        if draw.random() < 0.15:
            outcome, error = draw.choice([("error", "x"), ("timeout", "x"), ("error", replays.REFUSED)])
            made.append(failed(outcome, error, **more))
        else:
            label, stop = draw.choice([*LABELS, None]), draw.choice(["stop", "stop", "stop", "length", None])
            confidence = draw.choice([None, 0.2, 0.59, 0.6, 0.8, 0.95, 1.0, draw.random()])
            made.append(said(label, confidence, stop_reason=stop, **more))
    return made


def decided(
    evaluation: Evaluation, snapshot: engine.Snapshot, signals: Signals, answers: dict[str, EvaluationResult]
) -> engine.Decision:
    """The decision that a gateway would have stored, had each model answered as it did; the engine replays it."""
    facts = Facts(workflow=str(evaluation.step.workflow_id), step=evaluation.step.name)
    planned = engine.plan(facts, signals, State(), snapshot)
    told: list[AttemptSignals] = []
    move = None if isinstance(planned, Refusal) else engine.next(planned, told)
    while isinstance(planned, Plan) and isinstance(move, Climb):
        told.append(_told(planned, move, answers[planned.rungs[move.rung].model], told))
        move = engine.next(planned, told)
    decision = engine.conclude(
        planned,
        told,
        id=str(new_id()),
        at="2026-11-27T09:30:00.000000Z",
        environment=str(new_id()),
        key=str(new_id()),
        facts=facts,
        signals=signals,
        state=State(),
        snapshot=snapshot.digest,
        review=str(new_id()) if isinstance(move, engine.Person) else None,
    )
    assert engine.replay(decision, snapshot) == decision
    return decision


def _told(plan: Plan, move: Climb, answer: EvaluationResult, before: Sequence[AttemptSignals]) -> AttemptSignals:
    kinds = {"ok": "ok", "timeout": "timeout", "error": "refused" if answer.error == replays.REFUSED else "error"}
    labels = plan.gate.labels if plan.gate else None
    return msgspec.convert(
        {
            "rung": move.rung,
            "endpoint": move.endpoint,
            "outcome": kinds[answer.outcome],
            "confidence": answer.confidence,
            "label": label_of(answer.label, labels) if labels and answer.label else None,
            "stop_reason": answer.stop_reason,
            "output_tokens": answer.output_tokens,
            "latency_ms": 0 if before and before[-1].rung == move.rung else answer.latency_ms,
        },
        AttemptSignals,
    )


@pytest.mark.parametrize("policy", POLICIES, ids=range(len(POLICIES)))
def test_every_sample_ends_as_the_engine_decides(lab: Lab, policy: dict[str, Any]) -> None:
    draw = random.Random(7)
    texts = ["plain", "one two three four five six", "order 17", "why? how?", "a " * 200]
    rows = [row(f"{draw.choice(texts)}", draw.choice(LABELS)) for _ in range(120)]
    evaluation = measured(lab, rows, {model: some_answers(draw, len(rows)) for model in LADDER})

    replay = evaluations.replayed(evaluation, policy)

    snapshot = replays.under(evaluation, policy)
    seen = set()
    for sample, told in zip(evaluation.sample_set.samples.order_by("position"), replay.samples, strict=True):
        answers = {result.model: result for result in sample.results.all()}
        decision = decided(evaluation, snapshot, msgspec.convert(sample.signals, Signals), answers)
        assert (told.outcome, told.model) == (decision.outcome, decision.kept_model), sample.position
        asked = dict.fromkeys(_model_of(snapshot, attempt) for attempt in decision.attempts)
        assert told.cost == sum((Decimal(COSTS[model]) for model in asked), Decimal(0))
        assert told.latency_ms == sum(answers[model].latency_ms for model in asked)
        right = decision.kept_model is not None and answers[decision.kept_model].label == sample.label
        assert told.correct is (None if decision.outcome == "person" else right)
        seen.add(decision.outcome)
    assert seen


def _model_of(snapshot: engine.Snapshot, attempt: AttemptSignals) -> str:
    return snapshot.endpoints[attempt.endpoint].model
