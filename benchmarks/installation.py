"""An installation for one benchmark: an embedded PostgreSQL in a temporary state, migrated, with first rows."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine
from config import state as places
from config.up import processes, services
from config.up.supervisor import Supervisor

ROOT = Path(__file__).parents[1]


@contextmanager
def installation() -> Iterator[dict[str, str]]:
    """The environment of what works on a database as `up` makes it, which runs as long as this is entered.

    Its settings are those of `up`: every commit is on the disk before it is answered.
    """
    with tempfile.TemporaryDirectory(prefix="smallfirst-bench-", ignore_cleanup_errors=True) as directory:
        state = places.make_private(Path(directory) / "state")
        logs = places.make_private(state / "log")
        ports = processes.Ports(*[machine.free_port() for _ in range(5)])
        made = processes.Installation(state, ports, demo=False)
        places.make_secrets(state / "keys")
        environment = made.control() | {
            "DATABASE_URL": places.database_url(state),
            "MIGRATION_DATABASE_URL": places.database_url(state, places.MIGRATOR_ROLE),
            "BROKER_URL": places.broker_url(state),
            "SMALLFIRST_KEYS": str(state / "keys"),
            "SMALLFIRST_DEMO": "0",
            "PYTHONPATH": str(ROOT),
        }
        cluster = services.Postgres(state, services.postgres_binaries(), services.unprivileged_prefix())
        machine.say("making a database")
        cluster.initialise()
        with Supervisor(logs, say=machine.say) as supervisor:
            supervisor.start(cluster.process(environment))
            supervisor.wait_ready("postgres")
            cluster.bootstrap()
            for title, *command in (
                ("the migration", "migrate", "--no-input", "--skip-checks"),
                ("collecting static files", "collectstatic", "--no-input", "--verbosity", "0"),
                ("the first rows", "bootstrap", "--skip-checks"),
            ):
                supervisor.run(processes.step(environment, title, *command))
            yield environment


def run_inside(module: str, words: Sequence[str]) -> int:
    """Run a module of `benchmarks.inside` with these arguments in an installation of its own; its exit code."""
    with installation() as environment:
        command = [sys.executable, "-m", f"benchmarks.inside.{module}", *words]
        return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode
