"""Instances: which process runs which bundle, how old that is, and whether it is the newest."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts
from governance.export import csv_of
from governance.models import Environment, Gateway, Workflow
from governance.views.choices import workflow_filter
from governance.views.filters import Among, ListFilter
from governance.views.listing import in_order, page_of
from routing.instances import SILENT_AFTER, policies
from routing.models import Instance

SORTED_BY = {
    "instance": "host",
    "gateway": "gateway__name",
    "version": "version",
    "bundle": "held",
    "seen": "last_seen_at",
}
COLUMNS = (
    *("name", "host", "program", "version", "gateway__name", "gateway__environment__name", "held", "issued_at"),
    *("newest", "standing", "refused", "proof", "created_at", "last_seen_at"),
)
# What a gateway may find of a proof that proves nothing (smallfirst.proofs).
FAULTS = {
    "missing": "none came",
    "malformed": "it cannot be read",
    "other_bundle": "it is that of another bundle",
    "wrong_path": "it leads to no root",
    "wrong_key": "another log signed it",
}


class InstanceFilter(ListFilter):
    """Which instances are listed, and whose policy is shown of each."""

    SHOWS = frozenset({"workflow"})

    q = forms.CharField(
        label="Host or gateway", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"})
    )
    environment = forms.CharField(label="Environment", required=False, max_length=40)
    standing = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any"),
            ("newest", "Newest bundle"),
            ("older", "Older bundle"),
            ("none", "No bundle yet"),
            ("silent", "Silent"),
        ],
    )
    workflow = forms.ChoiceField(label="Policy of", required=False)
    gateway = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        workflows = Workflow.objects.visible_to(request.user).in_use().order_by("name")
        self.fields["workflow"] = workflow_filter(list(workflows.only("slug", "name")))
        self.fields["workflow"].label = "Policy of"

    def among(self) -> dict[str, Among]:
        """What this person may read."""
        user = self.request.user
        return {
            "environment": Among(Environment.objects.visible_to(user), "environment"),
            "gateway": Among(Gateway.objects.visible_to(user), "gateway", by=("pk",)),
        }


@require_GET
def instances(request: HttpRequest) -> HttpResponse:
    """All instances heard within a day, the last heard first: does each run what is live?"""
    accounts.require(request.user, "registry.view")
    form = InstanceFilter(request)
    now = timezone.now()
    rows = _listed(request, form, now)
    page = page_of(rows, request)
    workflow = _workflow(request, form)
    versions: dict[UUID, int] = {}
    if workflow is not None:
        held = {each.bundle for each in page if each.bundle is not None}
        versions = policies(workflow=workflow, bundles=held)
    heard = rows.order_by().filter(last_seen_at__gte=now - SILENT_AFTER)
    context = {
        "page": page,
        "rows": [
            (each, each.last_seen_at >= now - SILENT_AFTER, versions.get(each.bundle), FAULTS.get(each.proof, ""))
            for each in page
        ],
        "alive": heard.count(),
        "up_to_date": heard.filter(standing="newest").count(),
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "gateway": _gateway(form),
        "workflow": workflow,
    }
    return render(request, "routing/instances.html", context, status=form.http_status)


@require_GET
def instances_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same instances as a file, all of them."""
    accounts.require(request.user, "registry.view")
    rows = _listed(request, InstanceFilter(request).for_file(), timezone.now())
    return csv_of(rows, name="instances.csv", lookups=COLUMNS)


def _workflow(request: HttpRequest, form: InstanceFilter) -> Workflow | None:
    slug = form.cleaned_data.get("workflow") if form.is_valid() else None
    return Workflow.objects.visible_to(request.user).filter(slug=slug).first() if slug else None


def _gateway(form: InstanceFilter) -> Gateway | None:
    chosen = form.cleaned_data.get("gateway") if form.is_valid() else None
    return Gateway.objects.filter(pk=chosen).first() if chosen else None


def _listed(request: HttpRequest, form: InstanceFilter, now: datetime) -> "QuerySet[Any]":
    """The instances that the filter leaves, the last heard first unless the address asks for another order."""
    visible = Gateway.objects.visible_to(request.user)
    found = Instance.objects.with_standing().filter(gateway__in=visible)
    found = found.select_related("gateway__environment", "gateway__key__workflow").order_by("-last_seen_at", "-pk")
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said.get("q"):
        found = found.filter(Q(host__icontains=said["q"]) | Q(gateway__name__icontains=said["q"]))
    if said.get("environment"):
        found = found.filter(gateway__environment__name=said["environment"])
    if said.get("gateway"):
        found = found.filter(gateway=said["gateway"])
    if said.get("standing") == "silent":
        found = found.filter(last_seen_at__lt=now - SILENT_AFTER)
    elif said.get("standing"):
        found = found.filter(standing=said["standing"], last_seen_at__gte=now - SILENT_AFTER)
    return in_order(found, request, SORTED_BY)
