"""`up` as a user meets it: the real processes, from the start to each way of ending, on one state directory."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from config.up.lock import is_alive

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for leftovers in /proc"),
]

ROOT = Path(__file__).parents[2]
BLOCK_ENDS = "Ctrl-C stops everything."


class Up:
    """One run of `up`, its output as it comes."""

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.said = ""
        # As a shell would start it, so nothing of the tests' own services.
        ours = ("SMALLFIRST_", "DATABASE_URL", "MIGRATION_DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {"SMALLFIRST_STATE": str(state), "SMALLFIRST_DEMO": "0", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "config.up", *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def until_ready(self) -> None:
        """Read what it prints up to the end of its block; fails when it ends before."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line
            if BLOCK_ENDS in line:
                return
        raise AssertionError(f"ended early:\n{self.said}{_all(self.process.stderr)}")

    def ended(self, seconds: float = 60) -> tuple[int, str]:
        """Its code and all it printed since."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out + err

    def processes(self) -> dict[int, str]:
        """Every process of this state: pid to command line.

        The environment marks them. The servers write their titles over it, but work inside the state directory.
        """
        mark = f"SMALLFIRST_STATE={self.state}".encode()
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                marked = mark in (directory / "environ").read_bytes().split(b"\0")
                inside = (directory / "cwd").readlink().is_relative_to(self.state)
                if (marked or inside) and is_alive(int(directory.name)):
                    found[int(directory.name)] = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    def pid_of(self, part: str) -> int:
        """The oldest process with this in its command line."""
        return min(pid for pid, command in self.processes().items() if part in command and pid != self.process.pid)


def _all(stream: IO[str] | None) -> str:
    return stream.read() if stream else ""


def status(port: int, path: str) -> int:
    """The status of a GET on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().status


def serves_again(port: int, path: str, seconds: float = 15) -> int | None:
    """The status of a GET once it gets one, within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return status(port, path)
        time.sleep(0.1)
    return None


def wait_until_nothing(up: Up, seconds: float = 6) -> dict[int, str]:
    """What is left after that time at most."""
    deadline = time.monotonic() + seconds
    while (left := up.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a space and a letter beyond ASCII; the runs follow each other on it."""
    return tmp_path_factory.mktemp("up") / "mein Zustand ü"


@pytest.fixture
def ports(free_port: Callable[[], int]) -> tuple[int, int]:
    """For pages and gateway."""
    return free_port(), free_port()


@pytest.fixture
def up(state: Path, ports: tuple[int, int]) -> Iterator[Up]:
    """A run that is ready, and gone at the end whatever the test did."""
    run = Up(state, "--port", str(ports[0]), "--gateway-port", str(ports[1]))
    try:
        run.until_ready()
        yield run
    finally:
        run.process.kill()
        run.process.communicate()
        wait_until_nothing(run)


def test_serves_until_ctrl_c(up: Up, ports: tuple[int, int], state: Path) -> None:
    """The block names both addresses, both answer, a second run is told so, and Ctrl-C leaves nothing."""
    assert f"http://127.0.0.1:{ports[0]}\n" in up.said
    assert f"http://127.0.0.1:{ports[1]}/v1\n" in up.said
    assert (status(ports[0], "/healthz"), status(ports[0], "/readyz"), status(ports[1], "/healthz")) == (200, 200, 200)
    assert status(ports[0], "/sign-in/") == 200

    # An installation of one's own: somebody to sign in as, and a gateway for development.
    email, password = (state / "first-person").read_text().split()
    assert f"Sign in as {email} with the password {password}" in up.said
    development = re.search(r"Development +http://127\.0\.0\.1:(\d+)/v1\n", up.said)
    assert development
    assert status(int(development[1]), "/healthz") == 200

    # A crash of what serves the pages ends nothing else: another takes its place.
    main = up.pid_of("-m granian")
    (serving,) = (pid for pid, command in up.processes().items() if "-m granian" in command and pid != main)
    os.kill(serving, signal.SIGSEGV)
    while is_alive(serving):
        time.sleep(0.05)
    assert serves_again(ports[0], "/healthz") == 200

    code, said = Up(state).ended()
    assert code == 1
    assert f"process {up.process.pid}, http://127.0.0.1:{ports[0]}." in said
    assert "--state" in said
    assert status(ports[0], "/healthz") == 200

    os.killpg(up.process.pid, signal.SIGINT)
    code, said = up.ended()
    assert code == 0
    assert re.search(r"stopping\n +[\d.]+ s  stopped\n$", said)
    assert "Traceback" not in said
    assert up.processes() == {}


@pytest.mark.parametrize(
    ("part", "title"),
    [
        ("bin/postgres -D", "PostgreSQL"),
        ("-m granian", "the web server"),
        ("config.celery --quiet worker", "the worker"),
        ("-m smallfirst.gateway", "the gateway"),
    ],
)
def test_death_of_a_process_stops_all(up: Up, part: str, title: str) -> None:
    """It is named with the end of its log, the code is 1, and no child of any is left. The next test starts again."""
    os.kill(up.pid_of(part), signal.SIGKILL)
    code, said = up.ended()
    assert code == 1
    assert f"{title} was killed by SIGKILL" in said
    assert str(up.state / "log") in said
    assert wait_until_nothing(up) == {}


def test_kill_of_the_supervisor_leaves_nothing(up: Up, state: Path, ports: tuple[int, int]) -> None:
    """kill -9: no process, no pool child, no backend; a start right after it waits for the cleaning and serves."""
    kinds = ("granian", "celery", "postgres", "valkey", "smallfirst.gateway", "smallfirst-guard")
    running = " ".join(up.processes().values())
    assert [kind for kind in kinds if kind not in running] == []
    up.process.kill()
    up.process.wait()
    again = Up(state, "--port", str(ports[0]), "--gateway-port", str(ports[1]))
    try:
        again.until_ready()
        assert "migrating" not in again.said
        # What earlier runs made is still there.
        assert (state / "log" / "bootstrap.log").read_text().startswith("nothing was missing")
        again.process.kill()
        again.process.wait()
        assert wait_until_nothing(again) == {}
    finally:
        again.process.kill()
        again.process.communicate()


def test_taken_port_is_named(tmp_path: Path, ports: tuple[int, int]) -> None:
    """Before anything is started; the message says which option chooses another."""
    with socket.create_server(("127.0.0.1", ports[1])):
        run = Up(tmp_path / "state", "--port", str(ports[0]), "--gateway-port", str(ports[1]))
        code, said = run.ended()
    assert code == 1
    assert f"port {ports[1]} cannot be used" in said
    assert "--gateway-port" in said
    assert not (tmp_path / "state" / "postgres").exists()


def test_unwritable_state_is_named(tmp_path: Path) -> None:
    """A file where the directory should be."""
    (tmp_path / "state").touch()
    code, said = Up(tmp_path / "state").ended()
    assert code == 1
    assert "choose another directory with --state" in said


def test_an_installation_of_ones_own_and_the_demo_never_share_a_state(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "demo-password").touch()
    code, said = Up(state, "--empty").ended()
    assert code == 1
    assert "holds the demo" in said
    assert not (state / "postgres").exists()
