"""The cheapest look at a message: has it turns of phrase by which people try to make an assistant break its rules?"""

import re

import numpy as np
from numpy.typing import NDArray

_RULES = (
    r"(?:instruction|rule|guideline|prompt|directive|filter|restriction|safeguard|constraint|polic(?:y|ies)|training)"
)

# Each is one turn of phrase, within a sentence.
PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:ignore|disregard|forget|override|bypass|circumvent|drop|abandon|suspend)\b[^.!?\n]{{0,40}}\b{_RULES}",
        rf"\b(?:reveal|show|print|output|display|repeat|disclose|share|dump|expose|leak|recite|give)\b"
        rf"[^.!?\n]{{0,40}}\b{_RULES}",
        r"\b(?:system|initial|original|hidden|secret)\s+(?:prompt|message|instruction|directive|rule)s?\b",
        rf"\byour\s+(?:\w+\s+){{0,2}}{_RULES}",
        r"\b(?:pretend|act as|you are now|role-?play|simulate|stop being|enter the character|become)\b",
        r"\b(?:developer|debug|admin|maintenance|god|dan|jailbreak|unrestricted|root|diagnostic)[ -]?(?:mode|access)\b",
        r"\b(?:without|no|free of|remove|disable|turn off|lift)\b[^.!?\n]{0,20}"
        r"\b(?:restriction|limit|filter|safeguard|safety|guardrail|censor|boundar|ethic)",
        r"\bi(?:'m| am)\s+(?:\w+\s+){0,2}"
        r"(?:admin|administrator|developer|creator|owner|authori[sz]ed|auditor|engineer)\b",
        r"\b(?:new|updated|real|true)\s+(?:instruction|rule|directive)s?\b|\[/?inst\]|<\|?(?:system|im_start)",
        r"\b\w*[a-z][0134][a-z]\w*\b",
    )
)


def features(text: str) -> NDArray[np.float64]:
    """One number for each pattern, 1 where the text has it, and then how many it has in all."""
    found = [float(pattern.search(text) is not None) for pattern in PATTERNS]
    return np.array([*found, sum(found)])
