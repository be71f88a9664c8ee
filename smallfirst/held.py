"""The bundle and the state in use: verified, never exchanged for older ones, kept on disk. Whoever polls tells them.

Ages of what is held: `fresh` (confirmed by the control plane within a few periods), `stale` (the control plane is
silent: requests are served as before), `expired` (past the signed expiry). A newer document that cannot be believed or
understood changes nothing: it is logged once, and the one held goes on.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, Literal, Protocol, TypeVar

import msgspec

from smallfirst import instances, proofs
from smallfirst.documents import FORMAT, KNOWN_CLAUSES, BundlePayload, Document, StateKey, StatePayload, Stops
from smallfirst.engine.compiled import Snapshot, SnapshotError, read_snapshot
from smallfirst.engine.facts import State
from smallfirst.seal import Purpose, SealError, open_envelope

Age = Literal["none", "fresh", "stale", "expired"]
# What the audit log's proof of a bundle comes to now: while it is young, a missing one is awaited.
Proved = proofs.Finding | Literal["awaited"]
# What to do with a bundle that is not proved.
WhenUnproved = Literal["warn", "refuse"]

# Periods without a word from the control plane after which a document is stale.
STALE_PERIODS: Final = 5
# A bundle is sealed and proved within seconds of its issue.
PROVED_WITHIN: Final = timedelta(minutes=1)


class Unreachable(Exception):
    """The control plane did not answer, or not as agreed; `cause` is a short code for logs and health."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Answer(msgspec.Struct, frozen=True):
    """What the control plane said."""

    status: int
    body: bytes
    etag: str | None


class Log(Protocol):
    """Writes one line about what happened: `noun.verb`, with codes, ids and figures."""

    def __call__(self, event: str, *, level: int = logging.INFO, **fields: object) -> None: ...


class FeedError(Exception):
    """A document is not to be used; `cause` is a code, the message says what was found."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Bundle(msgspec.Struct, frozen=True):
    """A bundle in use, and what its proof showed when it came."""

    payload: BundlePayload
    snapshot: Snapshot
    finding: proofs.Finding

    def proved(self, now: datetime) -> Proved:
        """What its proof comes to now."""
        young = now < self.payload.issued_at + PROVED_WITHIN
        return "awaited" if young and self.finding == "missing" else self.finding


class GatewayState(msgspec.Struct, frozen=True):
    """A state in use, its keys by hash."""

    payload: StatePayload
    keys: dict[str, StateKey]


T = TypeVar("T", Bundle, GatewayState)
P = TypeVar("P", BundlePayload, StatePayload)


class Held(Generic[T]):
    """One document: what is in use, how it was last confirmed, and what was last refused in its place."""

    def __init__(self, purpose: Purpose, path: Path, seconds: float, read: Callable[[bytes], T]) -> None:
        self.purpose: Purpose = purpose
        self.path = path
        self.seconds = seconds
        self.read: Callable[[bytes], T] = read
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


class Documents:
    """Both documents; `root_key` is the pinned public key that must stand behind them, seconds are between polls.

    `log_keys` are the audit log's: with one, each bundle's proof is checked, and `when_unproved` says what follows.
    """

    def __init__(
        self,
        *,
        root_key: str,
        directory: Path,
        bundle_seconds: float,
        state_seconds: float,
        log: Log,
        log_keys: Sequence[proofs.LogKey] = (),
        when_unproved: WhenUnproved = "warn",
    ) -> None:
        self._root_key = root_key
        self._log_keys = tuple(log_keys)
        self._when_unproved = when_unproved
        self._told_unproved: tuple[int, str] | None = None
        self._directory = directory
        self._log = log
        self.bundle: Held[Bundle] = Held("bundle", directory / "bundle.json", bundle_seconds, self._read_bundle)
        self.state: Held[GatewayState] = Held("state", directory / "state.json", state_seconds, self._read_state)
        self._stops = Stops()

    def proof(self) -> str:
        """What the proof of the bundle in use comes to now; empty without one."""
        return self.bundle.value.proved(datetime.now(UTC)) if self.bundle.value else ""

    def seen(self) -> dict[str, str]:
        """What a poll says of the bundle in use, for who looks after many programs."""
        held = self.bundle
        refused = held.refusal.cause if held.refusal and held.refusal.cause != "awaited" else ""
        serial = held.value.payload.serial if held.value else None
        return instances.seen(serial=serial, proof=self.proof(), refused=refused)

    def engine_state(self, workflow: str, at: datetime) -> State:
        """What the engine has to know of the state for one request."""
        return State(
            stopped_models=self._stops.models,
            stopped_endpoints=self._stops.endpoints,
            stopped_workflow=self._stops.everything or workflow in self._stops.workflows,
            at=int(at.timestamp() * 1000),
        )

    def start_from_disk(self) -> None:
        """Take what an earlier run kept, verified as if it had just come."""
        self._start(self.bundle)
        self._start(self.state)

    def silent(self, held: Held[T], cause: str) -> bool:
        """Note that the control plane did not answer; logged once. Returns False, as `answered` does for no use."""
        if held.silence != cause:
            self._log("feed.unreachable", level=logging.WARNING, feed=held.purpose, cause=cause)
        held.silence = cause
        return False

    def answered(self, held: Held[T], answer: Answer) -> bool:
        """Take an answer to a poll; say whether it was something usable."""
        if answer.status not in (200, 304):
            return self.silent(held, f"http_{answer.status}")
        if held.silence is not None:
            self._log("feed.reachable", feed=held.purpose)
            held.silence = None
        if answer.status == 200:
            if not self._take(held, answer.body, keep=True):
                # A proof that is on its way is no failure: it is asked for in the usual time.
                return held.refusal is not None and held.refusal.cause == "awaited"
            held.etag = answer.etag
        held.refusal = held.refused_digest = None
        held.confirmed = time.monotonic()
        self._tell_unproved()
        return True

    def _tell_unproved(self) -> None:
        """Log once that the log does not show the bundle in use."""
        if self.bundle.value is None:
            return
        serial, proved = self.bundle.value.payload.serial, self.proof()
        if proved not in ("proved", "unchecked", "awaited") and self._told_unproved != (serial, proved):
            self._log("bundle.unproved", level=logging.WARNING, serial=serial, proof=proved)
            self._told_unproved = (serial, proved)

    def _start(self, held: Held[T]) -> None:
        try:
            raw = held.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self._log("feed.unreadable", level=logging.ERROR, feed=held.purpose, error=type(error).__name__)
            return
        self._take(held, raw, keep=False)

    def _take(self, held: Held[T], raw: bytes, *, keep: bool) -> bool:
        """Verify a document and put it to use; when it is refused, log that once and leave all as it is."""
        digest = sha256(raw).digest()
        try:
            value = held.read(raw)
            if held.value is not None:
                _check_order(held.value, value)
            self._check_environment(value)
        except FeedError as error:
            if held.refused_digest != digest or (held.refusal and held.refusal.cause) != error.cause:
                serial = held.value.payload.serial if held.value else None
                level = logging.INFO if error.cause == "awaited" else logging.ERROR
                self._log(
                    "feed.refused", level=level, feed=held.purpose, cause=error.cause, reason=str(error),
                    kept_serial=serial,
                )  # fmt: skip
            held.refusal, held.refused_digest = error, digest
            return False
        held.refusal = held.refused_digest = None
        # A state is signed anew all the time; only one that says something else is news.
        news = held.value is None or _content(value) != _content(held.value)
        level = logging.INFO if news else logging.DEBUG
        self._log("feed.taken", level=level, feed=held.purpose, serial=value.payload.serial, from_disk=not keep)
        held.value = value
        self._stops = self._stops_in_bundle()
        if keep:
            self._keep(held, value, raw)
        return True

    def _stops_in_bundle(self) -> Stops:
        """The stops without what the bundle does not hold anyway: decisions record all that are told to the engine."""
        if self.state.value is None or self.bundle.value is None:
            return Stops()
        stops, snapshot = self.state.value.payload.stops, self.bundle.value.snapshot
        models = {model.id for model in snapshot.models.values()}
        return msgspec.structs.replace(
            stops,
            models=tuple(name for name in stops.models if name in models),
            endpoints=tuple(name for name in stops.endpoints if name in snapshot.endpoints),
        )

    def _read_bundle(self, raw: bytes) -> Bundle:
        payload = self._open(raw, "bundle", BundlePayload)
        unknown = sorted(set(payload.requires) - KNOWN_CLAUSES)
        if unknown:
            raise FeedError("unknown_clause", f"the bundle needs clauses that are not known here: {unknown}")
        text = payload.snapshot.encode()
        if sha256(text).hexdigest() != payload.digest:
            raise FeedError("wrong_digest", "the snapshot is not the one that the bundle names")
        try:
            bundle = Bundle(payload, read_snapshot(text), self._finding(raw, payload))
        except SnapshotError as error:
            raise FeedError("unknown_clause", str(error)) from error
        proved = bundle.proved(datetime.now(UTC))
        if self._when_unproved == "refuse" and proved != "proved":
            cause = "awaited" if proved == "awaited" else "unproved"
            raise FeedError(cause, f"the audit log does not show that it was issued: {proved}")
        return bundle

    def _finding(self, raw: bytes, payload: BundlePayload) -> proofs.Finding:
        return proofs.check(proofs.attached(raw) if self._log_keys else None, payload, self._log_keys)

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
                raise FeedError("unknown_format", f"format {found}; this program reads format {FORMAT}")
            return msgspec.json.decode(text, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FeedError("malformed", f"not a {purpose}: {error}") from error

    def _check_environment(self, value: Bundle | GatewayState) -> None:
        known = {
            document.payload.environment.id if isinstance(document, Bundle) else document.payload.environment
            for document in (self.bundle.value, self.state.value, value)
            if document is not None
        }
        if len(known) > 1:
            raise FeedError(
                "other_environment",
                "the document is for another environment; give this program an empty state directory to move it",
            )

    def _keep(self, held: Held[T], value: T, raw: bytes) -> None:
        """Write a document whole or not at all, unless another process of this directory kept a newer one."""
        draft = held.path.with_suffix(".new")
        try:
            with self._alone():
                if self._newer_on_disk(held, value):
                    return
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(held.path)
        except OSError as error:
            # In use all the same: an old document on disk is worse than a new one only in memory.
            self._log("feed.not_kept", level=logging.ERROR, feed=held.purpose, error=type(error).__name__)

    def _newer_on_disk(self, held: Held[T], value: T) -> bool:
        try:
            _check_order(held.read(held.path.read_bytes()), value)
        except FileNotFoundError:
            return False
        except FeedError as error:
            # Anything else that stands there is no document to keep.
            return error.cause == "older_serial"
        return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock on the directory's documents."""
        lock = os.open(self._directory / "documents.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _check_order(held: T, value: T) -> None:
    """Raise FeedError for a document that is older than the one held."""
    was, now = held.payload, value.payload
    if now.serial < was.serial:
        raise FeedError("older_serial", f"serial {now.serial} is older than {was.serial}, which is in use")
    if now.serial == was.serial and now.issued_at < was.issued_at:
        raise FeedError("older_serial", f"serial {now.serial} again, but issued earlier")


def _content(document: Bundle | GatewayState) -> object:
    """What a document says, without when it was said."""
    if isinstance(document, Bundle):
        return document.payload.digest
    return document.payload.keys, document.payload.stops
