"""The gateway's benchmark: it runs on the real gateway, and what it says follows from its rounds."""

from pathlib import Path

import pytest

from benchmarks import gateway, load
from benchmarks.measures import Void
from tests.benchmarks.lines import bench

JOB = load.Job("http://127.0.0.1:9/", "{}")


def found(p99: float, first: float) -> load.Found:
    """What came of a job, in microseconds."""
    return load.Found(
        answers=10, errors=0, seconds=2.0, p50=p99 / 2, p95=p99, p99=p99, first_p50=first, first_p95=first
    )


def target(name: str, cpu: list[float], p99: list[float], first: list[float], memory: float = 0.0) -> gateway.Target:
    """A gateway with a round for each figure."""
    return gateway.Target(
        name,
        name,
        None,
        JOB,
        JOB,
        start_seconds=0.2,
        memory=memory,
        cpu=cpu,
        busy=[found(1, 1) for _ in p99],
        single=[found(each, 1) for each in p99],
        streamed=[found(1, each) for each in first],
    )


@pytest.mark.processes
def test_it_measures_the_real_gateway(tmp_path: Path) -> None:
    """Every request was answered and recorded, else it would say so. Peers would have to be downloaded."""
    measures = bench(
        tmp_path, "gateway", "--rounds", "1", "--seconds", "0.3", "--starts", "1", "--streams", "2", "--peers", "none"
    )

    assert list(measures) == [
        *("gateway.cpu_tensorzero", "gateway.cpu_litellm", "gateway.p99_over_direct", "gateway.first_event"),
        *("gateway.memory", "gateway.start"),
    ]
    assert measures["gateway.cpu_litellm"]["value"] > 0
    assert measures["gateway.cpu_litellm"]["goal"] is None
    assert measures["gateway.p99_over_direct"]["goal"] == 1000
    assert measures["gateway.p99_over_direct"]["peer_value"] is None
    assert measures["gateway.first_event"]["value"] > 0
    assert measures["gateway.memory"]["value"] > 10
    assert measures["gateway.start"]["value"] > 0


def test_goals_follow_from_the_peers() -> None:
    targets = [
        target("direct", [], [100, 300, 200], []),
        target("gateway", [150, 900, 160], [900, 1500, 700], [2_000, 9_000, 1_000], memory=34),
        target("tensorzero", [70, 90, 80], [100, 100, 100], [1_000, 1_400, 1_200], memory=60),
        target("litellm", [6000, 9000, 4500], [1, 1, 1], [1, 1, 1]),
    ]

    named = {each.measure: each for each in gateway.measures(targets, [0.5, 0.9, 0.4], 32)}

    tensorzero, litellm = named["gateway.cpu_tensorzero"], named["gateway.cpu_litellm"]
    assert (tensorzero.value, tensorzero.goal, tensorzero.met, tensorzero.peer_value) == (160, 160, True, 80)
    assert (litellm.value, litellm.goal, litellm.met, litellm.peer_value) == (160, 200, True, 6000)
    # Of each round what was added, then the middle: 800, 1200, 500.
    over = named["gateway.p99_over_direct"]
    assert (over.value, over.met, over.peer_value) == (800, True, -100)
    event = named["gateway.first_event"]
    assert event.goal == pytest.approx(1.8)
    assert (event.value, event.met) == (2.0, False)
    memory, start = named["gateway.memory"], named["gateway.start"]
    assert (memory.value, memory.met, memory.peer_value) == (34, True, 60)
    assert (start.value, start.met, start.peer_value) == (0.5, True, 0.2)


def test_a_round_is_a_row() -> None:
    row = target("other", [70, 90, 80], [400], [1_500], memory=60).row()

    assert row == ["other", "80", "5", "0.0005", "0.001", "200", "400", "400", "1.5", "1.5", "-", "-", "-"]
    assert len(row) == len(gateway.HEAD)


def test_failed_requests_are_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = load.Found(9, 1, 1.0, 1, 1, 1, 1, 1, failure="status 503: busy")
    monkeypatch.setattr(load, "run", lambda job, core: lost)

    with pytest.raises(Void, match=r"other: 1 of 10 requests failed \(status 503: busy\)"):
        gateway.checked(target("other", [], [], []), JOB)


@pytest.mark.parametrize("sent", [{"decisions": 9, "events": 10}, {"decisions": 10, "events": 11}])
def test_answers_without_their_records_are_no_measurement(
    monkeypatch: pytest.MonkeyPatch, sent: dict[str, int]
) -> None:
    monkeypatch.setattr(gateway, "counts", lambda control: sent)
    monkeypatch.setattr(gateway, "UPLOAD_SECONDS", 0.01)

    with pytest.raises(Void, match="records came for 10 answers"):
        gateway.wait_uploaded("http://127.0.0.1:9", 10)
