"""`python -m demo.classifiers --report`: what the models and their cascades do on texts that none has seen."""

import sys
import time
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from config.state import state_path
from demo import texts
from demo.classifiers import fitting
from demo.classifiers.fitted import LANGUAGE, SCREEN, SENTIMENT
from demo.classifiers.heads import Numbers
from demo.classifiers.models import Classifiers
from demo.sentence import DEMO_SENTENCE, KEEP_FROM, LOWERED_KEEP_FROM, OTHER_SENTENCES

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
_BINS = 10


class Column:
    """One model's answers on texts it has not seen: right or wrong, how sure, and the milliseconds each took."""

    def __init__(self, models: Classifiers, name: str, samples: list[texts.Sample]) -> None:
        right, sure, took = [], [], []
        for sample in samples:
            begun = time.perf_counter()
            reading = models.classify(name, sample.text)
            took.append((time.perf_counter() - begun) * 1000)
            right.append(reading.label == sample.label)
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
    print(f"{'model':10}  {'accuracy [95 %]':22}  {'said':>5}  {'ECE':>5}  {'ms, median':>10}  {'p95':>6}")
    for name, column in columns.items():
        median, high = np.percentile(column.took, (50, 95))
        print(
            f"{name:10}  {accuracy(column.right):22}  {column.sure.mean():5.3f}  {column.calibration_error():5.3f}"
            f"  {median:10.2f}  {high:6.2f}"
        )


def print_kept(columns: dict[str, Column]) -> None:
    """What each model alone would keep at each threshold, how sure it said it was, and how right it was."""
    print(f"{'model':10}  {'keep from':>9}  {'kept':>5}  {'said':>5}  right [95 %]")
    for name, column in columns.items():
        for threshold in THRESHOLDS:
            kept = column.sure >= threshold
            said = f"{column.sure[kept].mean():.3f}" if kept.any() else "none"
            print(f"{name:10}  {threshold:9.2f}  {kept.mean():5.3f}  {said:>5}  {accuracy(column.right[kept])}")


def print_cascade(columns: dict[str, Column]) -> None:
    """Where texts end when each model keeps what it is sure of, and how right the kept answers are."""
    heads = "  ".join(f"{name:>10}" for name in columns)
    print(f"{'keep from':>9}  {heads}  {'person':>7}  {'said':>5}  right [95 %]")
    for threshold in THRESHOLDS:
        left = np.ones(len(next(iter(columns.values())).sure), bool)
        right, said, shares, took = [], [], [], 0.0
        for column in columns.values():
            took += float(column.took[left].sum())
            kept = left & (column.sure >= threshold)
            right.append(column.right[kept])
            said.append(column.sure[kept])
            shares.append(kept.mean())
            left &= ~kept
        shares.append(left.mean())
        told = "  ".join(f"{share:10.3f}" for share in shares[:-1])
        kept_right, sure = accuracy(np.concatenate(right)), np.concatenate(said).mean()
        print(f"{threshold:9.2f}  {told}  {shares[-1]:7.3f}  {sure:5.3f}  {kept_right}, {took / len(left):.2f} ms")


def print_task(models: Classifiers, names: tuple[str, ...], samples: list[texts.Sample], what: str) -> None:
    """All tables of one task."""
    most = max(Counter(sample.label for sample in samples).values())
    print(f"{len(samples)} {what}. Always the commonest label is right for {most / len(samples):.3f}.\n")
    columns = {name: Column(models, name, samples) for name in names}
    print_models(columns)
    print("\nEach model alone")
    print_kept(columns)
    print("\nThe cascade: each keeps what it is sure of, a person gets the rest")
    print_cascade(columns)
    print("")


def print_story(models: Classifiers) -> None:
    """What each model says to the demo's own sentences."""
    for sentence in (DEMO_SENTENCE, *(text for text, _model, _label in OTHER_SENTENCES)):
        print(sentence)
        for name in SENTIMENT:
            reading = models.classify(name, sentence)
            print(f"    {name:10}  {reading.confidence:.3f}  {reading.label}")


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
    sentences = texts.unseen_sentences(directory)
    print_task(
        models, SENTIMENT, sentences, "sentences of held-out documents; those of one are alike: see intervals so"
    )
    print_task(models, SCREEN, texts.unseen_messages(directory), "messages of the set’s test part")
    english = [texts.Sample(each.id, each.text, "en") for each in sentences]
    print_task(
        models, LANGUAGE, english, "of these sentences, all English: what it makes of other languages is not in it"
    )
    print_task(
        models, SENTIMENT, texts.tweets(directory)[::4], "tweets; the word list was published with them: contaminated"
    )
    print(f"\nThe demo’s sentences (kept from {KEEP_FROM}, after the lead’s change from {LOWERED_KEEP_FROM})")
    print_story(models)
    return 0


if __name__ == "__main__":
    sys.exit(main())
