"""Confirmations: some acts need the password once more, given minutes before, because a screen may stand open."""

from datetime import datetime

from governance.errors import GovernanceError
from governance.models.rollbacks import CONFIRMED_FOR


class NotConfirmed(GovernanceError):
    """The password was given too long ago."""


def require_confirmed(confirmed_at: datetime, now: datetime) -> None:
    """Raise NotConfirmed unless the password was given within the last five minutes."""
    if not now - CONFIRMED_FOR <= confirmed_at <= now:
        raise NotConfirmed("Give your password again: it was longer than five minutes ago.", field="password")
