"""Samples of an evaluation as a page shows them: what each model answered, and what the policy makes of it."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from governance.models import PolicyVersion
from governance.views.filters import ListFilter
from routing import evaluations
from routing.models import Evaluation, EvaluationResult, Sample
from routing.replays import Replayed
from routing.views import charts

POLICY = "the policy"
# Which answers of one model are shown; of anything else, all of them.
ALONE = {
    "right": Q(correct=True),
    "wrong": Q(correct=False),
    "failed": ~Q(outcome="ok"),
    "unpriced": Q(cost=None),
}
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
            ("unpriced", "Not priced"),
        ],
    )
    sure = forms.ChoiceField(
        label="Sure",
        required=False,
        choices=[("", "However sure"), *((str(each), charts.words(each)) for each in reversed(range(charts.TENTHS)))],
    )

    version = forms.IntegerField(
        label="Policy version",
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="What another version would make of the answers; else the one that was measured.",
    )

    def __init__(self, request: HttpRequest, *, evaluation: Evaluation) -> None:
        super().__init__(request)
        self.evaluation = evaluation
        self.replayed_under: PolicyVersion | None = None
        choices = [("", POLICY.capitalize()), *((model, model) for model in evaluation.ladder)]
        self.fields["who"] = forms.ChoiceField(label="Answers of", required=False, choices=choices)

    @property
    def policy(self) -> PolicyVersion:
        """The version whose answers these are."""
        return self.replayed_under or self.evaluation.policy_version

    def clean_version(self) -> int | None:
        """A version of the evaluated workflow's policy."""
        number: int | None = self.cleaned_data["version"]
        if number is not None and number != self.evaluation.policy_version.number:
            versions = PolicyVersion.objects.filter(workflow=self.evaluation.step.workflow_id, number=number)
            self.replayed_under = versions.first()
            if self.replayed_under is None:
                raise forms.ValidationError(f"This workflow’s policy has no version {number}.")
        return number

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
        replay = evaluations.replayed(evaluation, form.policy.document)
        of = [each for each in replay.samples if not who or each.model == who]
        found = found.filter(position__in=[each.position for each in of if _shows(each, show)])
    if not who:
        return found
    answers = EvaluationResult.objects.filter(evaluation=evaluation, sample=OuterRef("pk"), model=who)
    if sure := form.cleaned_data["sure"]:
        answers = answers.filter(outcome="ok", confidence__isnull=False).annotate(tenth=charts.TENTH)
        answers = answers.filter(tenth=float(sure))
    # A model alone sends nothing to a person.
    return found.none() if show == "person" else found.filter(Exists(answers.filter(ALONE.get(show, Q()))))


def shown(
    evaluation: Evaluation, samples: list[Sample], tiers: dict[str, str], *, policy: PolicyVersion
) -> list[Shown]:
    """Some samples with their answers; a query for them and those of a replay of these samples alone."""
    results = EvaluationResult.objects.filter(evaluation=evaluation, sample__in=samples)
    by_place = {(result.sample_id, result.model): result for result in results}
    replay = evaluations.replayed(evaluation, policy.document, positions=[sample.position for sample in samples])
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
    if show == "unpriced":
        return each.cost is None
    return each.correct is (show == "right")
