"""MiniLM embeds for real, asked through a gateway as applications ask it."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from demo.classifiers.minilm import DIMENSIONS
from tests.demo.servers import KEY, Server
from tests.gateway.world import Control, Process, World, step

pytestmark = pytest.mark.processes


def alike(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_a_gateway_passes_on_numbers_that_mean_something(
    server: Server, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    world = World(f"{server.url}/v1")
    world.models["minilm"] = world.model("minilm", "small")
    world.endpoints.append(world.endpoint("minilm", timeout_ms=60_000))
    token = world.add("search", step(ladder=("minilm",), limits={"deadline_ms": 60_000}))
    texts = ["The parcel arrived broken.", "My delivery came damaged.", "We open at nine on Sundays."]
    with Control() as control:
        control.publish(world)
        made = Process(
            control=control.url,
            world=world,
            state=tmp_path / "gateway",
            port=free_port(),
            TEST_MODELS_KEY=KEY,
        )
        with made as gateway:
            client = gateway.start().client(token)
            raw = client.embeddings.with_raw_response.create(model="auto", input=texts)
            answer = raw.parse()
            told = client.embeddings.create(model="auto", input=texts, encoding_format="float")

    vectors = [row.embedding for row in answer.data]
    assert [len(vector) for vector in vectors] == [DIMENSIONS] * 3
    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1, 1, 1], abs=1e-5)
    assert alike(vectors[0], vectors[1]) > alike(vectors[0], vectors[2])
    assert (answer.model, raw.headers["x-smallfirst-tier"]) == ("minilm", "small")
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(texts)
    assert told.data[0].embedding == pytest.approx(vectors[0], abs=1e-6)
