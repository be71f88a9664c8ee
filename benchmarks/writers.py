"""Processes that write to the audit log at once: in each transaction one governed row changed and one entry about it.

The entry is what `governance.audit.record` writes, byte for byte, so that the log can be verified afterwards. Without
Django: what is measured is what the database does of it.
"""

import hashlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg

from benchmarks.measures import Void
from benchmarks.world import new_id
from governance import audit_verifier

# Without `xid`, which the database sets.
COLUMNS = (
    *("id", "at", "actor_kind", "actor_id", "actor_name", "on_behalf_of", "auth_method", "ip", "request_id", "action"),
    *("object_type", "object_id", "object_name", "object_version", "team", "outcome", "summary", "reason"),
    *("before", "after", "body_digest", "schema", "entry_hash"),
)
READY_SECONDS = 60.0
# What one transaction of the chain holds from its entry to its commit, as a trigger of the table would.
CHAIN_LOCK = "SELECT pg_advisory_xact_lock(hashtext('benchmark.chain'))"


@dataclass(frozen=True)
class Turn:
    """What writers do, in words, and where: entries, rows that they change; whether each entry links to the last."""

    title: str
    entries: str
    rows: str
    chained: bool = False


@dataclass(frozen=True)
class Written:
    """What a turn came to: transactions, the seconds they took, and milliseconds of each."""

    count: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.count / self.seconds


def entry(row: str, number: int, previous: str | None = None) -> dict[str, Any]:
    """An entry about a row as it is stored; `previous` goes into the hash where entries are chained."""
    at = datetime.now(UTC)
    said: dict[str, Any] = {
        "id": new_id(),
        "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "actor_kind": "person",
        "actor_id": row,
        "actor_name": "Somebody who writes",
        "on_behalf_of": None,
        "auth_method": "session",
        "ip": "192.0.2.7",
        "request_id": row[:18],
        "action": "accounts.rename_team",
        "object_type": "team",
        "object_id": row,
        "object_name": "Customer care",
        "object_version": None,
        "team": row,
        "outcome": "done",
        "summary": f"Renamed the team to “Customer care {number}”",
        "reason": "",
        "before": {"name": f"Customer care {number - 1}"},
        "after": {"name": f"Customer care {number}"},
        "body_digest": None,
        "schema": 1,
    }
    content = audit_verifier.canonical_bytes(said)
    said["entry_hash"] = hashlib.sha256(content + (previous or "").encode()).hexdigest()
    return (
        said
        | {"at": at, "before": audit_verifier.canonical(said["before"]).decode()}
        | {"after": audit_verifier.canonical(said["after"]).decode()}
    )


def inserting(table: str) -> str:
    """The statement that adds one entry."""
    return f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in COLUMNS)})"  # noqa: S608


def write(url: str, turn: Turn, row: str, seconds: float, ready: Barrier, told: Any) -> None:
    """Write until the time is over; one process. Tells (transactions, latencies), or the error."""
    try:
        with psycopg.connect(url) as server:
            act = _chained if turn.chained else _plain
            changing, adding = f"UPDATE {turn.rows} SET name = %s WHERE id = %s", inserting(turn.entries)  # noqa: S608
            ready.wait(READY_SECONDS)
            begin = time.perf_counter()
            latencies: list[float] = []
            while (began := time.perf_counter()) - begin < seconds:
                number = len(latencies) + 1
                server.execute(changing, [f"Customer care {time.time_ns()}", row])
                act(server, turn, adding, row, number)
                server.commit()
                latencies.append((time.perf_counter() - began) * 1000)
        told.put(latencies)
    except (psycopg.Error, threading.BrokenBarrierError) as error:
        ready.abort()
        told.put(f"{type(error).__name__}: {error}")


def _plain(server: "psycopg.Connection[Any]", _turn: Turn, adding: str, row: str, number: int) -> None:
    server.execute(adding, entry(row, number))


def _chained(server: "psycopg.Connection[Any]", turn: Turn, adding: str, row: str, number: int) -> None:
    server.execute(CHAIN_LOCK)
    last = server.execute(f"SELECT entry_hash FROM {turn.entries} ORDER BY place DESC LIMIT 1").fetchone()  # noqa: S608
    server.execute(adding, entry(row, number, last[0] if last else None))


def run(url: str, turn: Turn, rows: Sequence[str], seconds: float, beside: Callable[[], None] | None = None) -> Written:
    """Let one process for each row write; meanwhile do what is `beside`, again and again. Raises Void."""
    context = multiprocessing.get_context("spawn")
    ready, told = context.Barrier(len(rows) + 1), context.Queue()
    given = (turn, seconds)
    processes = [
        context.Process(target=write, args=(url, given[0], row, given[1], ready, told), daemon=True) for row in rows
    ]
    for process in processes:
        process.start()
    try:
        ready.wait(READY_SECONDS)
    except threading.BrokenBarrierError as error:
        raise Void(f"writers did not begin: {told.get(timeout=READY_SECONDS)}") from error
    with _repeated(beside):
        found = [told.get(timeout=READY_SECONDS + seconds * 2) for _ in processes]
    for process in processes:
        process.join()
    failures = [each for each in found if isinstance(each, str)]
    if failures:
        raise Void(f"{turn.entries}: {failures[0]}")
    latencies = [one for each in found for one in each]
    return Written(len(latencies), seconds, latencies)


@contextmanager
def _repeated(act: Callable[[], None] | None) -> Iterator[None]:
    """Do something in a thread of its own, again and again, while this is entered; raises what it raised."""
    if act is None:
        yield
        return
    ended, raised = threading.Event(), []

    def turns() -> None:
        try:
            while not ended.is_set():
                act()
        except Exception as error:  # noqa: BLE001 (whatever it is ends the measure)
            raised.append(error)

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if raised:
        raise Void(f"what ran beside the writers failed: {raised[0]!r}") from raised[0]
