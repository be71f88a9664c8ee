"""The models, ready to read: a text in, probabilities and a token count out."""

import math
from dataclasses import dataclass
from pathlib import Path

from demo import texts
from demo.classifiers import fitted, patterns
from demo.classifiers.heads import Numbers
from demo.classifiers.language import Languages
from demo.classifiers.lexicon import Lexicon
from demo.classifiers.minilm import MOST_TOKENS, MiniLM

# VADER's time grows with the square of the length; far above any sentence.
MOST_CHARACTERS = 16_000


class TextTooLongError(ValueError):
    """The text has more than the model reads. A part of it would give a confidence that nothing stands behind."""


@dataclass(frozen=True)
class Reading:
    """What a model makes of a text: calibrated log probabilities of its labels, in their order, and the tokens it read.

    Tokens are wordpieces with their two marks for minilm, words between blanks for the others.
    """

    labels: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    tokens: int

    @property
    def best(self) -> int:
        """The place of the likeliest label."""
        return max(range(len(self.log_probabilities)), key=self.log_probabilities.__getitem__)

    @property
    def label(self) -> str:
        """The likeliest label."""
        return self.labels[self.best]

    @property
    def confidence(self) -> float:
        """The probability of the likeliest label."""
        return math.exp(self.log_probabilities[self.best])


class Classifiers:
    """All models of one directory. Safe to use from several threads."""

    def __init__(self, directory: Path, numbers: fitted.Fitted) -> None:
        self._numbers = numbers
        self._lexicon = Lexicon()
        self._languages = Languages()
        self._minilm = MiniLM(directory / texts.TOKENIZER)

    @classmethod
    def load(cls, directory: Path) -> "Classifiers | None":
        """The models, or None while their numbers or the tokenizer are missing or damaged."""
        numbers = fitted.Fitted.load(fitted.path(directory))
        if numbers is None or not texts.intact(directory, texts.TOKENIZER):
            return None
        return cls(directory, numbers)

    def classify(self, model: str, text: str) -> Reading:
        """How likely each label of a model is for a text. Raises TextTooLongError, and KeyError for another model."""
        labels = texts.LANGUAGES if model in fitted.LANGUAGE else fitted.FITTED[model]
        _refuse_above(MOST_CHARACTERS, len(text), "characters", model)
        tokens = len(text.split())
        if model == "minilm":
            vector, tokens = self.embed(text)
            given = self._numbers.heads[model].log_probabilities(vector)
        elif model in fitted.COUNTING:
            columns, values = self._numbers.vocabularies[model].features(text)
            given = self._numbers.heads[model].log_probabilities(values, columns)
        elif model == "lexicon":
            given = self._numbers.heads[model].log_probabilities(self._lexicon.features(text))
        elif model == "patterns":
            given = self._numbers.heads[model].log_probabilities(patterns.features(text))
        else:
            given = self._languages.log_probabilities(text)
        return Reading(labels, tuple(given.tolist()), tokens)

    def embed(self, text: str) -> tuple[Numbers, int]:
        """MiniLM's embedding of the text, 384 numbers of length 1, and its tokens. Raises TextTooLongError."""
        _refuse_above(MOST_CHARACTERS, len(text), "characters", "minilm")
        tokens = self._minilm.tokens(text)
        _refuse_above(MOST_TOKENS, len(tokens), "wordpieces", "minilm")
        return self._minilm.embed([tokens])[0].astype(float), len(tokens)


def _refuse_above(most: int, found: int, unit: str, model: str) -> None:
    if found > most:
        raise TextTooLongError(f"the text has {found} {unit}; {model} reads at most {most}: send a shorter one")
