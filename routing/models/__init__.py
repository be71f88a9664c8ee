"""The tables of routing, one module per noun."""

from routing.models.evaluations import (
    Evaluation,
    EvaluationChunk,
    EvaluationResult,
    EvaluationSchedule,
    EvaluationScore,
)
from routing.models.feeds import Bundle, Snapshot, StateFeed
from routing.models.instances import Instance
from routing.models.samples import Sample, SampleSet
from routing.models.simulations import Simulation

__all__ = [
    "Bundle",
    "Evaluation",
    "EvaluationChunk",
    "EvaluationResult",
    "EvaluationSchedule",
    "EvaluationScore",
    "Instance",
    "Sample",
    "SampleSet",
    "Simulation",
    "Snapshot",
    "StateFeed",
]
