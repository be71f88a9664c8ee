"""The ledger's benchmark: it counts what it stores, and what it says follows from what it found."""

from pathlib import Path

import pytest

from benchmarks.inside import ledger, spend
from benchmarks.inside.looking import View
from tests.benchmarks.lines import bench


@pytest.mark.processes
def test_it_runs_on_a_database_of_its_own(tmp_path: Path) -> None:
    """No row may be lost or counted twice, and the page must show the sums of its events, else it would say so."""
    small = ("--ingest", "60", "--batch", "20", "--rounds", "1", "--events", "200", "--workflows", "3", "--views", "1")
    measures = bench(tmp_path, "ledger", *small)

    assert list(measures) == [
        *("ledger.ingest_vs_django", "ledger.ingest", "ledger.repeats", "ledger.fold", "ledger.fold_steady"),
        *("ledger.spend_page", "ledger.spend_flat", "ledger.spend_vs_scan"),
    ]
    assert all(each["value"] > 0 for each in measures.values())
    peer = measures["ledger.ingest_vs_django"]
    assert peer["goal"] == pytest.approx(3 * peer["peer_value"], rel=0.01)


def test_ingest_is_held_against_three_times_the_peer() -> None:
    rates = {
        "usage.record": 24_000.0,
        "usage.record, all repeats": 40_000.0,
        "bulk_create": 8_000.0,
        "bulk_create, all repeats": 9_000.0,
    }

    named = {each.measure: each for each in ledger.measures(rates, 30_000.0)}

    assert (named["ledger.ingest_vs_django"].goal, named["ledger.ingest_vs_django"].met) == (24_000, True)
    assert named["ledger.ingest"].met is True
    assert (named["ledger.repeats"].value, named["ledger.repeats"].peer_value) == (40_000, 9_000)
    assert named["ledger.fold"].met is None


def test_rates_are_events_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([10.0, 10.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(moments))

    assert ledger.timed(100, [[1], [2]], sum) == (200.0, [1, 2])


def test_the_slowest_page_counts_and_the_first_is_held_against_the_scan() -> None:
    few = [View("by workflow, 90 days", 40, 38, 30, 12, 9, 1000), View("by step, 90 days", 80, 78, 70, 12, 9, 1000)]
    many = [View("by workflow, 90 days", 50, 45, 30, 12, 9, 1000), View("by step, 90 days", 90, 85, 70, 12, 9, 1000)]
    found = spend.Spent(events=(1_000, 10_000), views=(few, many), scan=1_500, fold=9_000)

    named = {each.measure: each for each in found.measures()}

    assert (named["ledger.spend_page"].value, named["ledger.spend_page"].met) == (90, True)
    assert (named["ledger.spend_flat"].value, named["ledger.spend_flat"].met) == (90 / 80, True)
    times = named["ledger.spend_vs_scan"]
    assert (times.value, times.met, times.peer_value) == (30, True, 1_500)
    row = found.table().splitlines()[2].split()
    assert row == ["by", "workflow,", "90", "days", "40", "50", "45", "30", "12", "9", "1"]
