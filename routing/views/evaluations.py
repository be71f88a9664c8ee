"""Evaluations: the list, one of them with its samples, and how far one is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from governance import accounts
from governance.errors import GovernanceError
from governance.export import csv_response
from governance.models import Model, Step, Workflow
from governance.models.accounts import in_scope
from governance.views.choices import workflow_filter
from governance.views.filters import Among, ListFilter
from governance.views.listing import in_order, page_of
from ledger import recent
from ledger.spend import Selection
from ledger.views import selection as chosen
from ledger.views.selection import address
from routing import evaluations
from routing.models import Evaluation, EvaluationResult, EvaluationScore
from routing.models.evaluations import EvaluationQuerySet
from routing.views import charts, wording
from routing.views.samples import SampleFilter, listed, shown

DAYS = 30
SORTED_BY = {
    "workflow": "step__workflow__name",
    "set": "sample_set__name",
    "when": "created_at",
    "right": "policy_right",
    "cost": "policy_cost",
    "state": "state",
}
COLUMNS = (
    *("evaluation", "workflow", "step", "environment", "set", "set_version", "set_digest", "policy_version", "state"),
    *("begun_at", "ended_at", "started_by", "model", "n", "right", "judged", "low", "high", "errors", "timeouts"),
    *("kept", "to_person", "cost_per_task", "currency", "unpriced", "latency_p50_ms", "latency_p95_ms"),
)
RESULT_COLUMNS = (
    *("sample", "cluster", "expected", "model", "outcome", "error", "label", "correct", "confidence", "stop_reason"),
    *("latency_ms", "input_tokens", "output_tokens", "cost", "currency", "decision", "asked_at"),
)


class EvaluationFilter(ListFilter):
    """Which evaluations are listed."""

    workflow = forms.ChoiceField(label="Workflow", required=False)
    step = forms.CharField(label="Step", required=False, max_length=60)
    state = forms.ChoiceField(
        label="State",
        required=False,
        choices=[("", "Any"), ("active", "Going on"), *Evaluation.State.choices[2:]],
    )

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.workflows = visible_workflows(request)
        self.fields["workflow"] = workflow_filter(self.workflows)

    def among(self) -> dict[str, Among]:
        """The steps of the workflows whose evaluations this person may see."""
        return {"step": Among(Step.objects.filter(workflow__in=self.workflows), "step")}


@dataclass(frozen=True)
class Row:
    """One evaluation in the list, with what it found once it is done."""

    evaluation: Evaluation
    found: evaluations.Measured | None
    models: list[tuple[str, EvaluationScore]]


@dataclass(frozen=True)
class Alone:
    """One model of an evaluation: its tier, its score, and how it stands to the policy."""

    tier: str
    score: EvaluationScore
    pair: str


@require_GET
def evaluation_list(request: HttpRequest) -> HttpResponse:
    """Evaluations, the newest first."""
    accounts.require(request.user, "evaluations.view")
    form = EvaluationFilter(request)
    page = page_of(_listed(request, form).with_progress(), request)
    rows = _rows(list(page))
    newest = next((row.found for row in rows if row.found is not None), None)
    going = sum(1 for row in rows if row.evaluation.is_active)
    context = {
        "page": page,
        "rows": rows,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "headline": wording.headline(newest) if newest else wording.none_done(len(rows), going),
        "newest": newest,
        "going": going,
        "may_edit": accounts.can(request.user, "evaluations.edit"),
    }
    return render(request, "routing/evaluations.html", context, status=form.http_status)


@require_GET
def evaluations_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same evaluations as a file: a line for each model and one for the policy."""
    accounts.require(request.user, "evaluations.view")
    found = _listed(request, EvaluationFilter(request).for_file()).iterator(chunk_size=500)
    lines = (line for evaluation in found for line in _lines(evaluation))
    return csv_response(name="evaluations.csv", columns=COLUMNS, rows=lines)


@require_GET
def evaluation(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One evaluation: what it says, of which models, how sure, and sample by sample."""
    found = get_object_or_404(Evaluation.objects.visible_to(request.user).for_list().with_progress(), pk=pk)
    tiers = _tiers()
    form = SampleFilter(request, evaluation=found)
    page = page_of(listed(found, form), request)
    measured = evaluations.measured(found) if found.state == Evaluation.State.DONE else None
    sure = charts.reliability(found) if measured else {}
    context = {
        "evaluation": found,
        "tiers": tiers,
        "measured": measured,
        "clusters": found.sample_set.cluster_count() if measured else 0,
        "headline": wording.headline(measured) if measured else _how_it_stands(found),
        "models": [
            Alone(tiers.get(model, ""), score, wording.pair_words(score)) for model, score in measured.models.items()
        ]
        if measured
        else [],
        "reliability": [(model, tiers.get(model, ""), tenths) for model, tenths in sure.items()],
        "reliability_table": charts.as_table(sure),
        "page": page,
        "samples": shown(found, list(page), tiers, policy=form.policy),
        "filter_form": form,
        "may_run": accounts.can(request.user, "evaluations.run", found.step.workflow, environment=found.environment),
        "may_edit": accounts.can(request.user, "evaluations.edit", found),
        "sees_spend": accounts.can(request.user, "spend.view", found),
        "may_audit": accounts.can(request.user, "audit.view", found),
    }
    return render(request, "routing/evaluation.html", context, status=form.http_status)


@require_GET
def evaluation_progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How far an evaluation is, a part of its page that asks again by itself; at its end the page is loaded anew."""
    found = get_object_or_404(Evaluation.objects.visible_to(request.user).for_list().with_progress(), pk=pk)
    answer = render(request, "routing/_evaluation_progress.html", {"evaluation": found})
    if not found.is_active:
        answer["HX-Refresh"] = "true"
    return answer


@require_GET
def evaluation_live(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The evaluation beside the step's real requests, a part of its page."""
    found = get_object_or_404(Evaluation.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, "spend.view", found)
    step, since = found.step, timezone.now() - timedelta(days=DAYS)
    live = recent.of_steps(step.workflow_id, [step.name], found.environment_id, since=since)[step.name]
    measured = evaluations.measured(found) if found.state == Evaluation.State.DONE else None
    rows = wording.beside(measured, live) if measured else []
    last = chosen.today()
    selection = Selection(last - timedelta(days=DAYS - 1), last, found.step.workflow.slug, found.step.name)
    context = {"evaluation": found, "live": live, "rows": rows, "days": DAYS, "query": address(selection)}
    return render(request, "routing/_evaluation_live.html", context)


@require_GET
def evaluation_results_csv(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """All answers as a file, without any text."""
    found = get_object_or_404(Evaluation.objects.visible_to(request.user), pk=pk)
    results = EvaluationResult.objects.filter(evaluation=found).select_related("sample")
    in_turn = results.order_by("sample__position", "pk").iterator(chunk_size=2_000)
    return csv_response(
        name=f"evaluation-{found.pk}.csv", columns=RESULT_COLUMNS, rows=(_result(each) for each in in_turn)
    )


@require_POST
def evaluation_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop an evaluation."""
    found = get_object_or_404(Evaluation.objects.visible_to(request.user), pk=pk)
    user = accounts.signed_in(request.user)
    try:
        evaluations.cancel(evaluation=found, by=user, now=timezone.now())
    except evaluations.EvaluationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Cancelled. The answers that came stay; no score is made.")
    return redirect("evaluation", pk=pk)


@require_POST
def evaluation_again(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Evaluate the same step and set again, under what is live now."""
    found = get_object_or_404(Evaluation.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    try:
        made = evaluations.start(
            sample_set=found.sample_set, environment=found.environment, by=user, now=timezone.now()
        )
    except accounts.NotPermitted:
        raise
    except GovernanceError as error:
        messages.error(request, str(error))
        return redirect("evaluation", pk=pk)
    return redirect("evaluation", pk=made.pk)


def visible_workflows(request: HttpRequest) -> list[Workflow]:
    """The workflows whose evaluations this person may see."""
    found = Workflow.objects.order_by("name").only("slug", "name")
    return list(in_scope(found, request.user, "evaluations.view", "team"))


def _listed(request: HttpRequest, form: EvaluationFilter) -> EvaluationQuerySet:
    """The evaluations that the filter leaves, the newest first unless the address asks for another order."""
    found = Evaluation.objects.visible_to(request.user).for_list().with_policy_score()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said["workflow"]:
        found = found.filter(step__workflow__slug=said["workflow"])
    if said["step"]:
        found = found.filter(step__name=said["step"])
    if said["state"] == "active":
        found = found.active()
    elif said["state"]:
        found = found.filter(state=said["state"])
    return in_order(found, request, SORTED_BY, usual="-when")


def _rows(found: list[Evaluation]) -> list[Row]:
    tiers = _tiers()
    rows = []
    for each in found:
        measured = evaluations.measured(each) if each.state == Evaluation.State.DONE else None
        scores = measured.models.items() if measured else ()
        rows.append(Row(each, measured, [(tiers.get(model, ""), score) for model, score in scores]))
    return rows


def _tiers() -> dict[str, str]:
    return dict(Model.objects.values_list("name", "tier"))


def _how_it_stands(found: Evaluation) -> str:
    """The headline of an evaluation that found nothing yet, or never will."""
    where = f"{found.step.name} of {found.step.workflow.name}"
    if found.state == Evaluation.State.CANCELLED:
        return f"The evaluation of {where} was cancelled"
    if found.state == Evaluation.State.FAILED:
        return f"The evaluation of {where} failed"
    return f"{where} is being evaluated"


def _lines(found: Evaluation) -> Iterator[list[Any]]:
    """One evaluation in the file; one without scores stands there, too."""
    place = [
        *(found.pk, found.step.workflow.slug, found.step.name, found.environment.name, found.sample_set.name),
        *(found.sample_set.version, found.sample_set.digest, found.policy_version.number, found.state),
        *(found.created_at, found.ended_at, found.started_by.name if found.started_by else "schedule"),
    ]
    scores = list(found.scores.all())
    if not scores:
        yield [*place, *[None] * (len(COLUMNS) - len(place))]
    for score in scores:
        yield [
            *(*place, score.model or "policy", score.n, score.correct, score.judged, score.low, score.high),
            *(score.errors, score.timeouts, score.kept, score.person, score.cost_per_task, score.currency),
            *(score.unpriced, score.latency_p50_ms, score.latency_p95_ms),
        ]


def _result(each: EvaluationResult) -> list[Any]:
    known = {"sample": each.sample.position, "cluster": each.sample.cluster, "expected": each.sample.label}
    return [known[column] if column in known else getattr(each, column) for column in RESULT_COLUMNS]
