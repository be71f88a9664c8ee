"""One control plane, one set of models and one gateway for all tests that do not break them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.world import GATE, REVIEW, Control, Models, Process, World, step


@pytest.fixture(scope="session")
def models() -> Iterator[Models]:
    """Models that fail on demand."""
    with Models() as running:
        yield running


@pytest.fixture
def control() -> Iterator[Control]:
    """A control plane of this test's own."""
    with Control() as running:
        yield running


@pytest.fixture
def world(models: Models) -> World:
    """An environment of this test's own, with the workflows that most tests use."""
    return furnished(World(f"{models.url}/v1"))


@pytest.fixture
def gateway(control: Control, world: World, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Process]:
    """A gateway of this test's own, running."""
    control.publish(world)
    state = tmp_path / "gateway"
    made = Process(control=control.url, world=world, state=state, port=free_port())
    with made as running:
        yield running.start()


class Site:
    """A gateway that many tests share, with what stands around it."""

    def __init__(self, control: Control, models: Models, world: World, process: Process) -> None:
        self.control, self.models, self.world, self.process = control, models, world, process

    def token(self, slug: str) -> str:
        """The token of a workflow's key."""
        return self.world.tokens[slug]


@pytest.fixture(scope="session")
def site(models: Models, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Site]:
    """The shared gateway; tests of it look only at what their own requests left."""
    world = furnished(World(f"{models.url}/v1"))
    with Control() as control:
        control.publish(world)
        state = tmp_path_factory.mktemp("site") / "gateway"
        made = Process(control=control.url, world=world, state=state, port=free_port())
        with made as process:
            yield Site(control, models, world, process.start())


def furnished(world: World) -> World:
    """Workflows for what tests ask: `open` keeps the first answer, `gated` climbs, `reviewed` ends at a person."""
    world.add("open", step(ladder=("small", "mid")))
    world.add("gated", step(gate=GATE))
    world.add("reviewed", step(gate=GATE, review=REVIEW))
    world.add("always", step("release", ladder=("small",), review=REVIEW | {"when": "always"}))
    world.add("pinning", step(), pin="allow")
    world.add("refusing", step(), pin="refuse")
    world.add("mute", step(ladder=("mute",), gate=GATE, review=REVIEW))
    world.add("patient", step(ladder=("patient",), limits={"deadline_ms": 60_000}))
    world.add("free", step(ladder=("free",)))
    world.add("short", step(ladder=("small", "mid"), limits={"max_output_tokens": 50, "deadline_ms": 1000}))
    world.add(
        "defaulting",
        step(gate=GATE, review=REVIEW | {"on_expiry": {"action": "answer", "answer": "neutral"}}),
    )
    rule = {"name": "restricted stays here", "when": [{"type": "risk", "at_least": "high"}], "then": {"refuse": "no"}}
    world.add("ruled", step(ladder=("small",)), rules=[rule])
    world.add("watched", step(gate=GATE, review=REVIEW), rules=[rule], pin="refuse", mode="observe")
    for slug in ("refusing", "reviewed", "always", "ruled"):
        world.tokens[f"{slug}:evaluation"] = world.add_key(slug, purpose="evaluation")
    world.tokens["refusing:trial"] = world.add_key("refusing", purpose="trial")
    return world
