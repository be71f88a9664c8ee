"""From what a model sees to calibrated probabilities: a logistic head, then one that learned how sure it may be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def log_softmax(scores: Numbers) -> Numbers:
    """Logarithms of the probabilities that the scores stand for, along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: Numbers = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


@dataclass(frozen=True)
class Linear:
    """A score for each label from numbers: weights of shape (labels, columns), bias of shape (labels,)."""

    weights: Numbers
    bias: Numbers

    def scores(self, values: Numbers, columns: NDArray[np.intp] | None = None) -> Numbers:
        """Scores of one text (or of many, one a row). `columns` names the places of the values; all if absent."""
        weights = self.weights if columns is None else self.weights[:, columns]
        result: Numbers = values @ weights.T + self.bias
        return result


@dataclass(frozen=True)
class Head:
    """A model's own judgement and its calibration, fitted on documents that the judgement had not seen."""

    judgement: Linear
    calibration: Linear

    def log_probabilities(self, values: Numbers, columns: NDArray[np.intp] | None = None) -> Numbers:
        """Natural logarithms of the probabilities of the labels, in their order."""
        return log_softmax(self.calibration.scores(log_softmax(self.judgement.scores(values, columns))))
