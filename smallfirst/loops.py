"""Coroutines played where nothing else runs on a loop: in a thread of their own."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def play(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine comes to; raises what it raises. Whoever calls may run a loop of his own, and waits."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
