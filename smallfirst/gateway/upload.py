"""Brings the spool to the control plane: batches in the order written, repeated until they are accepted."""

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import Final

from smallfirst import delivery
from smallfirst.gateway.control import ControlPlane, Unreachable
from smallfirst.gateway.logs import log
from smallfirst.gateway.metrics import Metrics
from smallfirst.gateway.reviews import Reviews
from smallfirst.records import RefusedRecord
from smallfirst.spool import Record, Spool

LONGEST_PAUSE: Final = 10.0
ADOPT_SECONDS: Final = 30.0


class Uploader:
    """Uploads the spool of this process and of dead ones before it."""

    def __init__(self, *, spool: Spool, control: ControlPlane, reviews: Reviews, metrics: Metrics) -> None:
        self._spool = spool
        self._control = control
        self._reviews = reviews
        self._metrics = metrics
        self.silence: str | None = None
        self.last_success: float | None = None

    async def follow(self, seconds: float) -> None:
        """Upload until cancelled; `seconds` is the pause when nothing waits."""
        failures = 0
        adopted_at = time.monotonic()
        while True:
            try:
                waiting = await self.upload_batch()
            except Unreachable as error:
                if self.silence != error.cause:
                    log("upload.unreachable", level=logging.WARNING, cause=error.cause)
                self.silence = error.cause
                failures += 1
                pause = min(seconds * 2 ** min(failures, 10), LONGEST_PAUSE)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)
                continue
            failures = 0
            if self.silence is not None:
                log("upload.reachable")
                self.silence = None
            if not waiting:
                if time.monotonic() - adopted_at > ADOPT_SECONDS:
                    self.adopt()
                    adopted_at = time.monotonic()
                await asyncio.sleep(seconds)

    async def drain(self, seconds: float) -> None:
        """Upload what there is within `seconds`; what is left waits for the next process."""
        try:
            async with asyncio.timeout(seconds):
                while await self.upload_batch():
                    pass
        except (Unreachable, TimeoutError) as error:
            log("upload.left", level=logging.WARNING, error=str(error), bytes=self._spool.backlog())

    def adopt(self) -> None:
        """Take over what dead processes left in the spool."""
        for found, cut in self._spool.adopt():
            log("spool.adopted", process=found.directory.name, bytes=found.backlog(), cut_bytes=cut)

    async def upload_batch(self) -> bool:
        """Upload one batch and say whether there was one; raise Unreachable, and then nothing counts as uploaded."""
        batch = self._spool.read()
        if batch is None:
            return False
        sending, answer = delivery.sending(batch, self._refused), None
        while (request := delivery.following(sending, answer)) is not None:
            answer = await self._control.post(*request)
        self._spool.done(batch)
        self.last_success = time.monotonic()
        if (oldest := batch.records[0].at) is not None:
            self._metrics.upload_lag.add(max(0.0, (datetime.now(UTC) - oldest).total_seconds()))
        return True

    def _refused(self, record: Record | None, refused: RefusedRecord) -> None:
        if record is None:
            log("upload.refused_unknown", level=logging.ERROR, field=refused.field)
            return
        self._spool.set_aside(record, field=refused.field, message=refused.message)
        log("upload.refused", level=logging.ERROR, kind=record.kind, id=record.id, field=refused.field)
        if record.kind == "review":
            # It will never be decided: the same request must be able to open another.
            self._reviews.forget(record.id)
