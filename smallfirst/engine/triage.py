"""How hard a request looks, from plain numbers of its text; a first guess for where to start, never a verdict.

Nothing here is trained. Length and plain features of the text are what carries over between kinds of work; a guess that
is too low costs one climb, since the gate looks at the answer itself.
"""

from operator import attrgetter

from smallfirst.engine.decision import Output
from smallfirst.engine.facts import Signals
from smallfirst.engine.policy import Difficulty


class Cut(Output, frozen=True):
    """One point of difficulty when a signal reaches ``at_least``."""

    signal: str
    at_least: int
    words: str


# Signals version 1. A decision names the version of its signals, so these never change: a new set gets a new version.
CUTS = (
    Cut("characters", 400, "long text"),
    Cut("characters", 2000, "very long text"),
    Cut("sentences", 6, "many sentences"),
    Cut("questions", 2, "several questions"),
    Cut("digits", 12, "many figures"),
    Cut("code", 1, "code"),
)
MEDIUM_FROM = 1
HARD_FROM = 3

_READERS = tuple((attrgetter(cut.signal), cut.at_least) for cut in CUTS)


def triage(signals: Signals) -> Difficulty:
    """Return ``easy`` without a point, ``medium`` with one or two, ``hard`` from three on."""
    points = 0
    for read, at_least in _READERS:
        if read(signals) >= at_least:
            points += 1
    if points >= HARD_FROM:
        return "hard"
    return "medium" if points >= MEDIUM_FROM else "easy"


def cuts_reached(signals: Signals) -> list[Cut]:
    """Return the cuts that gave a point, in the order in which they are listed."""
    return [cut for cut in CUTS if attrgetter(cut.signal)(signals) >= cut.at_least]
