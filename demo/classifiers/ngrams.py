"""What the counting models see: words, pairs of words and character runs, weighted by how rare they are (TF-IDF)."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w\w+")
_RUN_LENGTHS = range(2, 6)


def words(text: str) -> Iterator[str]:
    """Words of two letters and more, then the pairs of neighbours."""
    found = _WORD.findall(text.lower())
    yield from found
    for first, second in pairwise(found):
        yield f"{first} {second}"


def runs(text: str) -> Iterator[str]:
    """Runs of two to five characters inside each word, whose two edges are marked by a blank."""
    for word in text.lower().split():
        marked = f" {word} "
        for length in _RUN_LENGTHS:
            for start in range(len(marked) - length + 1):
                yield marked[start : start + length]


@dataclass(frozen=True)
class Vocabulary:
    """Known words and runs, each with the number of its column; `rarity` is the weight of each column."""

    words: dict[str, int]
    runs: dict[str, int]
    rarity: NDArray[np.float64]

    @classmethod
    def of(cls, texts: list[str], *, words_in_at_least: int | None = 2, runs_in_at_least: int = 3) -> "Vocabulary":
        """The vocabulary of these texts: terms that so many of them have; None takes no words.

        A term seen in fewer texts says more about those texts than about their labels.
        """
        seen_words = Counter(term for text in texts for term in set(words(text))) if words_in_at_least else Counter()
        seen_runs = Counter(term for text in texts for term in set(runs(text)))
        known_words = sorted(term for term, texts_with in seen_words.items() if texts_with >= (words_in_at_least or 0))
        known_runs = sorted(term for term, texts_with in seen_runs.items() if texts_with >= runs_in_at_least)
        texts_with = [seen_words[term] for term in known_words] + [seen_runs[term] for term in known_runs]
        rarity = np.log((1 + len(texts)) / (1 + np.array(texts_with))) + 1
        return cls.from_lists(known_words, known_runs, rarity)

    @classmethod
    def from_lists(cls, known_words: list[str], known_runs: list[str], rarity: NDArray[np.float64]) -> "Vocabulary":
        """The vocabulary whose columns are first the words, then the runs, in this order."""
        first_run = len(known_words)
        return cls(
            {term: column for column, term in enumerate(known_words)},
            {term: first_run + column for column, term in enumerate(known_runs)},
            rarity,
        )

    def features(self, text: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The columns that the text has and their values; words and runs each have length 1 (or 0 if none is known)."""
        known = [self._weigh(self.words, words(text)), self._weigh(self.runs, runs(text))]
        return np.concatenate([columns for columns, _ in known]), np.concatenate([values for _, values in known])

    def _weigh(self, known: dict[str, int], terms: Iterable[str]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        counts = Counter(column for term in terms if (column := known.get(term)) is not None)
        columns = np.fromiter(counts, np.intp, len(counts))
        values = np.fromiter((1 + math.log(count) for count in counts.values()), np.float64, len(counts))
        values *= self.rarity[columns]
        return columns, values / (np.linalg.norm(values) or 1.0)
