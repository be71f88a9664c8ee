"""What a request costs on its way through the gateway: processor time, delay, memory; beside two other gateways.

The gateway is the real process with signed documents, every guard and rule of a policy at work, each request recorded
in its spool and uploaded. The peers run in their default configuration and keep no records. All stand before the same
models, which answer at once (`benchmarks.servers`). What is measured has core 0 to itself, the client, the models and
the control plane share core 1. Rounds of all gateways are interleaved; each figure is the median of its rounds.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks import load, machine
from benchmarks.measures import Measure, Void, columns, middle, report, shown
from benchmarks.peers import environments
from benchmarks.world import World, document, question, sign
from config.up import install, processes
from config.up.supervisor import Process, Supervisor

ROOT = Path(__file__).parents[1]
PEERS = ("tensorzero", "litellm")
TARGET_CORE, OTHER_CORE = 0, 1
# LiteLLM refuses to start with one that is easy to guess.
MASTER_KEY = "sk-6c1b0f7d2a934e58b1c7f0a9d3e84b26"
READY_SECONDS = 120.0
UPLOAD_SECONDS = 60.0


@dataclass
class Target:
    """A gateway, how it is asked, and what was found in each round; times in microseconds, memory in MB."""

    name: str
    title: str
    process: Process | None
    whole: load.Job
    stream: load.Job
    start_seconds: float = 0.0
    memory_idle: float = 0.0
    memory: float = 0.0
    cpu: list[float] = field(default_factory=list)
    busy: list[load.Found] = field(default_factory=list)
    single: list[load.Found] = field(default_factory=list)
    streamed: list[load.Found] = field(default_factory=list)

    def row(self) -> list[str]:
        """Its row of the table."""
        figures = [
            middle(self.cpu),
            middle([found.answers / found.seconds for found in self.busy]),
            middle([found.p50 / 1000 for found in self.busy]),
            middle([found.p99 / 1000 for found in self.busy]),
            middle([found.p50 for found in self.single]),
            middle([found.p95 for found in self.single]),
            middle([found.p99 for found in self.single]),
            middle([found.first_p50 / 1000 for found in self.streamed]),
            middle([found.first_p95 / 1000 for found in self.streamed]),
            *((self.start_seconds, self.memory_idle, self.memory) if self.process else (None, None, None)),
        ]
        return [self.title, *map(shown, figures)]


HEAD = (
    *("gateway", "CPU us/request", "requests/s", "p50 ms", "p99 ms", "alone p50 us", "p95 us", "p99 us"),
    *("first event p50 ms", "p95 ms", "start s", "MB idle", "MB after"),
)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run bench gateway", description="Measure the gateway beside its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load in a round (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=32, help="connections at once (%(default)s)")
    parser.add_argument("--streams", type=int, default=40, help="streams of a round (%(default)s)")
    parser.add_argument("--starts", type=int, default=5, help="starts of the gateway to time (%(default)s)")
    parser.add_argument("--peers", default=",".join(PEERS), help="to measure beside it, or none (%(default)s)")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    options = arguments(words)
    machine.check()
    print(f"gateway: {machine.described()}")
    with tempfile.TemporaryDirectory(prefix="smallfirst-bench-") as directory:
        site = Path(directory)
        (site / "log").mkdir()
        with Supervisor(site / "log") as supervisor:
            world, upstream, control = surroundings(site, supervisor)
            starts = time_starts(options.starts, world, site, control)
            ours = start(gateway(world, site / "gateway", control), supervisor)
            targets = [ours, *(start(peer, supervisor) for peer in peers(options.peers, site, upstream))]
            direct = Target("direct", "none (direct)", None, *jobs(f"{upstream}/v1/chat/completions", "small", {}))
            run_rounds(options, [direct, *targets], control, supervisor)
            for target in targets:
                target.memory = machine.memory_megabytes(supervisor.pids()[target.name])
    print(f"\n{columns(HEAD, [target.row() for target in [direct, *targets]])}")
    report(measures([direct, *targets], starts, options.concurrency))
    return 0


def jobs(
    url: str, model: str, headers: dict[str, str], streaming: dict[str, str] | None = None
) -> tuple[load.Job, load.Job]:
    """The request for a whole answer and that for a stream."""
    whole = load.Job(url, question(model), headers)
    stream = load.Job(url, question(model, stream=True), headers if streaming is None else streaming, fresh=True)
    return whole, stream


def surroundings(site: Path, supervisor: Supervisor) -> tuple[World, str, str]:
    """Models and a control plane with signed documents, running; their addresses."""
    ports = machine.free_port(), machine.free_port()
    upstream, control = (f"http://127.0.0.1:{port}" for port in ports)
    policies = {"gated": document(), "open": document(gated=False)}
    world = sign(site, policies, f"{upstream}/v1")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kind, port, more in (("upstream", ports[0], []), ("control", ports[1], [str(site)])):
        command = [sys.executable, "-m", "benchmarks.servers", kind, str(port), *more]
        supervisor.start(Process(kind, kind, machine.on_core(OTHER_CORE, command), environment, directory=ROOT))
    for address, path, title in ((control, "/counts", "the control plane"), (upstream, "/", "the models")):
        machine.wait(partial(answers, address, path), seconds=20, title=title)
    return world, upstream, control


def asked(address: str, path: str) -> bytes | None:
    """The body of a GET that is answered with 200, else None."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return body if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def answers(address: str, path: str) -> bool:
    """Whether a GET is answered with 200."""
    return asked(address, path) is not None


def counts(control: str) -> dict[str, int]:
    """How many records of each kind the control plane was sent."""
    found: dict[str, int] = json.loads(asked(control, "/counts") or b"{}")
    return found


def gateway(world: World, state: Path, control: str) -> Target:
    """The product's gateway as `up` starts it."""
    port = machine.free_port()
    credential = world.directory / "credential"
    credential.write_text("sfg_benchmark")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "SMALLFIRST_CONTROL_URL": control,
        "SMALLFIRST_GATEWAY_CREDENTIAL_FILE": str(credential),
        "SMALLFIRST_ROOT_KEY": world.root_key,
        "SMALLFIRST_GATEWAY_STATE": str(state),
        "SMALLFIRST_GATEWAY_URL": f"http://127.0.0.1:{port}",
        "SMALLFIRST_PROVIDER_SECRETS": f"MODELS_KEY@{world.models}",
        "MODELS_KEY": "benchmark",
    }
    process = pinned(processes.gateway(environment, port))
    whole, stream = jobs(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        "auto",
        {"Authorization": f"Bearer {world.tokens['gated']}"},
        {"Authorization": f"Bearer {world.tokens['open']}"},
    )
    return Target("gateway", "smallfirst", process, whole, stream)


def pinned(process: Process) -> Process:
    """The process on the core of what is measured."""
    return replace(process, command=machine.on_core(TARGET_CORE, process.command))


def peers(names: str, site: Path, upstream: str) -> list[Target]:
    """The peers that were asked for and can be installed."""
    found = []
    for name in names.split(","):
        if name == "none":
            continue
        if name not in PEERS:
            raise SystemExit(f"--peers: choose from {', '.join(PEERS)}, none")
        try:
            python = environments.python_of(name)
        except install.InstallError as error:
            machine.say(f"{name} is left out: {error}")
            continue
        found.append((tensorzero if name == "tensorzero" else litellm)(python, site, upstream))
    return found


def tensorzero(python: Path, site: Path, upstream: str) -> Target:
    """TensorZero with one model at an OpenAI-compatible address; it chooses its port itself and prints it."""
    config = site / "tensorzero.toml"
    config.write_text(
        "[gateway.observability]\nenabled = false\n"
        '[models.small]\nrouting = ["local"]\n'
        f'[models.small.providers.local]\ntype = "openai"\napi_base = "{upstream}/v1/"\n'
        'model_name = "small"\napi_key_location = "none"\n'
    )
    log = site / "log" / "tensorzero.log"
    script = ROOT / "benchmarks" / "peers" / "tensorzero_gateway.py"
    process = Process(
        "tensorzero",
        "TensorZero",
        [str(python), str(script), str(config)],
        {"PATH": os.environ["PATH"], "HOME": str(site), "PYTHONUNBUFFERED": "1"},
        ready=lambda _pid: address_in(log) is not None,
    )
    # The address is known once it runs.
    whole, stream = jobs("", "tensorzero::model_name::small", {})
    return Target("tensorzero", environments.version_of("tensorzero"), pinned(process), whole, stream)


def address_in(log: Path) -> str | None:
    """The address that a process has printed, once it has."""
    lines = log.read_text().splitlines() if log.exists() else []
    return next((line.rstrip("/") for line in lines if line.startswith("http://")), None)


def litellm(python: Path, site: Path, upstream: str) -> Target:
    """LiteLLM's proxy with one model at an OpenAI-compatible address, one worker, no database."""
    port = machine.free_port()
    config = site / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: small\n    litellm_params:\n"
        f"      model: openai/small\n      api_base: {upstream}/v1\n      api_key: benchmark\n"
    )
    address = f"http://127.0.0.1:{port}"
    process = Process(
        "litellm",
        "LiteLLM",
        [str(python.with_name("litellm")), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)],
        {
            "PATH": os.environ["PATH"],
            "HOME": str(site),
            "LITELLM_MASTER_KEY": MASTER_KEY,
            # It would look for prices elsewhere first.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        ready=lambda _pid: answers(address, "/health/liveliness"),
    )
    whole, stream = jobs(f"{address}/v1/chat/completions", "small", {"Authorization": f"Bearer {MASTER_KEY}"})
    return Target("litellm", environments.version_of("litellm"), pinned(process), whole, stream)


def start(target: Target, supervisor: Supervisor) -> Target:
    """Start a gateway, wait until it answers, and note how long that took and what memory it has then."""
    assert target.process is not None
    machine.say(f"starting {target.title}")
    target.start_seconds = timed_start(target.process, supervisor)
    target.memory_idle = machine.memory_megabytes(supervisor.pids()[target.name])
    if target.name == "tensorzero":
        url = f"{address_in(supervisor.logs / 'tensorzero.log')}/chat/completions"
        target.whole, target.stream = replace(target.whole, url=url), replace(target.stream, url=url)
    return target


def timed_start(process: Process, supervisor: Supervisor) -> float:
    """Start a process; the seconds until it is ready, asked every few milliseconds."""
    supervisor.start(replace(process, ready=None))
    pid = supervisor.pids()[process.name]

    def ready() -> bool:
        supervisor.check()
        return process.ready is None or process.ready(pid)

    return machine.wait(ready, seconds=READY_SECONDS, title=process.title)


def time_starts(number: int, world: World, site: Path, control: str) -> list[float]:
    """Seconds from start to ready of gateways with an empty state, which fetch their documents first."""
    found = []
    for each in range(number):
        with Supervisor(site / "log") as supervisor:
            process = gateway(world, site / f"start-{each}", control).process
            assert process is not None
            found.append(timed_start(process, supervisor))
    return found


def run_rounds(options: argparse.Namespace, targets: Sequence[Target], control: str, supervisor: Supervisor) -> None:
    """Measure all targets, one after the other, again and again. Raises Void."""
    recorded = 0
    for target in targets:
        warm = checked(target, replace(target.whole, concurrency=options.concurrency, seconds=0.5))
        recorded += warm.answers if target.name == "gateway" else 0
    for number in range(options.rounds):
        for target in targets:
            machine.say(f"round {number + 1} of {options.rounds}: {target.title}")
            pid = supervisor.pids().get(target.name)
            before = machine.cpu_seconds(pid) if pid else 0.0
            found = checked(target, replace(target.whole, concurrency=options.concurrency, seconds=options.seconds))
            target.busy.append(found)
            if target.name == "gateway":
                # What is not uploaded yet is work that these requests still cost.
                recorded += found.answers
                wait_uploaded(control, recorded)
            if pid:
                target.cpu.append((machine.cpu_seconds(pid) - before) / found.answers * 1e6)
            target.single.append(checked(target, replace(target.whole, seconds=options.seconds)))
            target.streamed.append(checked(target, replace(target.stream, requests=options.streams, seconds=60)))
            if target.name == "gateway":
                recorded += target.single[-1].answers + target.streamed[-1].answers
                wait_uploaded(control, recorded)


def checked(target: Target, job: load.Job) -> load.Found:
    """Run a job on the client's core. Raises Void unless all requests were answered."""
    found = load.run(job, core=OTHER_CORE)
    if found.errors or not found.answers:
        raise Void(
            f"{target.title}: {found.errors} of {found.errors + found.answers} requests failed ({found.failure})"
        )
    return found


def wait_uploaded(control: str, answers: int) -> None:
    """Wait until the control plane has a decision and an attempt for every answer, and not one more. Raises Void."""

    def all_there() -> bool:
        found = counts(control)
        return min(found.get("decisions", 0), found.get("events", 0)) >= answers

    try:
        machine.wait(all_there, seconds=UPLOAD_SECONDS, title="the upload", poll=0.05)
    except TimeoutError as error:
        raise Void(f"{counts(control)} records came for {answers} answers: {error}") from error
    if counts(control) != {"decisions": answers, "events": answers}:
        raise Void(f"{counts(control)} records came for {answers} answers")


def added(target: Target, direct: Target) -> float | None:
    """What a gateway adds to the p99 of requests one at a time: of each round the difference, of those the median."""
    return middle([one.p99 - bare.p99 for one, bare in zip(target.single, direct.single, strict=True)])


def measures(targets: Sequence[Target], starts: Sequence[float], concurrency: int) -> list[Measure]:
    """What the goals say of the gateway, from the medians of all rounds."""
    by_name = {target.name: target for target in targets}
    ours, direct = by_name["gateway"], by_name["direct"]
    cpu, first = middle(ours.cpu), middle([found.first_p50 / 1000 for found in ours.streamed])
    found = []
    for name, factor in (("tensorzero", 2.0), ("litellm", 1 / 30)):
        peer = by_name.get(name)
        theirs = middle(peer.cpu) if peer else None
        found.append(
            Measure(
                measure=f"gateway.cpu_{name}",
                title=f"processor time of a request, {concurrency} at once, goal {FACTORS[name]}",
                value=cpu,
                unit="us",
                goal=None if theirs is None else theirs * factor,
                peer=environments.version_of(name),
                peer_value=theirs,
            )
        )
    peer = by_name.get("tensorzero")
    theirs = middle([each.first_p50 / 1000 for each in peer.streamed]) if peer else None
    return [
        *found,
        Measure(
            measure="gateway.p99_over_direct",
            title="delay added to a request alone, p99",
            value=added(ours, direct),
            unit="us",
            goal=1000,
            peer=environments.version_of("tensorzero") if peer else None,
            peer_value=added(peer, direct) if peer else None,
        ),
        Measure(
            measure="gateway.first_event",
            title="first event of an ungated stream, p50, goal 1.5 x TensorZero",
            value=first,
            unit="ms",
            goal=None if theirs is None else theirs * 1.5,
            peer=environments.version_of("tensorzero"),
            peer_value=theirs,
        ),
        Measure(
            measure="gateway.memory",
            title="memory of a worker after the load",
            value=ours.memory,
            unit="MB",
            goal=150,
            peer=environments.version_of("tensorzero") if peer else None,
            peer_value=peer.memory if peer else None,
        ),
        Measure(
            measure="gateway.start",
            title="start to ready with an empty state",
            value=middle(starts),
            unit="s",
            goal=1.0,
            peer=environments.version_of("tensorzero") if peer else None,
            peer_value=peer.start_seconds if peer else None,
        ),
    ]


FACTORS = {"tensorzero": "2 x TensorZero", "litellm": "1/30 of LiteLLM"}
