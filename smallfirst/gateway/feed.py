"""Polls the control plane for the bundle and the state of this gateway; what they are held by is smallfirst.held.

/healthz tells how old they are; past their signed expiry requests are served as before, or refused with 503 where
SMALLFIRST_GATEWAY_WHEN_EXPIRED=refuse.
"""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from smallfirst.gateway.control import ControlPlane
from smallfirst.gateway.logs import log
from smallfirst.held import Bundle, Documents, GatewayState, Held, T, Unreachable, WhenUnproved
from smallfirst.proofs import LogKey

__all__ = ["Bundle", "Feed", "GatewayState", "Held"]

# Longest pause between two polls while the control plane does not answer, seconds.
LONGEST_PAUSE: Final = 5.0


class Feed(Documents):
    """Both documents of this gateway, and the polls for them."""

    def __init__(
        self,
        *,
        control: ControlPlane,
        root_key: str,
        directory: Path,
        bundle_seconds: float,
        state_seconds: float,
        log_keys: Sequence[LogKey] = (),
        when_unproved: WhenUnproved = "warn",
    ) -> None:
        super().__init__(
            root_key=root_key,
            directory=directory,
            bundle_seconds=bundle_seconds,
            state_seconds=state_seconds,
            log=log,
            log_keys=log_keys,
            when_unproved=when_unproved,
        )
        self._control = control

    async def follow_bundle(self) -> None:
        """Poll for bundles until cancelled."""
        await self._follow(self.bundle)

    async def follow_state(self) -> None:
        """Poll for states until cancelled."""
        await self._follow(self.state)

    async def poll(self) -> None:
        """Ask once for both."""
        await asyncio.gather(self._poll(self.bundle), self._poll(self.state))

    async def _follow(self, held: Held[T]) -> None:
        failures = 0
        while True:
            failures = 0 if await self._poll(held) else failures + 1
            # Who has nothing yet serves nothing: it keeps asking.
            patience = 1 if held.value is None else 2 ** min(failures, 10)
            pause = max(held.seconds, min(held.seconds * patience, LONGEST_PAUSE))
            # A spread of a fifth keeps many gateways from asking all at once.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)

    async def _poll(self, held: Held[T]) -> bool:
        """Ask once; say whether the control plane answered with something usable."""
        try:
            answer = await self._control.get(f"/api/v1/{held.purpose}", etag=held.etag, seen=self.seen())
        except Unreachable as error:
            return self.silent(held, error.cause)
        return self.answered(held, answer)
