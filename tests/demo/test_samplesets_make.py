"""The demo's labelled sets: made once, scheduled, evaluated at once; no text twice, every label one of the step's."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from django.utils import timezone

from demo import samplesets
from demo.samplesets import SETS, SIZE
from demo.texts import Sample
from governance.models import Environment
from routing.models import Evaluation, EvaluationSchedule, SampleSet
from routing.schedules import words
from tests.demo.test_organisation_seed import seed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]


def labelled(labels: Sequence[str], _directory: Path) -> list[Sample]:
    """More samples than are drawn, some of the same text."""
    return [Sample(f"s-{number}", f"Text {number % 230}", labels[number % len(labels)]) for number in range(260)]


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Harbour & Vale with a gateway's address, and texts of its own in the place of the fetched ones."""
    seed(tmp_path)
    environment = Environment.objects.get(name="production")
    environment.gateway_url = "http://127.0.0.1:8001"
    environment.save()
    made = tuple(replace(each, read=partial(labelled, each.labels)) for each in SETS)
    monkeypatch.setattr(samplesets, "SETS", made)
    return environment


def make(production: Environment) -> int:
    return samplesets.make(directory=Path("nowhere"), environment=production, now=timezone.now())


def test_each_live_step_with_a_gate_gets_its_set_its_nights_and_a_first_evaluation(production: Environment) -> None:
    assert make(production) == len(SETS)
    for each in SampleSet.objects.for_list():
        assert each.size == SIZE
        assert each.licence == "MIT"
        assert each.source
        assert each.created_by
    assert {schedule.step.name for schedule in EvaluationSchedule.objects.in_force().for_list()} == {
        "sentiment", "screen", "mention",
    }  # fmt: skip
    for schedule in EvaluationSchedule.objects.in_force():
        assert "2" in words(schedule.cron)
    asked = {each.step.name: each.ladder for each in Evaluation.objects.for_list()}
    assert asked == {
        "sentiment": ["lexicon", "tfidf", "minilm"],
        "screen": ["patterns", "char-tfidf"],
        "mention": ["lexicon", "tfidf", "minilm"],
    }


def test_again_makes_nothing(production: Environment) -> None:
    make(production)
    assert make(production) == 0
    assert SampleSet.objects.count() == Evaluation.objects.count() == len(SETS)


def test_what_is_drawn_is_the_same_each_time_and_no_text_stands_twice() -> None:
    found = labelled(["neutral"], Path("nowhere"))
    rows = samplesets.drawn(found)
    texts = [row.messages[0]["content"] for row in rows]
    assert len(texts) == len(set(texts)) == SIZE
    assert rows == samplesets.drawn(list(reversed(found[30:])))
    # And not simply the first of them.
    assert texts != [f"Text {number}" for number in range(SIZE)]
