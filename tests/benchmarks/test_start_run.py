"""The start's benchmark: it runs `up` itself, twice, and stops it."""

from pathlib import Path

import pytest

from benchmarks import start
from tests.benchmarks.lines import bench


@pytest.mark.processes
def test_it_starts_the_real_thing_twice(tmp_path: Path) -> None:
    measures = bench(tmp_path, "start", "--starts", "1", "--without-demo", "--as-installed")

    assert list(measures) == ["start.pages", "start.up_gateway", "start.gateway", "start.gateway_memory"]
    assert 0 < measures["start.pages"]["value"] <= measures["start.up_gateway"]["value"]
    assert measures["start.gateway"]["value"] > 0
    assert measures["start.gateway_memory"]["value"] > 10


def test_the_middle_start_counts() -> None:
    pages, both, alone, memory = start.measures(start.Found(20.0, [7.0, 9.0, 8.0], [8.0], [1.5], 34.0, 300.0))

    assert (pages.value, pages.met) == (8.0, True)
    assert (both.value, both.met) == (8.0, None)
    assert (alone.value, alone.met) == (1.5, False)
    assert (memory.value, memory.met) == (34.0, True)
