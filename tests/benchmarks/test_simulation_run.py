"""The benchmark of simulations: what it asks for is decided as the engine decides it, and every request is told of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from benchmarks.inside import past, simulation
from smallfirst import engine
from smallfirst.engine import Facts, LeftOut, Refusal, State
from tests.benchmarks.lines import bench
from tests.engine.made import make_facts, make_policy, make_snapshot

AT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)


@pytest.mark.processes
def test_it_runs_on_a_database_of_its_own(tmp_path: Path) -> None:
    """Every sampled request must be planned as by the engine, and every stored one told of, else it would say so."""
    measures = bench(tmp_path, "simulation", "--requests", "400", "--sample", "100", "--rounds", "2")

    assert list(measures) == [
        *("simulation.decisions", "simulation.decisions_best", "simulation.whole", "simulation.whole_best"),
        *("simulation.processor", "simulation.memory"),
    ]
    assert all(each["value"] > 0 for each in measures.values())
    assert measures["simulation.decisions"]["goal"] == 3_000_000
    assert measures["simulation.whole"]["goal"] == 0.002


def test_the_median_is_held_against_the_goal_and_the_best_stands_beside() -> None:
    planned = simulation.Planning(rates=[2_000_000, 4_000_000, 1_000_000], one_by_one=20_000, kinds=(3, 3))
    whole = simulation.Whole(
        seconds=[6.0, 4.0, 7.0], busy=[9.0, 8.0, 8.5], memory=300.0, resting=100.0, known=1, changed=1
    )

    named = {each.measure: each for each in simulation.measures(planned, whole, 1_000_000)}

    assert (named["simulation.decisions"].value, named["simulation.decisions"].met) == (2_000_000, False)
    assert named["simulation.decisions"].peer_value == 20_000
    assert named["simulation.decisions_best"].met is True
    assert (named["simulation.whole"].value, named["simulation.whole"].met) == (6.0, False)
    assert (named["simulation.whole_best"].value, named["simulation.whole_best"].met) == (4.0, True)
    assert named["simulation.processor"].value == 8.5


def test_requests_are_the_same_ones_each_time_and_no_two_alike() -> None:
    workflow = make_facts().workflow
    one, again = (list(past.requests(workflow, 50, AT)) for _ in range(2))

    assert one == again
    assert len({msgspec.json.encode(asked) for _at, asked in one}) == 50
    assert [at for at, _ in one] == sorted(at for at, _ in one)
    assert AT - one[0][0] < timedelta(days=past.DAYS)
    assert one[-1][0] < AT


def test_plans_are_compared_but_for_words_that_count_tokens() -> None:
    snapshot = make_snapshot(make_policy())
    facts, (_at, (_facts, read, _state)) = make_facts(), next(past.requests(make_facts().workflow, 1, AT))
    planned = engine.plan(facts, read, State(), snapshot)
    assert isinstance(facts, Facts)
    assert simulation.worded_alike(planned) == simulation.worded_alike(planned)
    refused = Refusal(None, "*", (), "easy", "not_allowed", "context", "10 tokens", (LeftOut("a", "context", "10"),))
    other = msgspec.structs.replace(refused, text="12 tokens", left_out=(LeftOut("a", "context", "12"),))
    assert simulation.worded_alike(refused) == simulation.worded_alike(other)
    other = msgspec.structs.replace(refused, clause="models")
    assert simulation.worded_alike(refused) != simulation.worded_alike(other)
