"""The data plane of Smallfirst: the engine that decides, the signals it reads, the records it writes, the gateway."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smallfirst.client import Smallfirst as Smallfirst


def __getattr__(name: str) -> object:
    """Find the SDK's class when it is asked for: the engine, below the same name, stays free of all that it imports."""
    if name == "Smallfirst":
        return import_module("smallfirst.client").Smallfirst
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
