"""Samples of an evaluation as a page shows them: what each model answered, and what the policy makes of it."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from governance.views.filters import ListFilter
from routing import evaluations
from routing.models import Evaluation, EvaluationResult, Sample
from routing.replays import Replayed
from routing.views import charts

POLICY = "the policy"
WORDS = {
    "person": "a person decides",
    "failed": "no model answers",
    "refused": "no model may be asked",
    "unmeasured": "not all models were asked",
}


class SampleFilter(ListFilter):
    """Whose answers are looked at, and which of them."""

    who = forms.ChoiceField(label="Answers of", required=False)
    show = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[
            ("", "All"),
            ("right", "Right"),
            ("wrong", "Wrong"),
            ("failed", "Without an answer"),
            ("person", "Sent to a person"),
            ("judged", "Right or wrong, whichever"),
            ("kept", "Kept by the policy"),
        ],
    )
    sure = forms.ChoiceField(
        label="Sure",
        required=False,
        choices=[("", "However sure"), *((str(each), charts.words(each)) for each in reversed(range(charts.TENTHS)))],
    )

    def __init__(self, request: HttpRequest, *, ladder: list[str]) -> None:
        super().__init__(request)
        choices = [("", POLICY.capitalize()), *((model, model) for model in ladder)]
        self.fields["who"] = forms.ChoiceField(label="Answers of", required=False, choices=choices)

    def clean(self) -> dict[str, Any]:
        """How sure is said of one model's answer."""
        said = super().clean()
        if said.get("sure") and not said.get("who"):
            self.add_error("sure", "Choose the model whose answers these are; the policy says nothing of it.")
        return said


@dataclass(frozen=True)
class Answer:
    """What one model answered to one sample."""

    model: str
    tier: str
    result: EvaluationResult | None
    kept: bool


@dataclass(frozen=True)
class Shown:
    """One sample with all answers, and what the policy makes of it."""

    sample: Sample
    answers: list[Answer]
    replayed: Replayed
    words: str


def listed(evaluation: Evaluation, form: SampleFilter) -> "QuerySet[Sample]":
    """The samples that a filter leaves, in their order."""
    found = Sample.objects.filter(sample_set=evaluation.sample_set).defer("sealed", "signals").order_by("position")
    if not form.is_valid():
        return found.none()
    show, who = form.cleaned_data["show"], form.cleaned_data["who"]
    if not show and not form.cleaned_data["sure"]:
        return found
    if not who or show == "kept":
        replay = evaluations.replayed(evaluation)
        of = [each for each in replay.samples if not who or each.model == who]
        found = found.filter(position__in=[each.position for each in of if _shows(each, show)])
    if not who:
        return found
    answers = EvaluationResult.objects.filter(evaluation=evaluation, sample=OuterRef("pk"), model=who)
    if sure := form.cleaned_data["sure"]:
        answers = answers.filter(outcome="ok", confidence__isnull=False).annotate(tenth=charts.TENTH)
        answers = answers.filter(tenth=float(sure))
    if show == "right":
        return found.filter(Exists(answers.filter(correct=True)))
    if show == "wrong":
        return found.filter(Exists(answers.filter(correct=False)))
    if show == "failed":
        return found.filter(Exists(answers.exclude(outcome="ok")))
    if show in ("", "judged", "kept"):
        return found.filter(Exists(answers))
    # A model alone sends nothing to a person.
    return found.none()


def shown(evaluation: Evaluation, samples: list[Sample], tiers: dict[str, str]) -> list[Shown]:
    """Some samples with their answers; a query for them and those of a replay of these samples alone."""
    results = EvaluationResult.objects.filter(evaluation=evaluation, sample__in=samples)
    by_place = {(result.sample_id, result.model): result for result in results}
    replay = evaluations.replayed(evaluation, positions=[sample.position for sample in samples])
    made = {each.position: each for each in replay.samples}
    return [_shown(evaluation, sample, by_place, made[sample.position], tiers) for sample in samples]


def _shown(
    evaluation: Evaluation,
    sample: Sample,
    results: dict[Any, EvaluationResult],
    replayed: Replayed,
    tiers: dict[str, str],
) -> Shown:
    answers = [
        Answer(model, tiers.get(model, ""), results.get((sample.pk, model)), model == replayed.model)
        for model in evaluation.ladder
    ]
    words = f"keeps {replayed.model}" if replayed.outcome == "kept" else WORDS[replayed.outcome]
    if replayed.outcome == "unmeasured" and evaluation.is_active:
        words = "waits for its answers"
    return Shown(sample, answers, replayed, words)


def _shows(each: Replayed, show: str) -> bool:
    """Whether a sample belongs to what is shown of the policy's answers."""
    if show == "person":
        return each.outcome == "person"
    if show == "failed":
        return each.outcome in ("failed", "refused")
    if show == "kept":
        return each.outcome == "kept"
    if show == "judged":
        return each.correct is not None
    return each.correct is (show == "right")
