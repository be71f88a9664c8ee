"""Triage: which numbers of a text make a request medium or hard."""

from typing import get_args

import msgspec
import pytest

from smallfirst.engine import Signals
from smallfirst.engine.conditions import predicate_of
from smallfirst.engine.policy import Difficulty, SignalBetween, SignalName
from smallfirst.engine.triage import CUTS, cuts_reached, triage
from tests.engine.made import make_facts


@pytest.mark.parametrize(
    ("signals", "difficulty"),
    [
        (Signals(), "easy"),
        (Signals(characters=399, sentences=5, questions=1, digits=11, input_tokens=90_000, words=90_000), "easy"),
        (Signals(characters=400), "medium"),
        (Signals(sentences=6), "medium"),
        (Signals(questions=2), "medium"),
        (Signals(digits=12), "medium"),
        (Signals(code=1), "medium"),
        (Signals(characters=2000), "medium"),
        (Signals(characters=2000, code=1), "hard"),
        (Signals(questions=2, digits=12, code=1), "hard"),
    ],
)
def test_points_make_a_request_medium_and_hard(signals: Signals, difficulty: Difficulty) -> None:
    assert triage(signals) == difficulty


def test_the_cuts_that_were_reached_can_be_named() -> None:
    assert [cut.words for cut in cuts_reached(Signals(characters=2500, digits=12))] == [
        "long text",
        "very long text",
        "many figures",
    ]
    assert cuts_reached(Signals()) == []


def test_every_cut_is_of_a_signal_there_is() -> None:
    assert {cut.signal for cut in CUTS} <= set(Signals.__struct_fields__)


def test_every_signal_but_the_version_can_stand_in_a_condition() -> None:
    names = set(Signals.__struct_fields__) - {"version"}

    assert set(get_args(SignalName)) == names
    for name in get_args(SignalName):
        condition = SignalBetween(name=name, at_least=1)
        assert predicate_of(condition)(make_facts(), msgspec.structs.replace(Signals(), **{name: 1}), 0, 0)
        assert not predicate_of(condition)(make_facts(), Signals(), 0, 0)
