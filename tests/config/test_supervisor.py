"""The supervisor on real processes: it starts, notices, stops, and leaves nothing behind whoever is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.up.lock import is_alive
from config.up.supervisor import NotReadyError, Process, ProcessDiedError, StoppedError, StopSignals, Supervisor

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
SLEEPER = "import time; print('awake', flush=True); time.sleep(600)"
# A server with a worker of its own, as granian and Celery have. Says both pids.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
print("awake", flush=True)
time.sleep(600)
"""
# Supervises a parent and a stubborn process until it is told to stop.
SUPERVISING = f"""
import os, sys
from pathlib import Path
from config.up.supervisor import Process, StopSignals, Supervisor
logs = Path(sys.argv[1])
with StopSignals() as signals, Supervisor(logs, signals=signals) as supervisor:
    for name, code in (("parent", {PARENT!r}), ("stubborn", {STUBBORN!r})):
        supervisor.start(Process(name, name, [sys.executable, "-c", code], os.environ, says=b"\\n", grace=1))
    supervisor.wait_ready("parent", "stubborn")
    print("ready", flush=True)
    supervisor.watch()
print("stopped", flush=True)
"""


def python(name: str, code: str, **more: Any) -> Process:
    """A process that runs a piece of Python."""
    return Process(name, f"the {name}", [sys.executable, "-c", code], os.environ, **more)


def wait_until(true: Callable[[], bool], seconds: float = 8) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def pids_of_parent(logs: Path) -> tuple[int, int]:
    """What PARENT said: its own pid and its child's."""
    own, child = (logs / "parent.log").read_text().split()
    return int(own), int(child)


@pytest.fixture
def supervising(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that supervises, ready; its logs are in tmp_path."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SUPERVISING, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def guard_of(pid: int) -> int:
    """The guard among the children of a supervisor."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"smallfirst-guard" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("the supervisor has no guard")


def test_starts_and_stops_all(tmp_path: Path) -> None:
    """Plain success: both run, then neither, nor the child of the first."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(python("parent", PARENT, says=b"\n"))
        supervisor.start(python("sleeper", SLEEPER, says=b"awake"))
        supervisor.wait_ready("parent", "sleeper")
        running = {*pids_of_parent(tmp_path), supervisor.pids()["sleeper"]}
        assert len(running) == 3
        assert all(is_alive(pid) for pid in running)
    assert wait_until(lambda: not any(is_alive(pid) for pid in running))


def test_stops_last_first(tmp_path: Path) -> None:
    """What was started later may need what was started earlier until its own end."""
    noted = tmp_path / "order"
    code = f"""
import signal, sys, time
def end(*_):
    time.sleep(float(sys.argv[2]))
    open({str(noted)!r}, "a").write(sys.argv[1])
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("awake", flush=True)
time.sleep(600)
"""
    with Supervisor(tmp_path) as supervisor:
        for name, delay in (("a", "0"), ("b", "0.3")):
            command = [sys.executable, "-c", code, name, delay]
            supervisor.start(Process(name, name, command, os.environ, says=b"awake"))
        supervisor.wait_ready("a", "b")
    assert noted.read_text() == "ba"


def test_runs_a_step_to_its_end(tmp_path: Path) -> None:
    """A step that ends with code 0 went well."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.run(python("step", f"open({str(tmp_path / 'done')!r}, 'w')", once=True))
        assert (tmp_path / "done").exists()
        assert supervisor.pids() == {}


def test_failed_step_shows_its_log(tmp_path: Path) -> None:
    """The error names the step, its code, and what it said last."""
    with Supervisor(tmp_path) as supervisor, pytest.raises(ProcessDiedError) as raised:
        supervisor.run(python("step", "print('no such table'); raise SystemExit(3)", once=True))
    assert str(raised.value) == "the step ended with code 3\n    no such table"


def test_death_is_named_and_takes_the_children(tmp_path: Path) -> None:
    """When a process is killed, the others learn of it and its own children do not outlive it."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(python("sleeper", SLEEPER), python("parent", PARENT, says=b"\n"))
        supervisor.wait_ready("parent")
        own, child = pids_of_parent(tmp_path)
        os.kill(own, signal.SIGKILL)
        with pytest.raises(ProcessDiedError, match="the parent was killed by SIGKILL"):
            supervisor.watch()
        sleeper = supervisor.pids()["sleeper"]
    assert wait_until(lambda: not is_alive(child))
    assert wait_until(lambda: not is_alive(sleeper))


def test_late_process_is_named(tmp_path: Path) -> None:
    """A process that never becomes ready ends the waiting."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(python("sleeper", SLEEPER, ready=lambda _pid: False))
        with pytest.raises(NotReadyError, match="the sleeper is not ready after 0 s"):
            supervisor.wait_ready("sleeper", timeout=0.3)


def test_missing_program_leaves_nothing(tmp_path: Path) -> None:
    """A command that cannot be started raises, and what runs already is stopped."""
    with Supervisor(tmp_path) as supervisor:
        with pytest.raises(FileNotFoundError):
            supervisor.start(python("sleeper", SLEEPER), Process("gone", "gone", ["/nonexistent"], os.environ))
        sleeper = supervisor.pids()["sleeper"]
    assert wait_until(lambda: not is_alive(sleeper))


def test_signal_ends_the_waiting(tmp_path: Path) -> None:
    """Ctrl-C while something is awaited stops it, and the former handlers are back afterwards."""
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals, Supervisor(tmp_path, signals=signals) as supervisor:
        supervisor.start(python("sleeper", SLEEPER, ready=lambda _pid: False))
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(StoppedError):
            supervisor.wait_ready("sleeper")
        sleeper = supervisor.pids()["sleeper"]
    assert wait_until(lambda: not is_alive(sleeper))
    assert signal.getsignal(signal.SIGINT) is before


def test_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    """One generation back, for whoever looks after a restart."""
    for text in ("first", "second"):
        with Supervisor(tmp_path) as supervisor:
            supervisor.run(python("step", f"print({text!r})", once=True))
    assert (tmp_path / "step.log").read_text() == "second\n"
    assert (tmp_path / "step.log.1").read_text() == "first\n"


def test_a_step_that_runs_beside_the_others_is_told_of_when_it_ends(tmp_path: Path) -> None:
    """Once, with the last line of its log; nothing else stops for it."""
    heard: list[str] = []

    def hear(said: str) -> None:
        heard.append(said)
        os.kill(os.getpid(), signal.SIGINT)

    with StopSignals() as signals, Supervisor(tmp_path, signals=signals, say=hear) as supervisor:
        supervisor.start(python("sleeper", SLEEPER), python("step", "print('begun'); print('two rows')", once=True))
        supervisor.watch()
        assert set(supervisor.pids()) == {"sleeper"}
    assert heard == ["the step: two rows"]


def test_a_step_that_fails_beside_the_others_ends_the_watch(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(python("step", "raise SystemExit('no room')", once=True))
        with pytest.raises(ProcessDiedError, match=r"the step ended with code 1\n.*no room"):
            supervisor.watch()


def test_what_is_not_vital_ends_with_a_word_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Whether it fails or is killed: told once, with its log's end and place, then forgotten."""
    heard: list[str] = []

    def hear(said: str) -> None:
        heard.append(said)
        if len(heard) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with StopSignals() as signals, Supervisor(tmp_path, signals=signals, say=hear) as supervisor:
        supervisor.start(
            python("sleeper", SLEEPER),
            python("filling", "print('begun'); raise SystemExit('no room')", once=True, vital=False),
            python("asking", killed, vital=False),
        )
        supervisor.watch()
        assert set(supervisor.pids()) == {"sleeper"}
        signals.count = 0
        supervisor.check()
    by_name = {said.split()[1]: said for said in heard}
    assert len(heard) == len(by_name) == 2
    log = tmp_path / "filling.log"
    assert by_name["filling"].startswith(f"the filling ended with code 1; all else goes on. Its log: {log}\n    ")
    assert {line.strip() for line in by_name["filling"].splitlines()[1:]} == {"begun", "no room"}
    assert "was killed by SIGKILL" in by_name["asking"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signal_ends_everything(
    supervising: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """Asked to stop, it stops its processes, the stubborn one by force, and ends with code 0."""
    running = pids_of_parent(tmp_path)
    supervising.send_signal(number)
    assert supervising.wait(timeout=10) == 0
    assert wait_until(lambda: not any(is_alive(pid) for pid in running))
    assert (tmp_path / "stubborn.log").read_text() == "awake\nno\n"


def test_killed_supervisor_leaves_nothing(supervising: subprocess.Popen[str], tmp_path: Path) -> None:
    """kill -9 of the supervisor: its processes, their children and the guard are gone."""
    running = {*pids_of_parent(tmp_path), guard_of(supervising.pid)}
    supervising.kill()
    supervising.wait()
    assert wait_until(lambda: not any(is_alive(pid) for pid in running))


def test_killed_guard_stops_everything(supervising: subprocess.Popen[str], tmp_path: Path) -> None:
    """Without its guard the supervisor does not go on: it could leave something behind."""
    running = pids_of_parent(tmp_path)
    os.kill(guard_of(supervising.pid), signal.SIGKILL)
    assert supervising.wait(timeout=10) == 1
    assert wait_until(lambda: not any(is_alive(pid) for pid in running))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process when its parent dies")
def test_killed_guard_and_supervisor_leave_no_process(supervising: subprocess.Popen[str], tmp_path: Path) -> None:
    """Both at once: the kernel ends each process, though it cannot know of their children."""
    own, child = pids_of_parent(tmp_path)
    os.kill(supervising.pid, signal.SIGSTOP)
    os.kill(guard_of(supervising.pid), signal.SIGKILL)
    supervising.kill()
    supervising.wait()
    assert wait_until(lambda: not is_alive(own))
    os.kill(child, signal.SIGKILL)
