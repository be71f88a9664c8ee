"""Measures: when a goal is met, how they are printed, and the arithmetic below them."""

import json

import pytest

from benchmarks.measures import Measure, columns, middle, percentile, report, rounded, shown

KEYS = ["measure", "value", "unit", "goal", "met", "peer", "peer_value"]


def made(value: float | None, goal: float | None = None, *, at_least: bool = False) -> Measure:
    """A measure of milliseconds."""
    return Measure(measure="a.b", title="how long", value=value, unit="ms", goal=goal, at_least=at_least)


@pytest.mark.parametrize(
    ("value", "goal", "at_least", "met"),
    [
        (99.9, 100, False, True),
        (100, 100, False, True),
        (100.1, 100, False, False),
        (99.9, 100, True, False),
        (100, 100, True, True),
        (None, 100, False, None),
        (5, None, False, None),
    ],
)
def test_a_goal_is_met_on_its_own_side(value: float | None, goal: float | None, at_least: bool, met: bool) -> None:
    assert made(value, goal, at_least=at_least).met is met


def test_a_line_is_json_with_these_names() -> None:
    measure = Measure(
        measure="a.b", title="how long", value=1.23456, unit="ms", goal=2, peer="other 1.0", peer_value=12345.6
    )

    told = {"measure": "a.b", "value": 1.235, "unit": "ms", "goal": 2, "met": True}
    assert json.loads(measure.line()) == told | {"peer": "other 1.0", "peer_value": 12346}
    assert list(json.loads(made(None).line())) == KEYS


def test_what_is_met_is_decided_before_rounding() -> None:
    measure = made(100.004, 100)

    assert json.loads(measure.line())["value"] == 100.0
    assert measure.met is False


def test_the_report_ends_with_one_line_a_measure(capsys: pytest.CaptureFixture[str]) -> None:
    report([made(1, 2), made(3, 2, at_least=True), made(None, 2)])

    said = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["met"] for line in said[-3:]] == [True, True, None]
    assert said[1].split() == ["measure", "value", "unit", "goal", "met", "peer", "peer's", "value"]
    assert "at most 2   met" in said[3]
    assert "at least 2  met" in said[4]
    assert said[5].split()[:3] == ["how", "long", "-"]


def test_columns_stand_under_their_heads() -> None:
    assert columns(("what", "n"), [["a", "1"], ["longer", "22"]]).splitlines() == [
        "what     n",
        "------  --",
        "a        1",
        "longer  22",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.0123456, "0.01235"), (5, "5"), (999.96, "1,000"), (1234.5, "1,234")]
)
def test_numbers_are_told_with_four_digits(value: float | None, text: str) -> None:
    assert shown(value) == text
    assert rounded(None) is None


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.99) == 7
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2
    assert percentile([1.0, 2.0], 0.0) == 1
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_middle_of_nothing_is_not_known() -> None:
    assert middle([]) is None
    assert middle([3.0, 1.0, 2.0]) == 2
