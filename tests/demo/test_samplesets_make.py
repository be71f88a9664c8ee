"""The demo's sample sets: made once, scheduled, evaluated at once; no text twice, every label one of the step's."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from django.utils import timezone

from demo import removal, samplesets
from demo.people import of_demo
from demo.samplesets import SETS, SIZE
from demo.texts import Sample
from governance import accounts, workflows
from governance.models import Environment, Role, Workflow
from routing.models import Evaluation, EvaluationSchedule, SampleSet
from routing.schedules import words
from tests.cast import BOOTSTRAP, make_person
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


def make(production: Environment, say: Callable[[str], object] = pytest.fail) -> int:
    return samplesets.make(directory=Path("nowhere"), environment=production, now=timezone.now(), say=say)


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


def test_a_retired_workflow_gets_none_and_the_others_theirs(production: Environment) -> None:
    workflow = Workflow.objects.get(slug=SETS[0].workflow)
    workflows.retire(workflow=workflow, reason="Over", by=BOOTSTRAP)
    assert make(production) == len(SETS) - 1
    assert not SampleSet.objects.filter(step__workflow=workflow).exists()


def test_one_that_cannot_be_made_is_told_leaves_nothing_and_the_others_are_made(
    production: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = samplesets.SETS
    monkeypatch.setattr(samplesets, "SETS", (replace(first, cron="never"), *others))
    heard: list[str] = []
    assert make(production, heard.append) == len(SETS) - 1
    assert not SampleSet.objects.filter(name=first.name).exists()
    assert len(heard) == 1
    assert heard[0].startswith(f"no set {first.name} for {first.workflow}: ")


def test_without_the_lead_none_is_made_and_each_is_told(production: Environment) -> None:
    accounts.deactivate(person=of_demo("lead"), reason="The demo is removed", by=BOOTSTRAP)
    heard: list[str] = []
    assert make(production, heard.append) == 0
    assert len(heard) == len(SETS)
    assert not SampleSet.objects.exists()


def test_removing_the_demo_cancels_what_is_being_evaluated(production: Environment, tmp_path: Path) -> None:
    make_person("Own administrator", Role.ADMIN)
    make(production)
    assert Evaluation.objects.active().count() == len(SETS)
    done = removal.remove(state=tmp_path, now=timezone.now())
    assert f"cancelled {len(SETS)} evaluations" in done
    assert {each.state for each in Evaluation.objects.all()} == {Evaluation.State.CANCELLED}
    assert not EvaluationSchedule.objects.in_force().exists()


def test_what_is_drawn_is_the_same_each_time_and_no_text_stands_twice() -> None:
    found = labelled(["neutral"], Path("nowhere"))
    rows = samplesets.drawn(found)
    texts = [row.messages[0]["content"] for row in rows]
    assert len(texts) == len(set(texts)) == SIZE
    assert rows == samplesets.drawn(list(reversed(found[30:])))
    # And not simply the first of them.
    assert texts != [f"Text {number}" for number in range(SIZE)]
