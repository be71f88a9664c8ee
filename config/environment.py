"""Switches that the environment sets, read in one way by the settings and by `up`."""

import os


class NotASwitchError(ValueError):
    """A variable says neither yes nor no; the text names it and says what to write."""


def flag(name: str, *, default: bool = False) -> bool:
    """A switch, "1" or "0"; empty counts as not set.

    Raises NotASwitchError for anything else: a typo must decide nothing, least of all about security.
    """
    said = os.environ.get(name) or ("1" if default else "0")
    if said not in ("0", "1"):
        raise NotASwitchError(f'{name} is "{said}"; write 1 for yes or 0 for no')
    return said == "1"
