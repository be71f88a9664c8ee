"""What the SDK has to complain about, and where: an exception for who asked for it, else a line in the log."""

import logging
from typing import Final

_logger: Final = logging.getLogger("smallfirst")


class SmallfirstError(Exception):
    """Base of all that this SDK raises on purpose; ``code`` is what a decision says where nothing is raised."""

    code = "failed"


class InvalidInput(SmallfirstError, ValueError):
    """What the application said cannot be used; ``field`` names it, the message says what to say instead."""

    code = "invalid_input"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class NothingToAsk(SmallfirstError):
    """No model is to be asked now: an answer is kept, a person decides, or the policy refuses; the message says why."""

    code = "nothing_to_ask"


class NotReady(SmallfirstError):
    """Nothing can be decided now: no policies have come yet, or they are past their expiry, or this is closed."""

    code = "not_ready"


class InvalidKey(SmallfirstError):
    """The API key is unknown, was revoked, or its workflow was retired. Nothing is decided or asked with it."""

    code = "invalid_key"


class NotRecorded(SmallfirstError):
    """The disk did not take a report; nothing of it was written. Report again, or do not use the answer."""

    code = "not_recorded"


class StillWaiting(SmallfirstError, TimeoutError):
    """Nobody has decided on the review yet, as far as the control plane could be asked."""

    code = "still_waiting"


class ReviewNotTaken(SmallfirstError):
    """The control plane did not take the review, so nobody will decide on it; asking again opens it anew."""

    code = "review_not_taken"


class ReviewUnknown(SmallfirstError):
    """The control plane answers and knows no such review of this key, though nothing waits here to be delivered."""

    code = "review_unknown"


def log(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one line of this SDK to the logger `smallfirst`: the event, then its fields."""
    if _logger.isEnabledFor(level):
        _logger.log(level, "%s", " ".join([event, *(f"{name}={value}" for name, value in fields.items())]))


def spared(act: str, error: Exception) -> None:
    """Log what an application would have been told by an exception if it had asked for them."""
    level = logging.INFO if isinstance(error, StillWaiting) else logging.ERROR
    code = error.code if isinstance(error, SmallfirstError) else type(error).__name__
    log(f"{act}.failed", level=level, code=code, reason=str(error))
