"""Starts processes, notices when one dies, stops them all, and leaves none behind whatever happens to itself.

Three things see to the last. Each process leads a session of its own, so its children can be killed with it. A guard,
ten lines of shell in a session of its own, holds one end of a pipe: when the supervisor is gone, even by kill -9, the
pipe closes and the guard kills every group it was told of. On Linux the kernel also kills each process whose supervisor
died (PR_SET_PDEATHSIG), which covers the moment before the guard is told, and the guard's own death.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

# Reads "+PGID" and "-PGID"; at the end of input kills what is left, and ends when it is gone. It also holds the state's
# lock until then, so that a new start never meets the old one's remains.
GUARD = """
trap '' HUP INT TERM QUIT PIPE
groups=
while read -r sign group; do
    case $sign in
        +) groups="$groups $group" ;;
        -) kept=; for each in $groups; do [ "$each" = "$group" ] || kept="$kept $each"; done; groups=$kept ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
tries=50
for group in $groups; do
    while kill -s 0 -- "-$group" 2>/dev/null && [ "$tries" -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done
done
"""

PR_SET_PDEATHSIG = 1
POLL = 0.05
TELL_EVERY = 5.0
TAIL_LINES = 20


@dataclass(frozen=True)
class Process:
    """What to run and how to tell that it is ready.

    `ready` gets the pid and is asked until it says yes; `says` is what the log of a ready process holds; with neither
    it counts as ready at once. `once` marks a step that ends by itself, with code 0 when it went well. The end of one
    that is not `vital` is told, and all others go on. It gets `stop_signal` and then `grace` seconds to stop.
    """

    name: str
    title: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[int], bool] | None = None
    says: bytes = b""
    once: bool = False
    vital: bool = True
    stop_signal: str = "SIGTERM"
    grace: float = 15
    directory: Path | None = None


class StoppedError(Exception):
    """Someone asked to stop (Ctrl-C, TERM or HUP) while something was awaited."""


class ProcessDiedError(Exception):
    """A process ended that should not have. The text names it, how it ended, and the end of its log."""


class NotReadyError(Exception):
    """A process did not become ready in time. The text names it and the end of its log."""


@dataclass
class Running:
    """A started process."""

    process: Process
    popen: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The last lines of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"

    def last_line(self) -> str:
        """The last line of its log, short enough for a line of progress."""
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1][:100] if lines else "it has written nothing yet"


class StopSignals:
    """Counts the signals that ask to stop, while it is entered. The main thread's only."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "StopSignals":
        asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._on_signal) for number in asked}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


class Supervisor:
    """Use as a context manager in the main thread: leaving it stops everything that was started, last first."""

    def __init__(
        self,
        logs: Path,
        *,
        signals: StopSignals | None = None,
        hold: Sequence[int] = (),
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """`logs` gets one file per process; `hold` are descriptors (the state's lock) that the guard keeps open.

        `say` hears every few seconds what is still being waited for, and how what is not vital ended.
        """
        self.logs = logs
        self._say = say
        self._signals = signals or StopSignals()
        self._groups: list[list[Running]] = []
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "smallfirst-guard"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=hold,
            cwd="/",
        )

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        if self._guard.stdin:
            self._guard.stdin.close()
        self._guard.wait()

    def start(self, *processes: Process) -> None:
        """Start processes that belong together: they are stopped together, before those started earlier."""
        group: list[Running] = []
        self._groups.append(group)
        for process in processes:
            self._raise_if_stopped()
            group.append(self._spawn(process))

    def _spawn(self, process: Process) -> Running:
        log = self.logs / f"{process.name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            popen = subprocess.Popen(
                process.command,
                env=dict(process.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=process.directory,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
            )
        self._tell_guard("+", popen.pid)
        return Running(process, popen, log)

    def _tell_guard(self, sign: str, pid: int) -> None:
        if self._guard.stdin and self._guard.poll() is None:
            # A guard that dies this instant is noticed by the next check.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._guard.stdin.fileno(), f"{sign} {pid}\n".encode())

    def wait_ready(self, *names: str, timeout: float = 120) -> None:
        """Wait until the named processes are ready (steps: have ended well). Times are in seconds.

        Raises NotReadyError, ProcessDiedError when any process dies meanwhile, StoppedError.
        """
        started = told = time.monotonic()
        waiting = [self._find(name) for name in names]
        while waiting:
            self.check()
            waiting = [running for running in waiting if not _is_ready(running)]
            if not waiting:
                return
            now, late = time.monotonic(), waiting[0]
            if now - started > timeout:
                raise NotReadyError(f"{late.process.title} is not ready after {timeout:.0f} s\n{late.tail()}")
            if now - told > TELL_EVERY:
                told = now
                self._say(f"still waiting for {late.process.title}: {late.last_line()}")
            time.sleep(POLL)

    def run(self, step: Process, timeout: float = 600) -> None:
        """Run a step to its end. Raises ProcessDiedError when it, or any other process, fails."""
        self.start(step)
        self.wait_ready(step.name, timeout=timeout)
        self.forget(step.name)

    def forget(self, name: str) -> None:
        """Take a step that has ended off the list: its number may soon be another process's."""
        for group in self._groups:
            for running in list(group):
                if running.process.name == name:
                    self._end(running)
                    group.remove(running)

    def watch(self) -> None:
        """Wait for a signal to stop, then return; say how each step that still ran ended.

        Raises ProcessDiedError when a process dies first.
        """
        try:
            while True:
                self.check()
                for running in [each for each in self._all() if each.process.once and _is_ready(each)]:
                    self._say(f"{running.process.title}: {running.last_line()}")
                    self.forget(running.process.name)
                time.sleep(4 * POLL)
        except StoppedError:
            return

    def check(self) -> None:
        """Raise StoppedError if a signal came, ProcessDiedError if a vital process died; tell of another, forget it."""
        self._raise_if_stopped()
        if self._guard.poll() is not None:
            raise ProcessDiedError("the guard that cleans up after a crash was killed")
        for running in self._all():
            code = running.popen.poll()
            if code is None or (running.process.once and code == 0):
                continue
            told = f"{running.process.title} {_ended(code)}"
            if running.process.vital:
                raise ProcessDiedError(f"{told}\n{running.tail()}")
            self._say(f"{told}; all else goes on. Its log: {running.log}\n{running.tail()}")
            self.forget(running.process.name)

    def pids(self) -> dict[str, int]:
        """The pid of each process that runs now, by name."""
        return {each.process.name: each.popen.pid for each in self._all() if each.popen.poll() is None}

    def stop(self) -> None:
        """Stop everything, last group first. A further signal while stopping kills at once."""
        seen = self._signals.count
        while self._groups:
            group = self._groups[-1]
            for running in group:
                if running.popen.poll() is None:
                    running.popen.send_signal(signal.Signals[running.process.stop_signal])
            deadline = {running.process.name: time.monotonic() + running.process.grace for running in group}
            waiting = list(group)
            while waiting:
                for running in list(waiting):
                    late = time.monotonic() > deadline[running.process.name] or self._signals.count > seen
                    if running.popen.poll() is not None or late:
                        self._end(running)
                        waiting.remove(running)
                if waiting:
                    time.sleep(POLL)
            self._groups.pop()

    def _end(self, running: Running) -> None:
        """Kill what is left of a process and its children, and forget it."""
        _kill_group(running.popen.pid)
        running.popen.wait()
        self._tell_guard("-", running.popen.pid)

    def _find(self, name: str) -> Running:
        return next(running for running in self._all() if running.process.name == name)

    def _all(self) -> list[Running]:
        """What was started and not forgotten, in the order of its start."""
        return [running for group in self._groups for running in group]

    def _raise_if_stopped(self) -> None:
        if self._signals.count:
            raise StoppedError


def _die_with(parent: int) -> Callable[[], None]:
    """What the child does between fork and exec: ask to be killed when the supervisor dies."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _is_ready(running: Running) -> bool:
    if running.process.once:
        return running.popen.poll() == 0
    if running.process.says and running.process.says not in running.log.read_bytes():
        return False
    return running.process.ready is None or running.process.ready(running.popen.pid)


def _ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
