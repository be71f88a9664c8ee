"""What the machine tells: processor time and memory of a process with its children, and where it may run."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from benchmarks import machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A child that has spun for a while and ended, one that goes on, and the parent says when both are as they should be.
FAMILY = """
import subprocess, sys, time
spin = "import time\\nend = time.process_time() + 0.2\\nwhile time.process_time() < end: pass"
subprocess.run([sys.executable, "-c", spin], check=True)
hold = "import time; held = b'x' * 30_000_000; print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", hold])
time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[int]:
    """The pid of a parent with a child that holds 30 MB; ended children are counted already."""
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
    finally:
        for pid in machine.tree(process.pid):
            subprocess.run(["kill", "-9", str(pid)], check=False)
        process.communicate()


def test_children_count(family: int) -> None:
    """Those that run by memory, those that have ended by the time they took."""
    assert len(machine.tree(family)) == 2
    assert machine.cpu_seconds(family) >= 0.2
    assert machine.memory_megabytes(family) >= 30


def test_a_process_that_has_gone_has_nothing() -> None:
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    pid = int(process.stdout)

    assert machine.cpu_seconds(pid) == 0
    assert machine.memory_megabytes(pid) == 0


def test_a_command_is_kept_to_a_core_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/taskset")
    assert machine.on_core(1, ["a", "b"]) == ["taskset", "--cpu-list", "1", "a", "b"]
    assert machine.on_core(7, ["a"]) == ["a"]

    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0})
    assert machine.on_core(0, ["a"]) == ["a"]


def test_waiting_tells_how_long_and_ends() -> None:
    began = time.perf_counter()
    answers = iter([False, False, True])

    assert 0 < machine.wait(lambda: next(answers), seconds=10, title="it") <= time.perf_counter() - began
    with pytest.raises(TimeoutError, match="it: not within 0 s"):
        machine.wait(lambda: False, seconds=0.01, title="it")
