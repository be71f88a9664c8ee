"""How long a start takes: `./run up` a second time until it serves pages, and a gateway beside it until it decides."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.gateway import timed_start
from benchmarks.measures import Measure, Void, middle, report
from config.up import processes
from config.up.supervisor import Supervisor

ROOT = Path(__file__).parents[1]
# The first start trains the demo's models.
FIRST_SECONDS, AGAIN_SECONDS, STOP_SECONDS = 600.0, 120.0, 60.0
OURS = ("SMALLFIRST_", "DATABASE_URL", "MIGRATION_DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE")


@dataclass
class Found:
    """Seconds of the first start to its pages, of each later one to its pages and to its gateway, of a gateway alone.

    Memory is in MB: of a gateway that was just started, and of all processes together.
    """

    first: float
    pages: list[float]
    gateways: list[float]
    alone: list[float]
    memory: float
    everything: float


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run bench start", description="Measure starts in a state of their own.")
    parser.add_argument("--starts", type=int, default=3, help="after the first one (%(default)s)")
    parser.add_argument("--without-demo", action="store_true", help="start the product alone")
    parser.add_argument("--as-installed", action="store_true", help="without ./run, which looks at what is installed")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    options = arguments(words)
    machine.check()
    print(f"start: {machine.described()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="smallfirst-bench-", ignore_cleanup_errors=True) as directory:
        state = Path(directory) / "state"
        program = [sys.executable, "-m", "config.up"] if options.as_installed else [str(ROOT / "run"), "up"]
        found = measure(program, state, options.starts, demo=not options.without_demo)
    print(f"\nfirst start, with a database to make: pages after {found.first:.1f} s")
    print(f"all processes together: {found.everything:.0f} MB{', without the demo' if options.without_demo else ''}")
    report(measures(found))
    return 0


def measure(program: Sequence[str], state: Path, starts: int, *, demo: bool) -> Found:
    """Start, stop, and start again so many times. Raises Void and TimeoutError."""
    ports = processes.Ports(*[machine.free_port() for _ in range(5)])
    installation = processes.Installation(state, ports, demo=demo)
    machine.say("first start")
    with up(program, installation) as process:
        first = until(process, ports.web, "/sign-in/", FIRST_SECONDS)
        until(process, ports.gateway, "/healthz", FIRST_SECONDS)
    found = Found(first, [], [], [], 0.0, 0.0)
    for each in range(starts):
        machine.say(f"start {each + 1} of {starts}")
        with up(program, installation) as process:
            found.pages.append(until(process, ports.web, "/sign-in/", AGAIN_SECONDS))
            found.gateways.append(found.pages[-1] + until(process, ports.gateway, "/healthz", AGAIN_SECONDS))
            seconds, found.memory = beside(installation, each)
            found.alone.append(seconds)
            found.everything = machine.memory_megabytes(process.pid)
    return found


@contextmanager
def up(program: Sequence[str], installation: processes.Installation) -> Iterator[subprocess.Popen[bytes]]:
    """`up` on this state, running; stopped as Ctrl-C stops it, and waited for. Raises Void when it ends by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {"SMALLFIRST_VENV": sys.prefix, "SMALLFIRST_DEMO": "1" if installation.demo else "0"}
    environment |= {"PYTHONPATH": str(ROOT)}
    ports = installation.ports
    options = ("--port", str(ports.web), "--gateway-port", str(ports.gateway), "--state", str(installation.state))
    log = installation.state.with_name("up.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
    except ChildProcessError as error:
        raise Void(f"`up` ended early:\n{log.read_text(errors='replace')}") from error
    finally:
        # Its guard ends what it started.
        process.kill()
        process.wait()


def until(process: subprocess.Popen[bytes], port: int, path: str, seconds: float) -> float:
    """Seconds from now until this address answers with 200. Raises ChildProcessError when `up` ends before."""

    def served() -> bool:
        if process.poll() is not None:
            raise ChildProcessError
        return processes.answers(port, path)

    return machine.wait(served, seconds=seconds, title=path, poll=0.01)


def beside(installation: processes.Installation, number: int) -> tuple[float, float]:
    """Start another gateway with an empty state on the running control plane: seconds until ready, its memory in MB."""
    directory = installation.state.with_name(f"beside-{number}")
    directory.mkdir()
    environment = installation.data_plane() | {"SMALLFIRST_GATEWAY_STATE": str(directory / "gateway")}
    with Supervisor(directory) as supervisor:
        seconds = timed_start(processes.gateway(environment, machine.free_port()), supervisor)
        return seconds, machine.memory_megabytes(supervisor.pids()["gateway"])


def measures(found: Found) -> list[Measure]:
    """What the goals say of starts."""
    return [
        Measure(
            measure="start.pages",
            title="second ./run up serves pages",
            value=middle(found.pages),
            unit="s",
            goal=8.0,
        ),
        Measure(
            measure="start.up_gateway",
            title="second ./run up has a gateway that decides",
            value=middle(found.gateways),
            unit="s",
        ),
        Measure(
            measure="start.gateway",
            title="a gateway alone, empty state, from start to ready",
            value=middle(found.alone),
            unit="s",
            goal=1.0,
        ),
        Measure(
            measure="start.gateway_memory",
            title="memory of that gateway",
            value=found.memory,
            unit="MB",
            goal=150,
        ),
    ]
