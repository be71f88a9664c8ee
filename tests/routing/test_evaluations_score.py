"""Scores: shares with their intervals, what failed told apart, the policy beside each model alone."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from scipy.stats import binomtest

from routing import evaluations
from routing.intervals import mcnemar, wilson
from routing.models import Evaluation, EvaluationChunk, EvaluationScore
from tests.routing.lab import LADDER, Lab, alike, make_lab, measured, row, work_off

# E.B. Wilson's interval as published: R.G. Newcombe, Two-sided confidence intervals for the single proportion,
# Statistics in Medicine 17 (1998), table I, method 3, four decimals.
NEWCOMBE = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]


@pytest.mark.parametrize(("correct", "n", "low", "high"), NEWCOMBE)
def test_the_interval_is_wilsons(correct: int, n: int, low: float, high: float) -> None:
    found = wilson(correct, n)
    assert found is not None
    assert (round(found[0], 4), round(found[1], 4)) == (low, high)


def test_the_interval_is_scipys() -> None:
    for n in (1, 2, 3, 7, 20, 59, 700, 3000):
        for correct in {0, 1, n // 3, n // 2, n - 1, n}:
            theirs = binomtest(correct, n).proportion_ci(method="wilson")
            assert wilson(correct, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert wilson(0, 0) is None


def test_the_paired_test_is_the_exact_binomial_one() -> None:
    for gained in range(0, 40, 3):
        for lost in range(0, 40, 3):
            theirs = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
            assert mcnemar(gained, lost) == pytest.approx(theirs, rel=1e-9)
    assert mcnemar(2_900, 3_100) == pytest.approx(binomtest(2_900, 6_000).pvalue, rel=1e-6)


def said(label: str | None, confidence: float = 0.9, **more: Any) -> dict[str, Any]:
    """An answer."""
    return {"label": label, "confidence": confidence, **more}


def failed(outcome: str, **more: Any) -> dict[str, Any]:
    """None."""
    return {"outcome": outcome, "error": "no_model_available", "label": None, **more}


@pytest.fixture
def lab(db: None, installation_keys: None) -> Lab:
    """A step with a live ladder."""
    return make_lab()


def closed(evaluation: Evaluation) -> Evaluation:
    """The evaluation at its end, as the worker brings it there: all answers are written, so nothing is asked."""
    work_off()
    return Evaluation.objects.for_list().get(pk=evaluation.pk)


def test_an_evaluation_is_scored_when_its_last_answer_is_there(lab: Lab) -> None:
    rows = [row(text, "positive") for text in "abcdef"]
    low = said("positive", 0.1)
    evaluation = measured(
        lab,
        rows,
        {
            "lexicon": [
                said("positive"),
                said("negative"),
                low,
                low,
                failed("error"),
                failed("timeout", latency_ms=900),
            ],
            "tf-idf": [said("negative"), said("positive"), said("positive"), low, low, said("positive")],
            "smollm2": [said("positive")] * 4 + [said("positive", 0.1)] + [said("negative")],
        },
    )

    evaluation = closed(evaluation)

    assert (evaluation.state, evaluation.asks) == ("done", 18)
    assert evaluation.ended_at is not None
    (found,) = evaluations.latest_of(lab.cast.workflow, lab.production)
    assert (found.evaluation, found.n, list(found.models)) == (evaluation, 6, list(LADDER))
    lexicon, tfidf, smollm2, policy = (*found.models.values(), found.policy)
    assert [(each.correct, each.errors, each.timeouts, each.judged) for each in (lexicon, tfidf, smollm2)] == [
        (3, 1, 1, 6),
        (5, 0, 0, 6),
        (5, 0, 0, 6),
    ]
    # a, b: the lexicon; c, f: tf-idf; d: smollm2; e: a person.
    assert (lexicon.kept, tfidf.kept, smollm2.kept) == (2, 2, 1)
    assert (policy.kept, policy.person, policy.correct, policy.judged) == (5, 1, 4, 5)
    assert policy.accuracy == 0.8
    assert (policy.low, policy.high) == pytest.approx(wilson(4, 5))
    assert (lexicon.low, lexicon.high) == pytest.approx(wilson(3, 6))
    # Beside the policy on a, b, c, d, f: tf-idf has b right and a wrong, smollm2 has b right and f wrong.
    assert [(each.gained, each.lost) for each in (lexicon, tfidf, smollm2)] == [(1, 0), (1, 1), (1, 1)]
    assert lexicon.p_value == 1.0
    assert (lexicon.cost_per_task, tfidf.cost_per_task) == (Decimal("0.001"), Decimal("0.01"))
    assert policy.cost == Decimal("0.001") * 6 + Decimal("0.01") * 4 + Decimal("0.1") * 2
    assert (lexicon.latency_p50_ms, lexicon.latency_p95_ms, policy.latency_p95_ms) == (10, 900, 910)


def test_a_cost_is_that_of_what_is_priced(lab: Lab) -> None:
    unpriced = said("positive", cost=None, currency=None)
    evaluation = measured(
        lab,
        [row("a"), row("b"), row("c")],
        {
            "lexicon": [unpriced, said("positive"), said("positive", cost=Decimal("0.003"))],
            "tf-idf": [unpriced] * 3,
            "smollm2": [said("positive"), said("positive", currency="EUR"), said("positive")],
        },
    )
    scores = {score.model: score for score in closed(evaluation).scores.all()}
    assert (scores["lexicon"].unpriced, scores["lexicon"].cost_per_task) == (1, Decimal("0.002"))
    assert (scores["tf-idf"].cost, scores["tf-idf"].unpriced, scores["tf-idf"].cost_per_task) == (None, 3, None)
    assert (scores["smollm2"].cost, scores["smollm2"].currency) == (None, None)
    assert (scores[None].unpriced, scores[None].cost) == (1, Decimal("0.004"))


def test_a_policy_that_asks_people_alone_has_no_accuracy(lab: Lab) -> None:
    evaluation = measured(lab, [row("a")], alike([said("positive", 0.1)]))
    policy = closed(evaluation).scores.get(model=None)
    assert (policy.person, policy.judged, policy.accuracy, policy.low) == (1, 0, None, None)


def test_the_newest_one_that_went_through_counts(lab: Lab) -> None:
    workflow, production = lab.cast.workflow, lab.production
    assert evaluations.latest_of(workflow, production) == []
    first = closed(measured(lab, [row("a")], alike([said("positive")])))
    second = closed(measured(lab, [row("b")], alike([said("positive")])))
    third = measured(lab, [row("c")], {})
    evaluations.cancel(evaluation=third, by=lab.cast.owner, now=timezone.now())
    (found,) = evaluations.latest_of(workflow, production)
    assert found.evaluation == second != first
    assert EvaluationScore.objects.filter(evaluation=third).count() == 0
    assert EvaluationChunk.objects.filter(evaluation=second, done_at=None).count() == 0
