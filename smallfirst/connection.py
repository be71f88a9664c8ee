"""The control plane as a program sees it that decides in process: two threads that follow it and report to it.

A fork copies neither; the child's own begin with its first use. What the parent had spooled stays the parent's.
"""

import http.client
import logging
import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from smallfirst import delivery, instances
from smallfirst.documents import StateKey
from smallfirst.faults import log
from smallfirst.held import Answer, Documents, Held, Unreachable
from smallfirst.records import RefusedRecord
from smallfirst.spool import Kind, Record, Spool

CALL_SECONDS: Final = 10.0
MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024
LONGEST_PAUSE: Final = 10.0
SYNC_SECONDS: Final = 0.05
ADOPT_SECONDS: Final = 30.0


class Line:
    """Calls to the control plane with an API key, each over a connection of its own: forks share none."""

    def __init__(self, url: str, key: str) -> None:
        """Raises ValueError for an address that is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be the control plane’s address, such as https://smallfirst.example")
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._key = key
        self.begin()

    def begin(self) -> None:
        """Go by a name of this process's own."""
        said = instances.headers(program="smallfirst-sdk", name=instances.new_name())
        self._headers = {"Authorization": f"Bearer {self._key}", **said}

    def get(self, path: str, *, etag: str | None = None, seen: Mapping[str, str] | None = None) -> Answer:
        """GET a path of the API. `seen` is what a poll says of the bundle in use. Raises Unreachable."""
        return self._call("GET", path, instances.asking(etag, seen or {}), None)

    def post(self, path: str, body: bytes) -> Answer:
        """POST JSON to a path of the API. Raises Unreachable."""
        return self._call("POST", path, {"Content-Type": "application/json"}, body)

    def _call(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CALL_SECONDS)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=CALL_SECONDS, context=self._tls)
        try:
            connection.request(method, self._path + path, body, {**self._headers, **headers})
            response = connection.getresponse()
            read = response.read(MOST_ANSWER_BYTES + 1)
            if len(read) > MOST_ANSWER_BYTES:
                raise Unreachable("answer_too_long")
            return Answer(response.status, read, response.headers.get("ETag"))
        except TimeoutError:
            raise Unreachable("timeout") from None
        except (http.client.HTTPException, OSError) as error:
            raise Unreachable(type(error).__name__) from None
        finally:
            connection.close()


class _Aside(msgspec.Struct):
    message: str


class Connection:
    """The documents in use, the spool, and the threads behind both, of one process."""

    def __init__(
        self, *, line: Line, key: str, root_key: str, directory: Path, bundle_seconds: float, state_seconds: float
    ) -> None:
        # Another key's documents and reports stay with it: they are no business of this one.
        self._directory = directory / sha256(key.encode()).hexdigest()[:16]
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.line = line
        self.sha256 = sha256(key.encode()).hexdigest()
        self.documents = Documents(
            root_key=root_key,
            directory=self._directory,
            bundle_seconds=bundle_seconds,
            state_seconds=state_seconds,
            log=log,
        )
        self.turned_away = False
        self.silence: str | None = None
        self._begin()
        self.documents.start_from_disk()

    def _begin(self) -> None:
        """What each process has of its own."""
        # Held over all that locks a file, so that no fork copies such a lock: before the other one, where both are.
        self._keeping = threading.RLock()
        self._spooling = threading.Lock()
        self._starting = threading.Lock()
        self._spool: Spool | None = None
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._polled = threading.Event()
        self._written = threading.Event()
        self._dirty = False

    # A fork

    def before_fork(self) -> None:
        """Wait until no thread holds a lock on a file."""
        self._keeping.acquire()
        self._spooling.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._spooling.release()
        self._keeping.release()

    def after_fork_in_child(self) -> None:
        """Let go of what is the parent's; threads and a spool of this process begin with its first use."""
        closed, inherited = self._closing.is_set(), self._spool
        self._begin()
        self.line.begin()
        if inherited is not None:
            inherited.let_go()
        if closed:
            self._closing.set()

    # What the threads do

    def start(self) -> None:
        """Begin to follow and to report, once in each process."""
        if self._threads:
            return
        with self._starting:
            if self._threads or self._closing.is_set():
                return
            made = [
                threading.Thread(target=self._follow, name="smallfirst-follow", daemon=True),
                threading.Thread(target=self._report, name="smallfirst-report", daemon=True),
            ]
            for thread in made:
                thread.start()
            self._threads = made

    def wait_polled(self, seconds: float) -> None:
        """Wait until both documents were asked for once."""
        self._polled.wait(seconds)

    def _follow(self) -> None:
        """Poll for both documents, each in its time, until closing."""
        feeds: list[Held[Any]] = [self.documents.state, self.documents.bundle]
        due = dict.fromkeys(["state", "bundle"], 0.0)
        failures = dict.fromkeys(["state", "bundle"], 0)
        while not self._closing.is_set():
            for held in feeds:
                name = held.purpose
                if time.monotonic() < due[name]:
                    continue
                failures[name] = 0 if _unbroken(partial(self._poll, held)) else failures[name] + 1
                # Who has nothing yet decides nothing: it keeps asking.
                patience = 1 if held.value is None else 2 ** min(failures[name], 10)
                pause = max(held.seconds, min(held.seconds * patience, LONGEST_PAUSE))
                # A spread of a fifth keeps many programs from asking all at once.
                due[name] = time.monotonic() + pause * random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
            self._polled.set()
            self._closing.wait(max(0.01, min(due.values()) - time.monotonic()))

    def _poll(self, held: Held[Any]) -> bool:
        try:
            answer = self.line.get(f"/api/v1/{held.purpose}", etag=held.etag, seen=self.documents.seen())
        except Unreachable as error:
            return self.documents.silent(held, error.cause)
        with self._keeping:
            if answer.status == 401:
                self._turn_away()
            elif answer.status in (200, 304):
                self.turned_away = False
            return self.documents.answered(held, answer)

    def _turn_away(self) -> None:
        """The key was revoked, or is none: decide nothing more, nor after a restart while nobody can be asked."""
        if not self.turned_away:
            log("key.turned_away", level=logging.ERROR)
        self.turned_away = True
        state = self.documents.state
        state.path.unlink(missing_ok=True)
        state.etag = None

    def _report(self) -> None:
        """Bring what is spooled to the control plane, and to the disk itself, until closing."""
        failures, adopted, next_try = 0, -ADOPT_SECONDS, 0.0
        while not self._closing.is_set():
            _unbroken(self._sync)
            now = time.monotonic()
            if now - adopted > ADOPT_SECONDS:
                adopted = now
                _unbroken(self._adopt)
            if now >= next_try:
                try:
                    while self.upload() and not self._closing.is_set():
                        failures = 0
                except Unreachable as error:
                    failures += 1
                    self._silent(error.cause)
                    pause = min(0.25 * 2 ** min(failures, 10), LONGEST_PAUSE)
                    next_try = time.monotonic() + pause * random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
                except Exception as error:  # noqa: BLE001 (reports must go on, whatever it was)
                    log("upload.failed", level=logging.ERROR, error=type(error).__name__, reason=str(error))
                    next_try = time.monotonic() + LONGEST_PAUSE
            pause = next_try - time.monotonic()
            self._written.wait(pause if pause > 0 else ADOPT_SECONDS)
            self._written.clear()
            # Many reports that come at once go together.
            self._closing.wait(SYNC_SECONDS)

    def upload(self) -> bool:
        """Deliver one batch and say whether there was one. Raises Unreachable, and then nothing counts as delivered."""
        with self._keeping:
            batch = self.spool.read()
        if batch is None:
            return False
        sending, answer = delivery.sending(batch, self._refused), None
        while (request := delivery.following(sending, answer)) is not None:
            answer = self.line.post(*request)
        with self._keeping:
            self.spool.done(batch)
        if self.silence is not None:
            log("upload.reachable")
            self.silence = None
        return True

    def _silent(self, cause: str) -> None:
        if self.silence != cause:
            log("upload.unreachable", level=logging.WARNING, cause=cause)
        self.silence = cause

    def _refused(self, record: Record | None, refused: RefusedRecord) -> None:
        if record is None:
            log("upload.refused_unknown", level=logging.ERROR, field=refused.field)
            return
        with self._keeping:
            self.spool.set_aside(record, field=refused.field, message=refused.message)
        log("upload.refused", level=logging.ERROR, kind=record.kind, id=record.id, field=refused.field)

    def _adopt(self) -> None:
        with self._keeping:
            found = self.spool.adopt()
        for left, cut in found:
            log("spool.adopted", process=left.directory.name, bytes=left.backlog(), cut_bytes=cut)

    def _sync(self) -> None:
        if self._dirty:
            self._dirty = False
            self.spool.sync()

    # What the application does

    @property
    def spool(self) -> Spool:
        """This process's spool, made when it is first needed. Raises OSError."""
        made = self._spool
        if made is None:
            with self._keeping:
                made = self._spool = self._spool or Spool(self._directory / "spool")
        return made

    def key(self) -> StateKey | None:
        """This key as the state knows it."""
        state = self.documents.state.value
        return None if state is None or self.turned_away else state.keys.get(self.sha256)

    def write(self, records: list[tuple[Kind, object]]) -> None:
        """Put records on disk, all or none. Raises OSError."""
        spool = self.spool
        with self._spooling:
            spool.write(records)
            self._dirty = True
        self._written.set()

    def refusal(self, review: str) -> str | None:
        """Why the control plane did not take a review of this key, if it did not."""
        try:
            return msgspec.json.decode(self._aside(review).read_bytes(), type=_Aside).message
        except (OSError, msgspec.MsgspecError):
            return None

    def forget_refusal(self, review: str) -> None:
        """Let a review be opened again that was refused."""
        self._aside(review).unlink(missing_ok=True)

    def _aside(self, review: str) -> Path:
        return self._directory / "spool" / "refused" / f"review-{review}.json"

    def backlog(self) -> int:
        """Bytes that the control plane does not have yet: of this process and of dead ones that it took over."""
        with self._keeping:
            return 0 if self._spool is None else self._spool.backlog()

    def refused(self) -> int:
        """How many records of this key were refused and lie aside."""
        return sum(1 for _ in (self._directory / "spool" / "refused").glob("*.json"))

    def flush(self, seconds: float) -> bool:
        """Wait until all is delivered; False when it is not within `seconds`."""
        self._written.set()
        deadline = time.monotonic() + seconds
        while self.backlog():
            if time.monotonic() >= deadline or self._closing.wait(0.02):
                return False
        return True

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be done."""
        return self._closing.is_set()

    def wait_closing(self, seconds: float) -> bool:
        """Wait; True as soon as this is closed."""
        return self._closing.wait(seconds)

    def close(self, seconds: float) -> None:
        """Deliver what there is within `seconds`, stop the threads and let go; what is left waits for the next run."""
        if self._closing.is_set():
            return
        if self._threads:
            self.flush(seconds)
        self._closing.set()
        self._written.set()
        for thread in self._threads:
            thread.join(CALL_SECONDS + 1)
        with self._keeping, self._spooling:
            # A thread that hangs in a call still reads the spool; its files end with the process.
            if self._spool is not None and not any(thread.is_alive() for thread in self._threads):
                self._spool.close()


def _unbroken(act: Callable[[], object]) -> bool:
    """Do something that must be tried again whatever became of it; say whether it went well."""
    try:
        return act() is not False
    except Exception as error:  # noqa: BLE001 (a thread that ends would leave the program deaf)
        log("background.failed", level=logging.ERROR, error=type(error).__name__, reason=str(error))
        return False


def clear_of_forks(connections: Callable[[], list[Connection]]) -> None:
    """Let every connection of this process, at the time of a fork, come through it whole on both sides."""
    held: list[Connection] = []

    def before() -> None:
        held[:] = connections()
        for each in held:
            each.before_fork()

    def parent() -> None:
        for each in reversed(held):
            each.after_fork_in_parent()
        held.clear()

    def child() -> None:
        for each in held:
            each.after_fork_in_child()
        held.clear()

    os.register_at_fork(before=before, after_in_parent=parent, after_in_child=child)
