"""Terms: what was live at a moment, and which versions of a workflow's policy were live from when to when."""

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts
from governance import terms as found
from governance.export import csv_of
from governance.models import Environment, Model, Workflow
from governance.views.choices import workflow_filter
from governance.views.filters import Among, ListFilter
from governance.views.listing import in_order, page_of

SORTED_BY = {"workflow": "workflow__name", "version": "revision__version__number", "from": "applied_at"}
COLUMNS = (
    *("workflow__slug", "environment__name", "revision__version__number", "revision__version__digest"),
    *("revision__mode", "applied_at", "until", "number", "applied_by__name", "single_handed"),
)
# So many terms, the newest, stand on a line; more could not be told apart.
MOST_BARS = 200


class TermFilter(ListFilter):
    """Which terms are listed: those that last, unless said."""

    workflow = forms.ChoiceField(label="Workflow", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)
    model = forms.CharField(label="Model on a ladder", required=False, max_length=120)
    at = forms.DateTimeField(
        label="Live at",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Write a date and a time, such as 2026-11-27T14:00."},
    )
    when = forms.ChoiceField(
        label="Which", required=False, choices=[("", "Live at that moment, or now"), ("ever", "All there ever were")]
    )

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        workflows = Workflow.objects.visible_to(request.user).order_by("name")
        self.fields["workflow"] = workflow_filter(list(workflows.only("slug", "name")))
        offered = [("", "Any"), *((each.name, each.name) for each in Environment.objects.order_by("position"))]
        self.fields["environment"] = forms.ChoiceField(label="Environment", required=False, choices=offered)

    def among(self) -> dict[str, Among]:
        """The models of the register."""
        return {"model": Among(Model.objects.visible_to(self.request.user), "model")}

    def clean_at(self) -> datetime | None:
        """Nothing is known of a moment that has not come."""
        at: datetime | None = self.cleaned_data["at"]
        if at is not None and at > timezone.now():
            raise forms.ValidationError("Choose a moment that has passed.")
        return at

    def clean_when(self) -> str:
        """One asks of a moment or of all there ever were."""
        when: str = self.cleaned_data["when"]
        if when and self.cleaned_data.get("at"):
            raise forms.ValidationError("Take the moment away to list all there ever were.")
        return when


@require_GET
def terms(request: HttpRequest) -> HttpResponse:
    """What was live at a moment, or all that was live of a workflow, with a line that shows when."""
    accounts.require(request.user, "changes.view")
    form, now = TermFilter(request), timezone.now()
    rows = _listed(request, form, now)
    page = page_of(rows, request)
    moment = _moment(form, now)
    stopped = found.stopped(moment) if moment else found.Stopped(())
    said = form.cleaned_data if form.is_valid() else {}
    newest = rows.order_by("-applied_at", "-number")
    line = list(newest[:MOST_BARS]) if said.get("workflow") and not moment else []
    context = {
        "page": page,
        "rows": [(each, found.models_of(each), stopped.of(each)) for each in page],
        "count": page.paginator.count,
        "moment": moment,
        "is_now": moment == now,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "line": found.timeline(line, now=now) if line else None,
        "most": MOST_BARS if page.paginator.count > MOST_BARS else None,
    }
    return render(request, "governance/terms.html", context, status=form.http_status)


@require_GET
def terms_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same terms as a file, all of them."""
    accounts.require(request.user, "changes.view")
    rows = _listed(request, TermFilter(request).for_file(), timezone.now())
    return csv_of(rows, name="terms.csv", lookups=COLUMNS)


def _moment(form: TermFilter, now: datetime) -> datetime | None:
    """The moment of which the list tells; None where it tells of all."""
    said = form.cleaned_data if form.is_valid() else {}
    return None if said.get("when") == "ever" and not said.get("at") else said.get("at") or now


def _listed(request: HttpRequest, form: TermFilter, now: datetime) -> "QuerySet[Any]":
    """The terms that the filter leaves, the newest first unless the address asks for another order."""
    rows = found.of(accounts.signed_in(request.user))
    if not form.is_valid():
        return rows.none()
    said = form.cleaned_data
    moment = _moment(form, now)
    if moment is not None:
        rows = found.at(rows, moment)
    if said.get("workflow"):
        rows = rows.filter(workflow__slug=said["workflow"])
    if said.get("environment"):
        rows = rows.filter(environment__name=said["environment"])
    if said.get("model"):
        named = {"steps": [{"ladder": [{"model": said["model"]}]}]}
        rows = rows.filter(Q(revision__version__document__contains=named))
    return in_order(rows, request, SORTED_BY)
