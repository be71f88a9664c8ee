"""The bundle and the state feed: polled, verified, kept on disk, and never exchanged for older ones.

Ages of what is held, told by /healthz: `fresh` (confirmed by the control plane within a few periods), `stale` (the
control plane is silent: requests are served as before), `expired` (past the signed expiry: served as before and said
so, or refused with 503 where SMALLFIRST_GATEWAY_WHEN_EXPIRED=refuse). A newer document that cannot be believed or
understood changes nothing: it is logged once, told by /healthz, and the one held goes on.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import msgspec

from smallfirst.documents import FORMAT, KNOWN_CLAUSES, BundlePayload, Document, StateKey, StatePayload, Stops
from smallfirst.engine.compiled import Snapshot, SnapshotError, read_snapshot
from smallfirst.engine.facts import State
from smallfirst.gateway.control import ControlPlane, Unreachable
from smallfirst.gateway.logs import log
from smallfirst.seal import Purpose, SealError, open_envelope

Age = Literal["none", "fresh", "stale", "expired"]

# Longest pause between two polls while the control plane does not answer, seconds.
LONGEST_PAUSE: Final = 5.0
# Periods without a word from the control plane after which a document is stale.
STALE_PERIODS: Final = 5


class FeedError(Exception):
    """A document is not to be used; `cause` is a code, the message says what was found."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Bundle(msgspec.Struct, frozen=True):
    """A bundle in use."""

    payload: BundlePayload
    snapshot: Snapshot


class GatewayState(msgspec.Struct, frozen=True):
    """A state in use, its keys by hash."""

    payload: StatePayload
    keys: dict[str, StateKey]


T = TypeVar("T", Bundle, GatewayState)
P = TypeVar("P", BundlePayload, StatePayload)
Read = Callable[[bytes], T]


class Held(Generic[T]):
    """One document: what is in use, how it was last confirmed, and what was last refused in its place."""

    def __init__(self, purpose: Purpose, path: Path, seconds: float) -> None:
        self.purpose: Purpose = purpose
        self.path = path
        self.seconds = seconds
        self.value: T | None = None
        self.etag: str | None = None
        self.confirmed: float | None = None
        self.silence: str | None = None
        self.refusal: FeedError | None = None
        self.refused_digest: bytes | None = None

    def age(self, now: datetime) -> Age:
        """How old the document is, as a word."""
        if self.value is None:
            return "none"
        if now >= self.value.payload.expires_at:
            return "expired"
        limit = self.seconds * STALE_PERIODS + 5
        if self.confirmed is None or time.monotonic() - self.confirmed > limit:
            return "stale"
        return "fresh"


class Feed:
    """Both documents of this gateway."""

    def __init__(
        self, *, control: ControlPlane, root_key: str, directory: Path, bundle_seconds: float, state_seconds: float
    ) -> None:
        self._control = control
        self._root_key = root_key
        self.bundle: Held[Bundle] = Held("bundle", directory / "bundle.json", bundle_seconds)
        self.state: Held[GatewayState] = Held("state", directory / "state.json", state_seconds)
        self._stops = Stops()

    def engine_state(self, workflow: str, at: datetime) -> State:
        """What the engine has to know of the state for one request."""
        return State(
            stopped_models=self._stops.models,
            stopped_endpoints=self._stops.endpoints,
            stopped_workflow=workflow in self._stops.workflows,
            at=int(at.timestamp() * 1000),
        )

    def start_from_disk(self) -> None:
        """Take what an earlier run of this gateway kept, verified as if it had just come."""
        self._start(self.bundle, self._read_bundle)
        self._start(self.state, self._read_state)

    async def follow_bundle(self) -> None:
        """Poll for bundles until cancelled."""
        await self._follow(self.bundle, self._read_bundle)

    async def follow_state(self) -> None:
        """Poll for states until cancelled."""
        await self._follow(self.state, self._read_state)

    async def poll(self) -> None:
        """Ask once for both."""
        await asyncio.gather(
            self._poll(self.bundle, self._read_bundle),
            self._poll(self.state, self._read_state),
        )

    def _start(self, held: Held[T], read: Read[T]) -> None:
        try:
            raw = held.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            log("feed.unreadable", level=logging.ERROR, feed=held.purpose, error=type(error).__name__)
            return
        self._take(held, read, raw, keep=False)

    async def _follow(self, held: Held[T], read: Read[T]) -> None:
        failures = 0
        while True:
            failures = 0 if await self._poll(held, read) else failures + 1
            # Who has nothing yet serves nothing: it keeps asking.
            patience = 1 if held.value is None else 2 ** min(failures, 10)
            pause = max(held.seconds, min(held.seconds * patience, LONGEST_PAUSE))
            # A spread of a fifth keeps many gateways from asking all at once.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)

    async def _poll(self, held: Held[T], read: Read[T]) -> bool:
        """Ask once; say whether the control plane answered with something usable."""
        try:
            answer = await self._control.get(f"/api/v1/{held.purpose}", etag=held.etag)
            if answer.status not in (200, 304):
                raise Unreachable(f"http_{answer.status}")
        except Unreachable as error:
            if held.silence != error.cause:
                log("feed.unreachable", level=logging.WARNING, feed=held.purpose, cause=error.cause)
            held.silence = error.cause
            return False
        if held.silence is not None:
            log("feed.reachable", feed=held.purpose)
            held.silence = None
        if answer.status == 200:
            taken = self._take(held, read, answer.body, keep=True)
            held.etag = answer.etag if taken else None
            if not taken:
                return False
        held.confirmed = time.monotonic()
        return True

    def _take(self, held: Held[T], read: Read[T], raw: bytes, *, keep: bool) -> bool:
        """Verify a document and put it to use; when it is refused, log that once and leave all as it is."""
        digest = sha256(raw).digest()
        try:
            value = read(raw)
            self._check_order(held, value)
            self._check_environment(value)
        except FeedError as error:
            if held.refused_digest != digest or (held.refusal and held.refusal.cause) != error.cause:
                serial = held.value.payload.serial if held.value else None
                log(
                    "feed.refused", level=logging.ERROR, feed=held.purpose, cause=error.cause, reason=str(error),
                    kept_serial=serial,
                )  # fmt: skip
            held.refusal, held.refused_digest = error, digest
            return False
        held.refusal = held.refused_digest = None
        # A state is signed anew all the time; only one that says something else is news.
        news = held.value is None or _content(value) != _content(held.value)
        level = logging.INFO if news else logging.DEBUG
        log("feed.taken", level=level, feed=held.purpose, serial=value.payload.serial, from_disk=not keep)
        held.value = value
        self._stops = self._stops_in_bundle()
        if keep:
            self._keep(held, raw)
        return True

    def _stops_in_bundle(self) -> Stops:
        """The stops without what the bundle does not hold anyway: decisions record all that are told to the engine."""
        if self.state.value is None or self.bundle.value is None:
            return Stops()
        stops, snapshot = self.state.value.payload.stops, self.bundle.value.snapshot
        models = {model.id for model in snapshot.models.values()}
        return Stops(
            models=tuple(name for name in stops.models if name in models),
            endpoints=tuple(name for name in stops.endpoints if name in snapshot.endpoints),
            workflows=stops.workflows,
        )

    def _read_bundle(self, raw: bytes) -> Bundle:
        payload = self._open(raw, "bundle", BundlePayload)
        unknown = sorted(set(payload.requires) - KNOWN_CLAUSES)
        if unknown:
            raise FeedError("unknown_clause", f"the bundle needs clauses that this gateway does not know: {unknown}")
        text = payload.snapshot.encode()
        if sha256(text).hexdigest() != payload.digest:
            raise FeedError("wrong_digest", "the snapshot is not the one that the bundle names")
        try:
            return Bundle(payload, read_snapshot(text))
        except SnapshotError as error:
            raise FeedError("unknown_clause", str(error)) from error

    def _read_state(self, raw: bytes) -> GatewayState:
        payload = self._open(raw, "state", StatePayload)
        return GatewayState(payload, {key.sha256: key for key in payload.keys})

    def _open(self, raw: bytes, purpose: Purpose, kind: type[P]) -> P:
        try:
            text = open_envelope(raw, root_public_key=self._root_key, purpose=purpose, now=datetime.now(UTC))
        except SealError as error:
            raise FeedError(error.cause, str(error)) from error
        try:
            found = msgspec.json.decode(text, type=Document).format
            if found != FORMAT:
                raise FeedError("unknown_format", f"format {found}; this gateway reads format {FORMAT}")
            return msgspec.json.decode(text, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FeedError("malformed", f"not a {purpose}: {error}") from error

    def _check_order(self, held: Held[T], value: T) -> None:
        if held.value is None:
            return
        was, now = held.value.payload, value.payload
        if now.serial < was.serial:
            raise FeedError("older_serial", f"serial {now.serial} is older than {was.serial}, which is in use")
        if now.serial == was.serial and now.issued_at < was.issued_at:
            raise FeedError("older_serial", f"serial {now.serial} again, but issued earlier")

    def _check_environment(self, value: Bundle | GatewayState) -> None:
        known = {
            document.payload.environment.id if isinstance(document, Bundle) else document.payload.environment
            for document in (self.bundle.value, self.state.value, value)
            if document is not None
        }
        if len(known) > 1:
            raise FeedError(
                "other_environment",
                "the document is for another environment; give the gateway an empty state directory to move it",
            )

    def _keep(self, held: Held[T], raw: bytes) -> None:
        draft = held.path.with_suffix(".new")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(held.path)
        except OSError as error:
            # In use all the same: an old document on disk is worse than a new one only in memory.
            log("feed.not_kept", level=logging.ERROR, feed=held.purpose, error=type(error).__name__)


def _content(document: Bundle | GatewayState) -> object:
    """What a document says, without when it was said."""
    if isinstance(document, Bundle):
        return document.payload.digest
    return document.payload.keys, document.payload.stops
