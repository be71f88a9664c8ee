"""What an evaluation says of each model and of the policy as a whole, once all answers are there."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from ledger.recent import quantile
from routing.intervals import mcnemar, wilson
from routing.models import Evaluation, EvaluationResult, EvaluationScore
from routing.replays import Replay, replayed

Outcome = EvaluationResult.Outcome


def score(evaluation: Evaluation) -> list[EvaluationScore]:
    """Return the scores of an evaluation whose samples were all asked, not yet written: one a model, then the policy.

    What has no answer counts as wrong.
    """
    replay = replayed(evaluation)
    results = list(EvaluationResult.objects.filter(evaluation=evaluation))
    alone = [
        _model(evaluation, model, [result for result in results if result.model == model], replay)
        for model in evaluation.ladder
    ]
    return [*alone, _policy(evaluation, replay)]


def _model(evaluation: Evaluation, model: str, results: Sequence[EvaluationResult], replay: Replay) -> EvaluationScore:
    right = {result.sample_id for result in results if result.correct}
    gained, lost = _beside(replay, right)
    costs = [result.cost for result in results if result.cost is not None]
    currencies = {result.currency for result in results if result.currency}
    currency = currencies.pop() if len(currencies) == 1 else None
    n = evaluation.sample_set.size
    low, high = wilson(len(right), n) or (None, None)
    waited = sorted(result.latency_ms for result in results)
    return EvaluationScore(
        evaluation=evaluation,
        model=model,
        n=n,
        correct=len(right),
        errors=sum(1 for result in results if result.outcome == Outcome.ERROR),
        timeouts=sum(1 for result in results if result.outcome == Outcome.TIMEOUT),
        person=0,
        kept=replay.kept[model],
        low=low,
        high=high,
        latency_p50_ms=quantile(waited, 0.5),
        latency_p95_ms=quantile(waited, 0.95),
        cost=None if currency is None else sum(costs, Decimal(0)),
        currency=currency,
        unpriced=len(results) - len(costs),
        gained=gained,
        lost=lost,
        p_value=mcnemar(gained, lost),
    )


def _policy(evaluation: Evaluation, replay: Replay) -> EvaluationScore:
    low, high = replay.interval or (None, None)
    waited = sorted(sample.latency_ms for sample in replay.samples)
    outcomes = replay.outcomes
    return EvaluationScore(
        evaluation=evaluation,
        model=None,
        n=replay.n,
        correct=replay.correct,
        errors=outcomes["failed"] + outcomes["refused"],
        timeouts=0,
        person=outcomes["person"],
        kept=outcomes["kept"],
        low=low,
        high=high,
        latency_p50_ms=quantile(waited, 0.5),
        latency_p95_ms=quantile(waited, 0.95),
        cost=replay.cost,
        currency=replay.currency,
        unpriced=replay.unpriced,
        gained=0,
        lost=0,
        p_value=None,
    )


def _beside(replay: Replay, right: set[UUID]) -> tuple[int, int]:
    """Where the policy answers: how many samples it alone has right, and how many the model alone has."""
    kept = [sample for sample in replay.samples if sample.outcome == "kept"]
    gained = sum(1 for sample in kept if sample.correct and sample.sample not in right)
    lost = sum(1 for sample in kept if not sample.correct and sample.sample in right)
    return gained, lost
