"""What the machine tells of a process with its children, processor time and memory, and of itself. Linux only."""

import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measures import Void

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
POLL = 0.002


def check() -> None:
    """Raise Void where there is no /proc to measure with."""
    if not (PROC / "self" / "smaps_rollup").exists():
        raise Void("benchmarks read processor time and memory from /proc: run them on Linux")


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def described() -> str:
    """This machine in a line, with how busy it was when asked."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, {gigabytes:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load average {load}"
    )


def tree(pid: int) -> list[int]:
    """A process and all that descend from it, those that still run."""
    children: dict[int, list[int]] = {}
    for directory in PROC.glob("[0-9]*"):
        fields = _stat(int(directory.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(directory.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def parent(pid: int) -> int:
    """The process that started a process which runs. Raises Void when it has gone."""
    fields = _stat(pid)
    if not fields:
        raise Void(f"process {pid} has gone")
    return int(fields[1])


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children, those included that have ended; user and system."""
    ticks = 0
    for each in tree(pid):
        fields = _stat(each)
        ticks += sum(int(value) for value in fields[11:15]) if fields else 0
    return ticks / TICKS


def memory_megabytes(pid: int) -> float:
    """Memory of a process and its children in MB of 1,000,000 bytes; what others share counts in part (PSS)."""
    kilobytes = 0
    for each in tree(pid):
        try:
            text = (PROC / str(each) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kilobytes += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kilobytes * 1024 / 1_000_000


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name, which may hold anything; none for one that has gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """The command kept to one core, where there is taskset and more than one core."""
    if shutil.which("taskset") and core in os.sched_getaffinity(0) and len(os.sched_getaffinity(0)) > 1:
        return ["taskset", "--cpu-list", str(core), *command]
    return list(command)


def free_port() -> int:
    """A TCP port on 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(for_what: Callable[[], bool], *, seconds: float, title: str, poll: float = POLL) -> float:
    """Wait until it says yes and return the seconds that took; asked every ``poll`` seconds. Raises TimeoutError."""
    began = time.perf_counter()
    while not for_what():
        if time.perf_counter() - began > seconds:
            raise TimeoutError(f"{title}: not within {seconds:.0f} s")
        time.sleep(poll)
    return time.perf_counter() - began
