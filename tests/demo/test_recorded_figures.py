"""The figures that recorded days are told with: no text in them, and no confidence that knows the outcome."""

import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from demo.recorded import figures, history
from demo.recorded.figures import REFUNDS, STAFF

NUMBER = re.compile(r"-?\d+(\.\d{1,4})?|")
UNTIL = datetime(2026, 5, 1, 20, tzinfo=UTC)
NAME = re.compile(r"[a-z0-9_]+-\d+")


@pytest.mark.parametrize(("path", "rows"), [(STAFF, 2254), (REFUNDS, 600)])
def test_they_are_figures_and_short_names(path: Path, rows: int) -> None:
    head, *lines = path.read_text().splitlines()
    assert tuple(head.split(",")) == figures.COLUMNS
    assert len(lines) == rows == len(figures.read(path)) == len({each.question for each in figures.read(path)})
    kinds = {kind for story in history.STORIES for kind in story.steps}
    for line in lines:
        question, kind, *numbers = line.split(",")
        assert NAME.fullmatch(question), question
        assert kind in kinds
        assert all(NUMBER.fullmatch(number) for number in numbers), line


@pytest.mark.parametrize("licence", ["LICENSE-llmrouter", "LICENSE-routellm"])
def test_the_notices_of_both_sets_are_beside_them(licence: str) -> None:
    assert "Copyright" in (STAFF.parent / licence).read_text()


@pytest.mark.parametrize("path", [STAFF, REFUNDS])
@pytest.mark.parametrize("place", [0, 1])
def test_a_confidence_does_not_tell_the_outcome(path: Path, place: int) -> None:
    answers = [each.answers[place] for each in figures.read(path)]
    sure = np.array([answer.confidence for answer in answers])
    right = np.array([answer.right for answer in answers])
    assert ((sure >= 0) & (sure < 1)).all()
    # The chance that a right answer looks surer than a wrong one: better than a coin, far from knowing.
    order = sure.argsort().argsort() + 1
    above = (order[right].sum() - right.sum() * (right.sum() + 1) / 2) / (right.sum() * (~right).sum())
    assert 0.5 < above < 0.9
    # And what is said is about what comes true.
    assert abs(sure.mean() - right.mean()) < 0.03


def test_every_question_is_asked_about_equally_often() -> None:
    for story in history.STORIES:
        asked = [request.asked.question for request in history.requests(story, until=UNTIL, days=90)]
        counts = {question: asked.count(question) for question in set(asked)}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_same_days_are_told_the_same() -> None:
    once, again = (list(history.requests(history.REFUND_SUMS, until=UNTIL, days=30)) for _ in range(2))
    assert once == again
    assert all(one.at <= other.at for one, other in pairwise(once))
    assert once[-1].at <= UNTIL
    weekdays = [request for request in once if request.at.astimezone(history.ZONE).weekday() < 5]
    assert len(weekdays) > 0.8 * len(once)
