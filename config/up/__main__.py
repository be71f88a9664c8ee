"""`./run up`: starts everything, says where it is, stops everything."""

import argparse
import os
import shlex
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from config import state as places
from config.environment import NotASwitchError, flag
from config.up import processes, services, standing
from config.up.lock import AlreadyRunningError, StateLock
from config.up.processes import Installation, Ports
from config.up.supervisor import NotReadyError, Process, ProcessDiedError, StoppedError, StopSignals, Supervisor

STARTED = time.monotonic()
# Files by which a state directory says what it holds: the demo, or an installation of one's own.
DEMO_MARK, REMOVED_MARK, FIRST_PERSON = "demo-password", "demo-removed", "first-person"


class UnusableError(Exception):
    """The arguments or this machine do not allow a start; the text says why and what to do."""


def say(text: str) -> None:
    """A line of progress with the seconds since the start."""
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", flush=True)


def main() -> int:
    """Run until stopped. The exit code is 0 after Ctrl-C or TERM, 1 when something went wrong."""
    if sys.platform == "win32":
        print("Smallfirst needs unix sockets and process groups: use WSL on Windows.", file=sys.stderr)
        return 1
    options = arguments()
    try:
        installation = prepare(options)
        with ExitStack() as stack:
            lock = StateLock(installation.state, installation.pages_url)
            stack.callback(lock.release)
            check_ports(installation.ports)
            places.make_secrets(installation.keys)
            run(installation, lock)
    except (AlreadyRunningError, UnusableError, services.ServiceUnavailableError, PermissionError) as error:
        print(error, file=sys.stderr)
        return 1
    except (ProcessDiedError, NotReadyError) as error:
        print(f"\n{error}\n\nEverything was stopped. All logs: {installation.state / 'log'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run up", description="Start Smallfirst on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="of the pages and the API (%(default)s)")
    parser.add_argument("--gateway-port", type=int, default=8001, help="of the gateway (%(default)s)")
    parser.add_argument("--empty", action="store_true", help="an installation of your own, without the demo")
    parser.add_argument("--state", type=Path, help="directory for data, keys and logs (the user’s state directory)")
    return parser.parse_args()


def prepare(options: argparse.Namespace) -> Installation:
    """The installation that the arguments and the environment describe, its directories made."""
    if options.state:
        os.environ["SMALLFIRST_STATE"] = str(options.state.expanduser().absolute())
    state = places.state_path()
    if options.port == options.gateway_port:
        raise UnusableError("--port and --gateway-port must differ")
    if not state.exists():
        places.make_private(state)
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK) or not state.is_dir():
        raise UnusableError(f"{state} cannot be written to: choose another directory with --state")
    places.make_private(state / "log")
    free = [free_port(options.gateway_port + further) for further in (10, 11, 1)]
    demo = wants_demo(state, options.empty)
    # Read with the demo and without: a switch that says nothing is refused, whatever it would have switched.
    traffic = switch("SMALLFIRST_DEMO_TRAFFIC", default=True) and demo
    return Installation(state, Ports(options.port, options.gateway_port, *free), demo=demo, traffic=traffic)


def wants_demo(state: Path, empty: bool) -> bool:
    """Whether the demo belongs there: not beside an installation of one's own. Raises UnusableError for both in one."""
    if empty and (state / DEMO_MARK).exists():
        raise UnusableError(f"{state} holds the demo: start your own installation elsewhere, with --state DIR")
    own = bool(
        empty or os.environ.get("DATABASE_URL") or any((state / mark).exists() for mark in (FIRST_PERSON, REMOVED_MARK))
    )
    return switch("SMALLFIRST_DEMO", default=not own)


def switch(name: str, *, default: bool) -> bool:
    """A switch of the environment. Raises UnusableError for one that says neither 1 nor 0."""
    try:
        return flag(name, default=default)
    except NotASwitchError as error:
        raise UnusableError(str(error)) from error


def check_ports(ports: Ports) -> None:
    """Raise UnusableError for a port that cannot be had, with the option that chooses another."""
    for port, option in ((ports.web, "--port"), (ports.gateway, "--gateway-port")):
        try:
            listen(port)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnusableError(
                f"port {port} cannot be used ({reason}): choose another with ./run up {option} {port % 60000 + 10}"
            ) from error


def free_port(wanted: int) -> int:
    """The wanted port, or any free one where that is taken."""
    try:
        return listen(wanted)
    except (OSError, OverflowError):
        return listen(0)


def listen(port: int) -> int:
    """Listen for a moment; the port, or OSError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        found: int = probe.getsockname()[1]
        return found


def run(installation: Installation, lock: StateLock) -> None:
    """Start everything in order, print where it is, wait for the end, stop everything in reverse order."""
    with StopSignals() as signals:
        supervisor = Supervisor(installation.state / "log", signals=signals, hold=[lock.fileno()], say=say)
        try:
            with supervisor:
                start(installation, supervisor)
                print(block(installation), flush=True)
                if installation.traffic:
                    say("filling in the demo’s past, 90 days, while all of it serves")
                    supervisor.start(*beside(installation))
                supervisor.watch()
                print("", flush=True)
                say("stopping")
        except StoppedError:
            say("stopped before it was ready")
            return
    say("stopped")


def start(installation: Installation, supervisor: Supervisor) -> None:
    """Services, database, first rows, then what serves."""
    ports, control = installation.ports, installation.control()
    first: list[Process] = []
    postgres = valkey = None
    if not os.environ.get("DATABASE_URL"):
        postgres = services.Postgres(installation.state, services.postgres_binaries(), services.unprivileged_prefix())
        if not postgres.data.exists():
            say("making the database")
        postgres.initialise()
        first.append(postgres.process(control))
    if not os.environ.get("BROKER_URL"):
        valkey = services.Valkey(installation.state)
        first.append(valkey.process(control))
    models = demo_models(installation)
    say("starting " + ", ".join(process.title for process in [*first, *models]))
    supervisor.start(*first, *models)
    supervisor.wait_ready(*[process.name for process in first])
    bring_up_to_date(installation, supervisor, postgres)
    # Its start takes longer than the first rows, and it needs none of them to be ready.
    web = processes.web(control, ports.web)
    supervisor.start(web)
    make_first_rows(installation, supervisor, first_person=postgres is not None)

    tasks = [processes.worker(control), processes.beat(control)]
    gateways = [processes.gateway(installation.data_plane(), ports.gateway)]
    if installation.development_url:
        environment = installation.data_plane(development=True)
        gateways.append(processes.gateway(environment, ports.development, development=True))
    serving = [web, *tasks, *gateways]
    say("starting " + ", ".join(process.title for process in serving))
    supervisor.start(*tasks)
    # By itself, so that it is stopped first: what it still has in hand goes to the web server.
    supervisor.start(*gateways)
    # The first start reads the models' texts and trains them.
    supervisor.wait_ready(*[process.name for process in [*serving, *models]], timeout=300)
    say("ready")


def bring_up_to_date(installation: Installation, supervisor: Supervisor, postgres: services.Postgres | None) -> None:
    """Migrate the database and collect static files, where an earlier start of this code did not leave both so."""
    state, demo, control = installation.state, installation.demo, installation.control()
    if postgres:
        postgres.bootstrap()
        with postgres.connect(places.DATABASE) as database:
            if standing.stands(state, database, demo=demo):
                return
    say("migrating the database")
    static = processes.step(control, "collecting static files", "collectstatic", "--no-input", "--verbosity", "0")
    supervisor.start(static)
    supervisor.run(processes.step(control, "the migration", "migrate", "--no-input", "--skip-checks"))
    supervisor.wait_ready(static.name)
    supervisor.forget(static.name)
    if postgres:
        with postgres.connect(places.DATABASE) as database:
            standing.remember(state, database, demo=demo)


def make_first_rows(installation: Installation, supervisor: Supervisor, *, first_person: bool) -> None:
    """Keys, environments, gateways; with the demo its organisation, else on an own database somebody to sign in as."""
    control, ports = installation.control(), installation.ports
    if not installation.demo:
        words = ["bootstrap", "--skip-checks", *(["--first-person"] if first_person else [])]
        supervisor.run(processes.step(control, "the first rows", *words))
        return
    say("loading the demo")
    urls = {
        "SMALLFIRST_DEMO_CLASSIFIERS_URL": f"http://127.0.0.1:{ports.classifiers}/v1",
        "SMALLFIRST_DEMO_SMOLLM2_URL": f"http://127.0.0.1:{ports.smollm2}/v1",
    }
    supervisor.run(processes.step(control | urls, "loading the demo", "demo_seed", "--skip-checks"))


def beside(installation: Installation) -> list[Process]:
    """What fills the demo while it serves. Nobody's work stops where that fails."""
    control = installation.control()
    return [
        # Ends by itself only when its keys are revoked, as `manage.py demo_remove` does.
        processes.step(control, "the demo’s applications", "demo_traffic", vital=False),
        processes.step(control, "the demo’s past", "demo_fill", vital=False),
    ]


def demo_models(installation: Installation) -> list[Process]:
    """The demo's model servers; none without the demo."""
    if not installation.demo:
        return []
    environment, ports = installation.models(), installation.ports
    return [
        processes.demo_models(environment, "classifiers", ports.classifiers),
        processes.demo_models(environment, "smollm2", ports.smollm2),
    ]


def door(installation: Installation) -> list[str]:
    """Where one may be anybody of the demo without a password: on this machine, so nowhere under a public name."""
    if urlsplit(installation.pages_url).hostname not in ("127.0.0.1", "localhost"):
        return []
    token = places.read_secret(installation.state / "demo-door")
    return ["", "  Be anyone, with one press, at", f"    {installation.pages_url}/demo/?door={token}"]


def block(installation: Installation) -> str:
    """What a visitor needs to know, in one piece."""
    lines = [
        "",
        f"  Pages        {installation.pages_url}",
        f"  Gateway      {installation.gateway_url}/v1",
    ]
    if installation.development_url:
        lines.append(f"  Development  {installation.development_url}/v1")
    state = installation.state
    lines.append(f"  State        {state}")
    if state != places.usual_path():
        lines.append(f"  Commands     SMALLFIRST_STATE={shlex.quote(str(state))} ./run manage …")
    if installation.demo:
        lines += [
            "",
            f"  Sign in with the password {places.read_secret(state / 'demo-password')} as",
            *(f"    {line}" for line in (state / "demo-people").read_text().splitlines()),
            *door(installation),
            "",
            "  Ask the gateway something its models are not sure about:",
            *(f"    {line}" for line in places.read_secret(state / "demo-curl").splitlines()),
        ]
    elif (state / FIRST_PERSON).exists():
        email, *password = places.read_secret(state / FIRST_PERSON).splitlines()
        lines.append("")
        if password:
            lines += [
                f"  Sign in as {email} with the password {password[0]}",
                "  The first page says what to set up. Choose a password of your own at",
                f"    {installation.pages_url}/account/password/",
            ]
        else:
            lines.append(f"  {email} signs in with the password that was chosen since the first start")
    return "\n".join([*lines, "", "  Ctrl-C stops everything.", ""])


if __name__ == "__main__":
    sys.exit(main())
