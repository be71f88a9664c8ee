"""Keep what happened on disk until the control plane has it: append-only segments, one directory for each process.

    spool/lock                    held for a moment while a directory is made, adopted or removed
    spool/<process>/lock          held for life by the process that writes here, so a dead one can be told
    spool/<process>/<n>.log       records: u32 length, u32 crc32, JSON {"kind": …, "data": …}
    spool/<process>/cursor        "<n> <offset>": everything before it has been accepted by the control plane
    spool/refused/<kind>-<id>.json   what the control plane refused, with its reason

A record is in the kernel's hands when `write` returns, so a killed process loses nothing; `keep_synced` follows with an
fsync for all writers at once, so a crashed machine loses at most the last moments.
"""

import asyncio
import errno
import fcntl
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import uuid_utils

Kind = Literal["decision", "usage", "review", "delivered"]

SEGMENT_BYTES: Final = 16 * 1024 * 1024
RECORD_BYTES: Final = 64 * 1024 * 1024
SYNC_SECONDS: Final = 0.05
# Enough for most first records.
FIRST_BYTES: Final = 64 * 1024

_HEADER: Final = struct.Struct(">II")
_PREFIX: Final = {
    kind: b'{"kind":"' + kind.encode() + b'","data":' for kind in ("decision", "usage", "review", "delivered")
}


class Record(msgspec.Struct, frozen=True):
    """One thing that happened, as it lies in the spool; `data` is its JSON, untouched."""

    kind: Kind
    data: msgspec.Raw

    @property
    def id(self) -> str:
        """The record's own id, or of a delivery the id of its review."""
        if self.kind == "delivered":
            return msgspec.json.decode(self.data, type=_OfReview).review
        return msgspec.json.decode(self.data, type=_Own).id

    @property
    def at(self) -> datetime | None:
        """When it happened, by its own word; None where that cannot be read, which must not keep it from its way."""
        try:
            times = msgspec.json.decode(self.data, type=_Times)
        except msgspec.MsgspecError:
            return None
        return times.occurred_at or times.opened_at or times.at


class _Own(msgspec.Struct):
    id: str


class _OfReview(msgspec.Struct):
    review: str


class _Times(msgspec.Struct):
    """Of usage, a review, or a decision and a delivery."""

    occurred_at: datetime | None = None
    opened_at: datetime | None = None
    at: datetime | None = None


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in one process's log: a segment's number and an offset in bytes."""

    segment: int
    offset: int


class Batch(msgspec.Struct, frozen=True):
    """Records to upload, in the order they were written, and the place behind the last."""

    log: "Log"
    records: tuple[Record, ...]
    end: Position


_record_decoder = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()


def frame(kind: Kind, data: object) -> bytes:
    """Return one record as it is written; `data` is anything msgspec turns into a JSON object."""
    body = _PREFIX[kind] + _encoder.encode(data) + b"}"
    if len(body) > RECORD_BYTES:
        raise OSError(errno.EFBIG, f"a {kind} record of {len(body)} bytes is over the limit of {RECORD_BYTES}")
    return _HEADER.pack(len(body), zlib.crc32(body)) + body


def frames(data: bytes) -> Iterator[tuple[Record, int]]:
    """Yield the records in `data`, each with the offset behind it; stop at the first damaged one."""
    view = memoryview(data)
    offset = 0
    while offset + _HEADER.size <= len(view):
        length, checksum = _HEADER.unpack_from(view, offset)
        end = offset + _HEADER.size + length
        # A length of zero is what a crashed file system leaves behind: zeros, whose checksum is right.
        if not 0 < length <= RECORD_BYTES or end > len(view):
            return
        body = bytes(view[offset + _HEADER.size : end])
        if zlib.crc32(body) != checksum:
            return
        try:
            record = _record_decoder.decode(body)
        except msgspec.MsgspecError:
            return
        yield record, end
        offset = end


class Log:
    """The segments of one process, and how far the control plane has them. Its directory's lock is held."""

    def __init__(self, directory: Path, lock: int) -> None:
        self.directory = directory
        self.lock = lock
        self.cursor = self._read_cursor()

    def segments(self) -> list[int]:
        """Numbers of the segments on disk, oldest first."""
        return sorted(int(path.stem) for path in self.directory.glob("*.log") if path.stem.isdigit())

    def segment(self, number: int) -> Path:
        """The file of one segment."""
        return self.directory / f"{number}.log"

    def read(self, *, records: int, size: int) -> Batch | None:
        """The next records to upload: at most `records`, and no more once `size` bytes are reached; None at the end."""
        found: list[Record] = []
        taken = 0
        end = self.cursor
        for number in self.segments():
            if number < end.segment:
                continue
            start = end.offset if number == end.segment else 0
            end = Position(number, start)
            for record, offset in self._frames(number, start, size):
                found.append(record)
                taken += len(record.data)
                end = Position(number, offset)
                if len(found) >= records or taken >= size:
                    return Batch(self, tuple(found), end)
        if not found:
            self.cursor = max(self.cursor, end)
            return None
        return Batch(self, tuple(found), end)

    def _frames(self, number: int, start: int, size: int) -> Iterator[tuple[Record, int]]:
        """The records of a segment from `start` on, read in pieces of `size` bytes or of one record that is larger."""
        with self.segment(number).open("rb") as file:
            while True:
                file.seek(start)
                data = file.read(size)
                end = 0
                for record, end in frames(data):
                    yield record, start + end
                if not end and len(data) == size:
                    for record, end in frames(data + file.read(_HEADER.size + RECORD_BYTES)):
                        yield record, start + end
                        break
                if not end:
                    return
                start += end

    def advance(self, to: Position) -> None:
        """Note that all before `to` is accepted, and remove the segments that lie wholly before it."""
        self.cursor = to
        draft = self.directory / "cursor.new"
        draft.write_text(f"{to.segment} {to.offset}\n", encoding="ascii")
        draft.replace(self.directory / "cursor")
        for number in self.segments():
            if number < to.segment:
                self.segment(number).unlink(missing_ok=True)

    def backlog(self) -> int:
        """Bytes on disk that the control plane does not have yet."""
        total = 0
        for number in self.segments():
            size = self.segment(number).stat().st_size
            if number > self.cursor.segment:
                total += size
            elif number == self.cursor.segment:
                total += max(0, size - self.cursor.offset)
        return total

    def cut_torn_tail(self) -> int:
        """Cut what a dying process or machine left half-written at the end of the last segment; return its bytes."""
        numbers = self.segments()
        if not numbers:
            return 0
        path = self.segment(numbers[-1])
        data = path.read_bytes()
        end = max((end for _, end in frames(data)), default=0)
        if end < len(data):
            os.truncate(path, end)
        return len(data) - end

    def _read_cursor(self) -> Position:
        try:
            segment, offset = (self.directory / "cursor").read_text(encoding="ascii").split()
            return Position(int(segment), int(offset))
        except (FileNotFoundError, ValueError):
            # A lost cursor only sends again what the control plane knows: it accepts an id once.
            return Position(0, 0)


class Spool:
    """The spool of this process, and what dead processes left in the same directory."""

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory = directory
        self.segment_bytes = segment_bytes
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._directory_lock():
            own = directory / str(uuid_utils.uuid7())
            own.mkdir(mode=0o700)
            lock = os.open(own / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.own = Log(own, lock)
        self.adopted: list[Log] = []
        self._number = 1
        self._file = self._open(1)
        self._size = 0
        self._retired: list[int] = []
        self._dirty = asyncio.Event()

    def write(self, records: Iterable[tuple[Kind, object]]) -> None:
        """Append all `records` or none, in one system call; raise OSError when the disk does not take them."""
        data = b"".join([frame(kind, record) for kind, record in records])
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, f"the spool took {written} of {len(data)} bytes")
        self._size += written
        if self._size >= self.segment_bytes:
            self._retired.append(self._file)
            self._number += 1
            self._file = self._open(self._number)
            self._size = 0
        self._dirty.set()

    def read(self, *, records: int = 500, size: int = 1024 * 1024) -> Batch | None:
        """The next batch to upload, leftovers of dead processes first; None when nothing waits."""
        for log in [*self.adopted, self.own]:
            batch = log.read(records=records, size=size)
            if batch is not None:
                return batch
        return None

    def done(self, batch: Batch) -> None:
        """Note that the control plane has the batch; a leftover that is finished is removed."""
        batch.log.advance(batch.end)
        if batch.log in self.adopted and batch.log.read(records=1, size=1) is None:
            self.adopted.remove(batch.log)
            with self._directory_lock():
                self._remove(batch.log)

    def adopt(self) -> list[tuple[Log, int]]:
        """Take over the directories of dead processes; return those that hold records, with the torn bytes cut."""
        found = []
        with self._directory_lock():
            for directory in sorted(self.directory.iterdir()):
                if not (directory / "lock").is_file() or self._holds(directory):
                    continue
                lock = os.open(directory / "lock", os.O_RDWR)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                    continue
                log = Log(directory, lock)
                cut = log.cut_torn_tail()
                if log.read(records=1, size=1) is None:
                    self._remove(log)
                else:
                    self.adopted.append(log)
                    found.append((log, cut))
        return found

    def set_aside(self, record: Record, *, field: str, message: str) -> None:
        """Keep a record that the control plane refused, with its reason, out of the way of the others."""
        refused = self.directory / "refused"
        refused.mkdir(mode=0o700, exist_ok=True)
        name = re.sub(r"[^0-9A-Za-z-]", "_", f"{record.kind}-{record.id}")
        draft = refused / f"{name}.new"
        draft.write_bytes(
            _encoder.encode({"kind": record.kind, "field": field, "message": message, "data": record.data})
        )
        draft.replace(refused / f"{name}.json")

    def refused(self) -> int:
        """How many records lie aside."""
        return sum(1 for _ in (self.directory / "refused").glob("*.json"))

    def backlog(self) -> int:
        """Bytes that the control plane does not have yet, leftovers included."""
        return sum(log.backlog() for log in [*self.adopted, self.own])

    def oldest(self) -> datetime | None:
        """When the first record happened that the control plane does not have yet; None when none waits."""
        firsts = [log.read(records=1, size=FIRST_BYTES) for log in [*self.adopted, self.own]]
        return min((at for first in firsts if first is not None and (at := first.records[0].at)), default=None)

    def sync(self) -> None:
        """Bring all that is written to the disk itself. Safe in another thread than the writer's."""
        retired, self._retired = self._retired, []
        for file in retired:
            os.fsync(file)
            os.close(file)
        os.fsync(self._file)

    async def keep_synced(self, seconds: float = SYNC_SECONDS) -> None:
        """Sync soon after a write, at most once each `seconds`; runs until cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await asyncio.to_thread(self.sync)
            await asyncio.sleep(seconds)

    def close(self) -> None:
        """Sync and let go. What the control plane has whole is removed; the next process adopts the rest."""
        self.sync()
        os.close(self._file)
        with self._directory_lock():
            for log in [*self.adopted, self.own]:
                if log.read(records=1, size=1) is None:
                    self._remove(log)
                else:
                    os.close(log.lock)

    def let_go(self) -> None:
        """Close the copies that a fork made of another process's files; that one writes on, and holds its locks."""
        for file in (self._file, *self._retired, *(log.lock for log in [*self.adopted, self.own])):
            os.close(file)

    def _open(self, number: int) -> int:
        return os.open(self.own.segment(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def _holds(self, directory: Path) -> bool:
        return any(log.directory == directory for log in [*self.adopted, self.own])

    def _remove(self, log: Log) -> None:
        for path in log.directory.iterdir():
            path.unlink()
        log.directory.rmdir()
        os.close(log.lock)

    @contextmanager
    def _directory_lock(self) -> Iterator[None]:
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
