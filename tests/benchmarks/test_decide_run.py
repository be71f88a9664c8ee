"""The engine's benchmark: its requests are many and varied, and its replay must give the same bytes."""

from pathlib import Path

import msgspec
import pytest

from benchmarks import decide, world
from benchmarks.measures import Void
from smallfirst.engine import Plan
from tests.benchmarks.lines import bench


def test_it_runs(tmp_path: Path) -> None:
    measures = bench(tmp_path, "decide", "--rounds", "1", "--requests", "40")

    assert [(each["measure"], each["unit"], each["goal"]) for each in measures.values()] == [
        ("decide.decision", "us", 5),
        ("decide.signals_p95", "ms", 0.2),
        ("decide.replay", "a second", 3_000_000),
    ]
    assert all(each["value"] > 0 for each in measures.values())


@pytest.mark.parametrize(("hard", "fired"), [(False, {1}), (True, {4})])
def test_the_policy_has_twenty_rules_of_which_few_fire(hard: bool, fired: set[int]) -> None:
    snapshot = decide.compiled(world.document(hard=hard))
    (workflow,) = snapshot.workflows.values()
    assert len(workflow.steps["*"].rules) == 20

    plans = [decide.decide(asked, snapshot)[0] for asked in decide.requests(200, snapshot)]
    assert all(isinstance(planned, Plan) and len(planned.rungs) == 3 for planned in plans)
    assert fired <= {len(planned.rules) for planned in plans}


def test_what_was_altered_does_not_pass_for_replayed() -> None:
    snapshot = decide.compiled(world.document())
    stored = [decide.conclude(asked, snapshot) for asked in decide.requests(3, snapshot)]
    decide.check_replay(stored, snapshot)

    lying = msgspec.structs.replace(stored[0], tier="frontier")
    with pytest.raises(Void, match="comes out of its replay otherwise"):
        decide.check_replay([lying], snapshot)


def test_figures_are_those_of_one_call() -> None:
    """Two microseconds a decision are two, and meet the goal of five."""
    decision, signals, replay = decide.measures(2e-6, [0.3, 0.1, 0.15], 4_000_000.0, 20)

    assert decision.value == pytest.approx(2.0)
    assert decision.met is True
    assert (signals.value, signals.met) == (0.15, True)
    assert (replay.value, replay.met) == (4_000_000, True)


def test_every_prompt_is_another_of_one_kilobyte() -> None:
    prompts = decide.texts(20)

    said = {messages[1]["content"] for messages in prompts}
    assert len(said) == 20
    assert all(900 <= sum(len(message["content"]) for message in messages) <= 1100 for messages in prompts)
