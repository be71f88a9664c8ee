"""Which of the shop's languages a text is in, by py3langid's counts of byte runs; it comes fitted."""

import numpy as np
from numpy.typing import NDArray
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from demo.texts import LANGUAGES

_SMALLEST = 1e-12


class Languages:
    """Reads texts. Its probabilities allow for the length: of one word alone it is hardly ever sure."""

    def __init__(self) -> None:
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._identifier.set_languages(list(LANGUAGES))

    def log_probabilities(self, text: str) -> NDArray[np.float64]:
        """Natural logarithms of the probabilities of LANGUAGES, in their order."""
        ranked = dict(self._identifier.rank(text))
        given = np.array([max(ranked[language], _SMALLEST) for language in LANGUAGES])
        result: NDArray[np.float64] = np.log(given / given.sum())
        return result
