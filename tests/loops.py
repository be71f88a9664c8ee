"""Coroutines that tests play, in a thread of their own: a session's browser keeps a running loop in the main one."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def play(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine comes to."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
