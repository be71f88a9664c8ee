"""Models: the register, and the page of one with its card, versions, endpoints and where it is used."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts, admissions
from governance.admissions import Standing
from governance.export import csv_of
from governance.models import Endpoint, Environment, Model, ModelVersion, PolicyHead, Probe
from governance.models.registry import ModelQuerySet
from governance.views.listing import in_order, page_of
from governance.views.model_forms import ModelFilter

SORTED_BY = {"title": "title", "tier": "size", "supplier": "supplier", "owner": "owner__name"}
COLUMNS = (
    *("name", "title", "tier", "supplier", "licence", "hosting", "team__slug", "owner__name", "state"),
    *("purpose", "limitations", "forbidden_uses", "documentation", "review_due", "created_at"),
)


@dataclass(frozen=True)
class Served:
    """One endpoint on a model's page: what came of its last try, and whether this person may change it."""

    endpoint: Endpoint
    version: ModelVersion
    probe: Probe | None
    may_edit: bool

    @property
    def moved(self) -> bool:
        """Whether the last try was of another address than today's."""
        return self.probe is not None and self.probe.url != self.endpoint.url


@dataclass(frozen=True)
class Row:
    """One model in the list: its current version, where it is served, and how many workflows name it.

    `elsewhere` counts those of teams that the person does not see.
    """

    model: Model
    workflows: int = 0
    elsewhere: int = 0
    current: ModelVersion | None = field(init=False)
    served: list[Endpoint] = field(init=False)

    def __post_init__(self) -> None:
        versions = list(self.model.versions.all())
        current = next((each for each in versions if each.is_current), None)
        object.__setattr__(self, "current", current)
        object.__setattr__(self, "served", [each for each in current.endpoints.all() if each.active] if current else [])

    @property
    def environments(self) -> list[Environment]:
        """Where its current version is served."""
        return sorted({each.environment for each in self.served}, key=lambda each: each.position)

    @property
    def recorded(self) -> bool:
        """Whether it stands in recordings alone."""
        return bool(self.served) and all(each.environment.recorded for each in self.served)


@require_GET
def models(request: HttpRequest) -> HttpResponse:
    """The register: every model that a policy may name."""
    accounts.require(request.user, "registry.view")
    form = ModelFilter(request)
    page = page_of(_listed(request, form), request)
    heads = PolicyHead.objects.of_workflows_in_use().models_named(request.user)
    named: Counter[tuple[str, bool]] = Counter((name, seen) for name, _workflow, seen in heads)
    context = {
        "page": page,
        "rows": [Row(each, named[each.name, True], named[each.name, False]) for each in page],
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "may_edit": accounts.can(request.user, "registry.edit"),
        "today": timezone.localdate(),
    }
    return render(request, "governance/models.html", context, status=form.http_status)


@require_GET
def models_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same models as a file, all of them."""
    accounts.require(request.user, "registry.view")
    return csv_of(_listed(request, ModelFilter(request).for_file()), name="models.csv", lookups=COLUMNS)


@require_GET
def model(request: HttpRequest, name: str) -> HttpResponse:
    """One model: what its entry asserts, its versions, where it is served, and which live policies name it."""
    found = get_object_or_404(Model.objects.visible_to(request.user).with_versions(), name=name)
    versions = sorted(found.versions.all(), key=lambda each: (each.is_current, each.created_at), reverse=True)
    served = _served(request, found, versions)
    naming = PolicyHead.objects.naming(found.name).of_workflows_in_use()
    heads = naming.visible_to(request.user).select_related("workflow", "environment", "version")
    workflows = set(naming.values_list("workflow", flat=True))
    shown = list(heads.order_by("workflow__name", "environment__position"))
    context = {
        "model": found,
        "stop": found.stops.holding().select_related("stopped_by").first(),
        "versions": versions,
        "current": versions[0] if versions and versions[0].is_current else None,
        "standings": (standings := _standings(request, found, versions)),
        "suspended": [each.environment.name for each, _may in standings if each.suspension],
        "served": [each for each in served if each.endpoint.active],
        "closed": [each for each in served if not each.endpoint.active],
        "recorded": Row(found).recorded,
        "heads": shown,
        "workflows": len(workflows),
        "elsewhere": len(workflows - {head.workflow_id for head in shown}),
        "today": timezone.localdate(),
        **_rights(request, found),
    }
    return render(request, "governance/model.html", context)


def _rights(request: HttpRequest, found: Model) -> Mapping[str, Any]:
    in_use = found.state == Model.State.ACTIVE
    places = Environment.objects.serving().allowing(request.user, "registry.edit", found.team_id)
    return {
        "may_edit": accounts.can(request.user, "registry.edit", found),
        "may_stop": in_use and accounts.can(request.user, "stops.begin", found),
        "may_serve": in_use and places.exists(),
        "sees_prices": accounts.can(request.user, "spend.view"),
        "may_audit": accounts.can(request.user, "audit.view", found),
    }


def _standings(request: HttpRequest, found: Model, versions: list[ModelVersion]) -> list[tuple[Standing, bool]]:
    """Where its current version is admitted, or could be, and whether this person may propose that there."""
    current = [each for each in versions if each.is_current]
    allowed = Environment.objects.allowing(request.user, "changes.propose", found.team_id)
    places = set(allowed.values_list("pk", flat=True)) if found.state == Model.State.ACTIVE else set()
    return [(each, each.environment.pk in places) for each in admissions.standings(current)]


def _served(request: HttpRequest, found: Model, versions: list[ModelVersion]) -> list[Served]:
    """All endpoints, those of the current version first, by environment and in the order they are tried."""
    endpoints = [(each, version) for version in versions for each in version.endpoints.all()]
    probes: dict[UUID, Probe] = {
        probe.endpoint_id: probe
        for probe in Probe.objects.filter(endpoint__in=[each.pk for each, _version in endpoints]).newest()
    }
    allowed = Environment.objects.allowing(request.user, "registry.edit", found.team_id)
    places = set(allowed.values_list("pk", flat=True))
    endpoints.sort(key=lambda pair: (not pair[1].is_current, pair[0].environment.position, pair[0].position))
    return [
        Served(each, version, probes.get(each.pk), each.environment_id in places and not each.environment.recorded)
        for each, version in endpoints
    ]


def _listed(request: HttpRequest, form: ModelFilter) -> ModelQuerySet:
    """The models that the filter leaves, small ones first unless the address asks for another order."""
    found = Model.objects.visible_to(request.user).with_current().by_size()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said.get("state") != "all":
        found = found.filter(state=said.get("state") or Model.State.ACTIVE)
    if said.get("q"):
        found = found.filter(Q(name__icontains=said["q"]) | Q(title__icontains=said["q"]))
    if said.get("tier"):
        found = found.filter(tier=said["tier"])
    if said.get("hosting"):
        found = found.filter(hosting=said["hosting"])
    if said.get("team"):
        found = found.filter(team__slug=said["team"])
    if said.get("environment") or said.get("provider"):
        place = Endpoint.objects.filter(active=True, version__is_current=True)
        if said["environment"]:
            place = place.filter(environment__name=said["environment"])
        if said["provider"]:
            place = place.filter(provider__slug=said["provider"])
        found = found.filter(pk__in=place.values("version__model"))
    return in_order(found, request, SORTED_BY, "tier")
