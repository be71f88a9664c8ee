"""`python -m demo.classifiers --report`: what the three models and their cascade do on documents that none has seen."""

import sys
import time

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from config.state import state_path
from demo import texts
from demo.classifiers import fitting
from demo.classifiers.fitted import MODELS
from demo.classifiers.heads import Numbers
from demo.classifiers.models import Classifiers
from demo.sentence import DEMO_SENTENCE, KEEP_FROM, LOWERED_KEEP_FROM, OTHER_SENTENCES

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
_BINS = 10


class Column:
    """One model's answers on the held-out sentences: right or wrong, how sure, and the milliseconds each took."""

    def __init__(self, models: Classifiers, name: str, sentences: list[texts.Sentence]) -> None:
        right, sure, took = [], [], []
        for sentence in sentences:
            begun = time.perf_counter()
            reading = models.classify(name, sentence.text)
            took.append((time.perf_counter() - begun) * 1000)
            right.append(reading.best == sentence.label)
            sure.append(reading.confidence)
        self.right: NDArray[np.bool_] = np.array(right)
        self.sure: Numbers = np.array(sure)
        self.took: Numbers = np.array(took)

    def calibration_error(self) -> float:
        """Expected calibration error: how far said and true accuracy are apart, over ten bins of equal size."""
        bins = np.array_split(np.argsort(self.sure), _BINS)
        apart = [abs(self.sure[rows].mean() - self.right[rows].mean()) * len(rows) for rows in bins]
        return float(sum(apart) / len(self.sure))


def accuracy(right: NDArray[np.bool_]) -> str:
    """Share of right answers with its 95 % Wilson interval."""
    if not right.size:
        return "none"
    interval = binomtest(int(right.sum()), right.size).proportion_ci(method="wilson")
    return f"{right.mean():.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def print_models(columns: dict[str, Column]) -> None:
    """One row a model."""
    print(f"{'model':8}  {'accuracy [95 %]':22}  {'said':>5}  {'ECE':>5}  {'ms, median':>10}  {'p95':>6}")
    for name, column in columns.items():
        median, high = np.percentile(column.took, (50, 95))
        print(
            f"{name:8}  {accuracy(column.right):22}  {column.sure.mean():5.3f}  {column.calibration_error():5.3f}"
            f"  {median:10.2f}  {high:6.2f}"
        )


def print_kept(columns: dict[str, Column]) -> None:
    """What each model alone would keep at each threshold, how sure it said it was, and how right it was."""
    print(f"{'model':8}  {'keep from':>9}  {'kept':>5}  {'said':>5}  right [95 %]")
    for name, column in columns.items():
        for threshold in THRESHOLDS:
            kept = column.sure >= threshold
            said = f"{column.sure[kept].mean():.3f}" if kept.any() else "none"
            print(f"{name:8}  {threshold:9.2f}  {kept.mean():5.3f}  {said:>5}  {accuracy(column.right[kept])}")


def print_cascade(columns: dict[str, Column]) -> None:
    """Where sentences end when each model keeps what it is sure of, and how right the kept answers are."""
    print(f"{'keep from':>9}  {'  '.join(f'{name:>7}' for name in MODELS)}  {'person':>7}  {'said':>5}  right [95 %]")
    for threshold in THRESHOLDS:
        left = np.ones(len(columns["lexicon"].sure), bool)
        right, said, shares, took = [], [], [], 0.0
        for column in columns.values():
            took += float(column.took[left].sum())
            kept = left & (column.sure >= threshold)
            right.append(column.right[kept])
            said.append(column.sure[kept])
            shares.append(kept.mean())
            left &= ~kept
        shares.append(left.mean())
        print(
            f"{threshold:9.2f}  {'  '.join(f'{share:7.3f}' for share in shares)}  {np.concatenate(said).mean():5.3f}"
            f"  {accuracy(np.concatenate(right))}, {took / len(left):.2f} ms"
        )


def print_story(models: Classifiers) -> None:
    """What each model says to the demo's own sentences."""
    for sentence in (DEMO_SENTENCE, *(text for text, _model, _label in OTHER_SENTENCES)):
        print(sentence)
        for name in MODELS:
            reading = models.classify(name, sentence)
            print(f"    {name:8}  {reading.confidence:.3f}  {texts.LABELS[reading.best]}")


def main() -> int:
    """Print the whole report; the exit code."""
    directory = state_path() / "models"

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    try:
        fitting.prepare(directory, say)
    except texts.TextsUnavailableError as error:
        say(str(error))
        return 1
    models = Classifiers.load(directory)
    if models is None:
        say(f"The models in {directory} cannot be read; remove it, start again.")
        return 1
    sentences = [sentence for sentence in texts.read(directory) if sentence.held_out]
    documents = len({sentence.document for sentence in sentences})
    majority = max(sum(sentence.label == label for sentence in sentences) for label in range(len(texts.LABELS)))
    print(f"{len(sentences)} sentences of {documents} held-out documents; always the commonest label is right for")
    print(f"{majority / len(sentences):.3f}. Sentences of one document are alike: intervals are a little too narrow.\n")
    columns = {name: Column(models, name, sentences) for name in MODELS}
    print_models(columns)
    print("\nEach model alone")
    print_kept(columns)
    print("\nThe cascade: each keeps what it is sure of, a person gets the rest")
    print_cascade(columns)
    print(f"\nThe demo's sentences (kept from {KEEP_FROM}, after the lead's change from {LOWERED_KEEP_FROM})")
    print_story(models)
    return 0


if __name__ == "__main__":
    sys.exit(main())
