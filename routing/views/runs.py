"""Runs: the list, and one pass through the steps of a workflow."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from governance import accounts, figures
from governance.export import csv_response
from governance.models import Workflow
from governance.models.accounts import in_scope
from governance.views import drawing
from governance.views.choices import workflow_filter
from governance.views.filters import ListFilter
from routing import requests as found
from routing import runs as passes
from routing import words
from routing.requests import Kind, Reader, Row
from routing.runs import Run
from routing.views.requests import narrowing, place_in

ROWS = 25
COLUMNS = (
    *("workflow", "run", "kind", "recorded", "began_at", "ended_at", "requests", "steps", "outcome", "latency_ms"),
    *("currency", "amount", "unpriced"),
)


class RunFilter(ListFilter):
    """Which runs are listed; the address holds it."""

    workflow = forms.CharField(label="Workflow", required=False)
    kind = forms.ChoiceField(label="Made for", required=False, choices=[("", "Anything"), *Kind.choices])

    def __init__(self, request: HttpRequest, *, reader: Reader) -> None:
        super().__init__(request)
        self.fields["workflow"] = workflow_filter(reader.workflows)


@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    """The runs whose requests this person may read, the one with the newest request first unless asked."""
    reader = found.reader(accounts.signed_in(request.user))
    form = RunFilter(request, reader=reader)
    if not form.is_valid():
        context = {"filter_form": form, "headline": "This filter does not fit"}
        return render(request, "routing/runs.html", context, status=422)
    heads = _heads(reader, form)
    newest_first = request.GET.get("sort") != "when"
    stretch = found.page(heads, place_in(request), newest_first=newest_first, size=ROWS)
    listed = passes.summed(stretch.decisions)
    context = {
        "filter_form": form,
        "rows": _drawn(listed),
        "stretch": stretch,
        "headline": _headline(listed),
        "export": f"{reverse('runs_csv')}?{narrowing(form)}",
    }
    return render(request, "routing/runs.html", context)


@require_safe
def runs_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same runs as a file, all of them, newest first."""
    reader = found.reader(accounts.signed_in(request.user))
    form = RunFilter(request, reader=reader).for_file()
    heads = found.every_page(_heads(reader, form), size=500)
    rows = (_cells(run) for decisions in heads for run in passes.summed(decisions))
    return csv_response(name="runs.csv", columns=COLUMNS, rows=rows)


@require_safe
def run(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One run: each of its requests in their order, and the sum."""
    readable = in_scope(Workflow.objects.all(), request.user, "requests.view", "team")
    workflow = get_object_or_404(readable, slug=slug)
    decisions = passes.of(workflow, name)
    head = decisions.for_list().order_by("-id").first()
    if head is None:
        raise Http404("No such run.")
    (summed,) = passes.summed([head])
    stretch = found.page(decisions, place_in(request), newest_first=False, size=found.ROWS)
    context = {
        "run": summed,
        "rows": found.rows(stretch.decisions, drawing.tiers()),
        "stretch": stretch,
        "headline": _told(summed),
        "requests_url": f"{reverse('requests')}?{urlencode({'workflow': slug, 'run': name})}",
    }
    return render(request, "routing/run.html", context)


def _heads(reader: Reader, form: RunFilter) -> Any:
    said = form.cleaned_data
    kind = Kind(said["kind"]) if said["kind"] else None
    return passes.find(reader, workflow=reader.workflow(said["workflow"]), kind=kind)


def _drawn(listed: list[Run]) -> list[tuple[Run, list[Row]]]:
    """Each run with the rows of its requests, oldest first, where they are few; three queries at most."""
    decisions = found.shown(passes.drawn(listed)).order_by("id")
    rows: dict[tuple[UUID, str | None], list[Row]] = {}
    for row in found.rows(decisions, drawing.tiers()):
        rows.setdefault((row.decision.workflow_id, row.decision.run), []).append(row)
    return [(each, rows.get((each.workflow.pk, each.name), [])) for each in listed]


def _headline(listed: list[Run]) -> str:
    """What of the newest runs asks for attention."""
    if not listed:
        return "No run yet"
    waiting = sum(each.standing.words == "waits for a person" for each in listed)
    failed = sum(each.standing.level == "bad" for each in listed)
    said = [f"{waiting} {'waits' if waiting == 1 else 'wait'} for a person"] if waiting else []
    said += [f"{failed} went wrong"] if failed else []
    of = f"Of the {len(listed)} runs shown" if len(listed) > 1 else "Of the one run shown"
    return f"{of}, {' and '.join(said) or 'none waits or went wrong'}"


def _told(run: Run) -> str:
    """What came of a run, for how much."""
    steps = f"{run.steps} step{'s' if run.steps != 1 else ''}"
    cost = words.amounts(run.amounts) or "nothing charged yet"
    tail = f": {cost} in {figures.duration_words(run.milliseconds)}"
    if run.kind is Kind.EVALUATION:
        return f"{run.requests:,} requests measured{tail}"
    for count, went in (
        (run.failed, "failed"),
        (run.waiting, "waits for a person" if run.waiting == 1 else "wait for a person"),
        (run.unanswered, "went to a person and nobody decided"),
    ):
        if count:
            return f"{count} of {steps} {went}{tail}"
    people = f", {run.answered} by a person" if run.answered else ""
    return f"{'All ' if run.steps > 1 else ''}{steps} answered{people}{tail}"


def _cells(run: Run) -> list[Any]:
    return [
        *(run.workflow.slug, run.name, run.kind.value, run.recorded, run.began_at, run.ended_at),
        *(run.requests, run.steps, run.standing.words, run.milliseconds),
        *(" + ".join(run.amounts), " + ".join(f"{amount:f}" for amount in run.amounts.values()), run.unpriced),
    ]
