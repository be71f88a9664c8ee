"""Acts on several connections at the same time; for tests that take `live_database`."""

import threading
import time
from collections.abc import Callable

from django.db import connection, transaction

PATIENCE = 30.0
BLOCKED_BY_US = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
)


class _Act(threading.Thread):
    """An act in a thread and on a connection of its own; `result` is what it returned or raised."""

    def __init__(self, act: Callable[[], object], gate: threading.Barrier) -> None:
        super().__init__()
        self.act, self.gate = act, gate
        self.result: object = None

    def run(self) -> None:
        """Wait for the gate, then act."""
        try:
            connection.ensure_connection()
            self.gate.wait(PATIENCE)
            self.result = self.act()
        except Exception as error:  # noqa: BLE001 (what was raised is what the test looks at)
            self.result = error
        finally:
            connection.close()

    def finish(self) -> object:
        """The result, once there is one."""
        self.join(PATIENCE)
        assert not self.is_alive(), "the act never ended"
        return self.result


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Let all acts go together; what each returned or raised."""
    gate = threading.Barrier(len(acts))
    threads = [_Act(act, gate) for act in acts]
    for thread in threads:
        thread.start()
    return [thread.finish() for thread in threads]


def while_held(first: Callable[[], object], second: Callable[[], object]) -> tuple[object, bool]:
    """Let the second act begin before the first one, its work done, commits; its result, and whether it waited."""
    thread = _Act(second, threading.Barrier(1))
    with transaction.atomic():
        first()
        thread.start()
        waited = _waits(thread)
    return thread.finish(), waited


def _waits(thread: threading.Thread) -> bool:
    """Whether the act comes to wait for a lock of this connection; False when it ends without."""
    deadline = time.monotonic() + PATIENCE
    with connection.cursor() as cursor:
        while thread.is_alive():
            cursor.execute(BLOCKED_BY_US)
            (found,) = cursor.fetchone()
            if found:
                return True
            assert time.monotonic() < deadline, "the act neither waits nor ends"
            thread.join(0.02)
    return False
