"""The cheapest model: VADER's rated words and rules, no training text."""

import numpy as np
from numpy.typing import NDArray
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


class Lexicon:
    """Reads a text with VADER 3."""

    def __init__(self) -> None:
        self._analyzer = SentimentIntensityAnalyzer()

    def features(self, text: str) -> NDArray[np.float64]:
        """Five numbers: compound score, shares of positive and of negative words, strength, 1 if no word is rated."""
        score = self._analyzer.polarity_scores(text)
        compound, positive, negative = score["compound"], score["pos"], score["neg"]
        return np.array([compound, positive, negative, abs(compound), float(positive + negative == 0)])
