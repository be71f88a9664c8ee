"""The tables of routing, one module per noun."""

from routing.models.evaluations import (
    Evaluation,
    EvaluationChunk,
    EvaluationResult,
    EvaluationSchedule,
    EvaluationScore,
)
from routing.models.feeds import Bundle, Snapshot, StateFeed
from routing.models.samples import Sample, SampleSet

__all__ = [
    "Bundle",
    "Evaluation",
    "EvaluationChunk",
    "EvaluationResult",
    "EvaluationSchedule",
    "EvaluationScore",
    "Sample",
    "SampleSet",
    "Snapshot",
    "StateFeed",
]
