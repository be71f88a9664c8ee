"""One `up` per state directory."""

import fcntl
import json
import os
import time
from pathlib import Path

# The guard of a killed `up` needs this long at most to end what it left.
CLEANING = 8.0


class AlreadyRunningError(Exception):
    """Another `up` runs on this state; the text names its pid and address."""


class StateLock:
    """Holds STATE/up.lock, which says who runs and where. Held until the last process that inherited it ends."""

    def __init__(self, state: Path, url: str) -> None:
        """Take the lock. Raises AlreadyRunningError; waits for the guard of one that was killed."""
        self._file = (state / "up.lock").open("a+")
        deadline = time.monotonic() + CLEANING
        while not self._taken():
            holder = self._holder()
            if is_alive(holder.get("pid")) or time.monotonic() > deadline:
                raise AlreadyRunningError(
                    f"Smallfirst already runs on {state}: process {holder.get('pid', 'unknown')}, "
                    f"{holder.get('url', 'still starting')}. Stop it with Ctrl-C there, or choose another --state."
                )
            time.sleep(0.1)
        self._write({"pid": os.getpid(), "url": url})

    def fileno(self) -> int:
        """The descriptor, for processes that shall go on holding the lock."""
        return self._file.fileno()

    def release(self) -> None:
        """Let go, and forget who ran."""
        self._write({})
        self._file.close()

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> dict[str, object]:
        self._file.seek(0)
        try:
            said = json.loads(self._file.read() or "{}")
        except json.JSONDecodeError:
            # Read while it was being written.
            return {}
        return said if isinstance(said, dict) else {}

    def _write(self, holder: dict[str, object]) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(holder))
        self._file.flush()


def is_alive(pid: object) -> bool:
    """Whether a process runs; one that was killed and not yet collected by its parent does not."""
    if not isinstance(pid, int):
        return False
    if os.uname().sysname == "Linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
