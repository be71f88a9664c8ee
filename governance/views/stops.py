"""Stops: what is kept out of traffic now, what was, and the forms that stop and let in again."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts
from governance import stops as verbs
from governance.accounts import ORGANISATION
from governance.export import csv_of
from governance.models import Model, Stop, Workflow
from governance.models.stops import StopQuerySet
from governance.views.filters import ListFilter
from governance.views.forms import FormPage, ReasonForm, ask, sent
from governance.views.listing import in_order, page_of

SORTED_BY = {"stopped": "created_at", "lifted": "lifted_at"}
COLUMNS = (
    *("workflow__name", "model__name", "reason", "created_at", "stopped_by__name"),
    *("lifted_at", "lifted_by__name"),
)
SECONDS = "Gateways refuse it within seconds, in every environment, whatever policy they hold. Nobody has to vote."


class StopFilter(ListFilter):
    """Which stops are listed: all, unless said."""

    q = forms.CharField(label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"}))
    state = forms.ChoiceField(required=False, choices=[("", "All"), ("holding", "Holding"), ("lifted", "Lifted")])


@require_GET
def stops(request: HttpRequest) -> HttpResponse:
    """What is stopped, then what was."""
    accounts.require(request.user, "workflows.view")
    form = StopFilter(request)
    page = page_of(_listed(request, form), request)
    holding = list(Stop.objects.visible_to(request.user).holding().with_scope()[:2])
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "holding": holding,
        "may_stop_all": accounts.can(request.user, "stops.begin", ORGANISATION),
        "liftable": set(Stop.objects.liftable_by(request.user).values_list("pk", flat=True)),
    }
    return render(request, "governance/stops.html", context, status=form.http_status)


@require_GET
def stops_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same stops as a file, all of them."""
    accounts.require(request.user, "workflows.view")
    return csv_of(_listed(request, StopFilter(request).for_file()), name="stops.csv", lookups=COLUMNS)


@require_http_methods(["GET", "POST"])
def workflow_stop(request: HttpRequest, slug: str) -> HttpResponse:
    """Stop a workflow: its requests are refused until the stop is lifted."""
    found = get_object_or_404(Workflow.objects.visible_to(request.user).select_related("team"), slug=slug)
    accounts.require(request.user, "stops.begin", found)
    page = _page(
        found.name,
        reverse("workflow", args=[found.slug]),
        "All its requests are refused. Cases that wait for a person are still answered.",
    )
    return _begin(request, page, workflow=found)


@require_http_methods(["GET", "POST"])
def model_stop(request: HttpRequest, name: str) -> HttpResponse:
    """Stop a model: ladders climb past it until the stop is lifted."""
    found = get_object_or_404(Model.objects.visible_to(request.user).select_related("team"), name=name)
    accounts.require(request.user, "stops.begin", found)
    page = _page(
        found.title,
        reverse("model", args=[found.name]),
        "Ladders go on with their other rungs; where it is the only one, requests are refused.",
    )
    return _begin(request, page, model=found)


@require_http_methods(["GET", "POST"])
def stop_new(request: HttpRequest) -> HttpResponse:
    """Stop everything: every gateway refuses every request until the stop is lifted."""
    accounts.require(request.user, "stops.begin", ORGANISATION)
    page = _page(
        "everything",
        reverse("stops"),
        "Every request of every workflow is refused. Cases that wait are still answered.",
    )
    return _begin(request, page)


@require_http_methods(["GET", "POST"])
def stop_lift(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let in again what a stop holds."""
    found = get_object_or_404(Stop.objects.visible_to(request.user).with_scope(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "stops.lift", found if found.team_id else ORGANISATION)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Lift the stop",
        headline=f"Let {found.of} in again?",
        lede=f"It was stopped by {found.stopped_by}: {found.reason}",
        submit="Lift the stop",
        back=("Stops", reverse("stops")),
    )

    def act() -> str:
        verbs.lift(stop=found, by=user, **form.cleaned_data)
        messages.success(request, f"The stop of {found.of} is lifted. Gateways know within seconds.")
        return page.back[1]

    return ask(request, form, page, act)


def _page(name: str, address: str, effect: str) -> FormPage:
    return FormPage(
        title="Stop",
        headline=f"Stop {name} now?",
        lede=f"{SECONDS} {effect}",
        submit=f"Stop {name}",
        back=("Stops" if name == "everything" else name, address),
        danger=True,
    )


def _begin(
    request: HttpRequest, page: FormPage, *, workflow: Workflow | None = None, model: Model | None = None
) -> HttpResponse:
    form = ReasonForm(sent(request))

    def act() -> str:
        made = verbs.begin(by=accounts.signed_in(request.user), workflow=workflow, model=model, **form.cleaned_data)
        messages.success(request, f"{made.of[:1].upper()}{made.of[1:]} is stopped. Gateways know within seconds.")
        return page.back[1]

    return ask(request, form, page, act)


def _listed(request: HttpRequest, form: StopFilter) -> StopQuerySet:
    """The stops that the filter leaves: those that hold first, unless the address asks for another order."""
    found = Stop.objects.visible_to(request.user).with_scope()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said.get("q"):
        found = found.filter(workflow__name__icontains=said["q"]) | found.filter(model__title__icontains=said["q"])
    if said.get("state"):
        found = found.filter(lifted_at__isnull=said["state"] == "holding")
    return in_order(found, request, SORTED_BY)
