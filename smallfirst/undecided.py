"""A decision that could not be made."""

import uuid_utils

from smallfirst.deciding import Deciding
from smallfirst.engine import Reason, Refusal
from smallfirst.engine.policy import ANY_STEP
from smallfirst.faults import SmallfirstError
from smallfirst.spool import Kind


class Undecided(Deciding):
    """Stands where nothing could be decided, for applications that asked for no exceptions: it refuses, and says why.

    There is no policy that it would have been decided by, so there is nothing to report.
    """

    __slots__ = ("_why",)

    def __init__(self, error: Exception) -> None:
        """Refuse for what went wrong."""
        self.id = str(uuid_utils.uuid7())
        self.messages = None
        self.reported, self.raises = False, False
        self._told, self._made = [], []
        self._why = Reason(error.code if isinstance(error, SmallfirstError) else SmallfirstError.code, str(error))
        self.plan = self._move = Refusal(
            policy_version=None,
            step=ANY_STEP,
            rules=(),
            triage="easy",
            code="no_model_available",
            clause=self._why.code,
            text=self._why.sentence,
        )

    @property
    def why(self) -> Reason:
        """What went wrong: `not_ready`, `invalid_key`, `invalid_input` or `failed`, and in a sentence."""
        return self._why

    def explain(self) -> list[str]:
        """Return the one sentence there is."""
        return [self._why.sentence]

    def records(self, review: str | None) -> list[tuple[Kind, object]]:
        """Return nothing."""
        return []
