"""The audit log's benchmark: the log that it wrote holds, and what it says follows from what it found."""

from pathlib import Path

import pytest

from benchmarks.inside import audit
from benchmarks.writers import Written
from tests.benchmarks.lines import bench


@pytest.mark.processes
def test_it_runs_on_a_database_of_its_own(tmp_path: Path) -> None:
    """Every entry has to be sealed and the log to hold, else it would say so."""
    small = ("--writers", "2", "--seconds", "1.5", "--rounds", "1", "--entries", "300")
    measures = bench(tmp_path, "audit", *small)

    lags = ("audit.lag_p50", "audit.lag_p99", "audit.lag_max")
    assert list(measures) == ["audit.rate", "audit.sealing", "audit.times_chain", *lags, "audit.verify"]
    assert all(each["value"] > 0 for each in measures.values())
    assert measures["audit.rate"]["goal"] == 0.9


def test_a_share_is_that_of_one_round() -> None:
    rates = {audit.PLAIN: (1000, 500), audit.UNSEALED: (1000, 500), audit.LOG: (900, 500), audit.CHAIN: (100, 125)}
    found = {turn: [Written(rate, 1.0, [1.0]) for rate in given] for turn, given in rates.items()}

    named = {each.measure: each for each in audit.measures(found, [0.2, 1.5], 1000, 2.0)}

    assert (named["audit.rate"].value, named["audit.rate"].met) == (0.95, True)
    assert (named["audit.times_chain"].value, named["audit.times_chain"].peer_value) == (6.5, 112.5)
    assert (named["audit.lag_p50"].value, named["audit.lag_p99"].met) == (0.2, False)
    assert named["audit.verify"].value == 500
