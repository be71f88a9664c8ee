"""The three models, ready to read: a text in, probabilities and a token count out."""

import math
from dataclasses import dataclass
from pathlib import Path

from demo import texts
from demo.classifiers import fitted
from demo.classifiers.heads import Numbers
from demo.classifiers.lexicon import Lexicon
from demo.classifiers.minilm import MOST_TOKENS, MiniLM

# VADER's time grows with the square of the length; far above any sentence.
MOST_CHARACTERS = 16_000


class TextTooLongError(ValueError):
    """The text has more than the model reads. A part of it would give a confidence that nothing stands behind."""


@dataclass(frozen=True)
class Reading:
    """What a model makes of a text: calibrated log probabilities in the order of LABELS, and the tokens it read.

    Tokens are wordpieces with their two marks for minilm, words between blanks for the others.
    """

    log_probabilities: tuple[float, ...]
    tokens: int

    @property
    def best(self) -> int:
        """The place of the likeliest label in LABELS."""
        return max(range(len(self.log_probabilities)), key=self.log_probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The probability of the likeliest label."""
        return math.exp(self.log_probabilities[self.best])


class Classifiers:
    """All three models of one directory. Safe to use from several threads."""

    def __init__(self, directory: Path, numbers: fitted.Fitted) -> None:
        self._numbers = numbers
        self._lexicon = Lexicon()
        self._minilm = MiniLM(directory / texts.TOKENIZER)

    @classmethod
    def load(cls, directory: Path) -> "Classifiers | None":
        """The models, or None while their numbers or the tokenizer are missing or damaged."""
        numbers = fitted.Fitted.load(fitted.path(directory))
        if numbers is None or not texts.intact(directory, texts.TOKENIZER):
            return None
        return cls(directory, numbers)

    def classify(self, model: str, text: str) -> Reading:
        """How likely the text is positive, neutral, negative. Raises TextTooLongError; KeyError for another model."""
        head = self._numbers.heads[model]
        _refuse_above(MOST_CHARACTERS, len(text), "characters", model)
        if model == "minilm":
            vector, tokens = self.embed(text)
            return _reading(head.log_probabilities(vector), tokens)
        words = len(text.split())
        if model == "tfidf":
            columns, values = self._numbers.vocabulary.features(text)
            return _reading(head.log_probabilities(values, columns), words)
        return _reading(head.log_probabilities(self._lexicon.features(text)), words)

    def embed(self, text: str) -> tuple[Numbers, int]:
        """MiniLM's embedding of the text, 384 numbers of length 1, and its tokens. Raises TextTooLongError."""
        _refuse_above(MOST_CHARACTERS, len(text), "characters", "minilm")
        tokens = self._minilm.tokens(text)
        _refuse_above(MOST_TOKENS, len(tokens), "wordpieces", "minilm")
        return self._minilm.embed([tokens])[0].astype(float), len(tokens)


def _refuse_above(most: int, found: int, unit: str, model: str) -> None:
    if found > most:
        raise TextTooLongError(f"the text has {found} {unit}; {model} reads at most {most}: send a shorter one")


def _reading(log_probabilities: Numbers, tokens: int) -> Reading:
    return Reading(tuple(log_probabilities.tolist()), tokens)
