"""Reviews of this gateway's requests: which are waiting for a person, and what the control plane says came of them.

    reviews/<id>.json   ids and times of one review; what was asked and what was answered is never kept here

A review ends only in the control plane. Until that has said so, it is open here, whatever the clock says.
"""

import asyncio
import logging
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from smallfirst.gateway.control import ControlPlane, Unreachable
from smallfirst.gateway.logs import log
from smallfirst.gateway.wire import encode, invalid
from smallfirst.records import WAITING, Opened, Outcome, Standing, Status

# Asking about one review: never more often, and never waiting longer, seconds.
ASK_AGAIN: Final = 0.5
ASK_SECONDS: Final = 2.0
ASK_AT_ONCE: Final = 50
# How long an ended review is remembered, so that the same request still gets its outcome.
REMEMBERED: Final = timedelta(days=7)

_canonical = msgspec.json.Encoder(order="sorted")


class Case:
    """One review of this gateway and what is known of it."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.status: Status = "open"
        self.outcome: Outcome | None = None
        self.delivered = False
        self.asked = 0.0
        self.lock = asyncio.Lock()

    @property
    def ended(self) -> bool:
        """Whether the control plane has said how it ended."""
        return self.status not in WAITING


class Reviews:
    """All reviews that this gateway opened and still remembers, on disk and in memory."""

    def __init__(self, directory: Path, *, control: ControlPlane) -> None:
        self._directory = directory
        self._control = control
        self._cases: dict[str, Case] = {}
        self._by_key: Counter[str] = Counter()

    def start_from_disk(self) -> None:
        """Read what an earlier run of this gateway opened."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.glob("*.json"):
            try:
                self._remember(msgspec.json.decode(path.read_bytes(), type=Opened))
            except (OSError, msgspec.MsgspecError) as error:
                log("review.unreadable", level=logging.ERROR, file=path.name, error=type(error).__name__)

    def __len__(self) -> int:
        return sum(1 for case in self._cases.values() if not case.ended)

    def any_of(self, key: str) -> bool:
        """Whether this key has reviews at all, so that others need no digest."""
        return bool(self._by_key[key])

    def get(self, review: str) -> Case | None:
        """The review of this id, if this gateway opened it."""
        return self._cases.get(review)

    def open(self, opened: Opened) -> Case:
        """Remember a review before anybody is told of it; raise OSError when the disk does not take it."""
        path = self._directory / f"{opened.id}.json"
        draft = path.with_suffix(".new")
        draft.write_bytes(encode(opened))
        draft.replace(path)
        return self._remember(opened)

    def forget(self, review: str) -> None:
        """Drop a review, on disk and in memory."""
        case = self._cases.pop(review, None)
        if case is not None:
            self._by_key[case.opened.key] -= 1
        (self._directory / f"{review}.json").unlink(missing_ok=True)

    async def find(self, review: str) -> Case | None:
        """The review of this id as it stands, also when another gateway opened it; None when nobody knows it."""
        case = self._cases.get(review)
        if case is not None:
            await self.refresh(case)
            return case
        standing = await self._ask(review)
        if standing is None:
            return None
        case = self._cases.get(review) or self._remember(standing)
        case.status, case.outcome = standing.status, standing.outcome
        return case

    async def refresh(self, case: Case) -> None:
        """Ask the control plane how a review stands; what was known stays when it does not answer."""
        async with case.lock:
            if case.ended or time.monotonic() - case.asked < ASK_AGAIN:
                return
            case.asked = time.monotonic()
            standing = await self._ask(case.opened.id)
            if standing is not None:
                case.status, case.outcome = standing.status, standing.outcome
                if standing.status not in WAITING:
                    log("review.ended", review=case.opened.id, status=standing.status)

    async def follow(self, seconds: float) -> None:
        """Ask about open reviews in turn until cancelled, so that outcomes are here before they are asked for."""
        while True:
            waiting = sorted((case for case in self._cases.values() if not case.ended), key=lambda case: case.asked)
            for case in waiting[:ASK_AT_ONCE]:
                await self.refresh(case)
            self._forget_old(datetime.now(UTC))
            await asyncio.sleep(seconds)

    async def _ask(self, review: str) -> Standing | None:
        """How a review stands; None while the control plane does not know it, or does not answer as agreed."""
        try:
            answer = await self._control.get(f"/api/v1/reviews/{review}", seconds=ASK_SECONDS)
            if answer.status == 404:
                return None  # unknown to all, or still in the spool
            if answer.status != 200:
                raise Unreachable(f"http_{answer.status}")
            standing = msgspec.json.decode(answer.body, type=Standing)
        except Unreachable as error:
            log("review.unreachable", level=logging.DEBUG, review=review, cause=error.cause)
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            log("review.unreadable_answer", level=logging.ERROR, review=review)
            return None
        if standing.status in ("answered", "expired") and standing.outcome is None:
            log("review.without_outcome", level=logging.ERROR, review=review)
            return None
        return standing

    def _forget_old(self, now: datetime) -> None:
        old = [name for name, case in self._cases.items() if case.opened.expires_at + REMEMBERED < now]
        for name in old:
            self.forget(name)

    def _remember(self, opened: Opened) -> Case:
        case = self._cases[opened.id] = Case(opened)
        self._by_key[opened.key] += 1
        return case


def request_digest(raw: bytes) -> bytes:
    """SHA-256 of a request in canonical JSON, without what may differ when the same request is sent again."""
    try:
        body: dict[str, Any] = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        raise invalid("A number in the body is out of range.") from None
    for name in ("stream", "stream_options", "user"):
        body.pop(name, None)
    metadata = body.get("metadata")
    if metadata:
        body["metadata"] = {name: value for name, value in metadata.items() if name != "run"}
    return sha256(_canonical.encode(body)).digest()
