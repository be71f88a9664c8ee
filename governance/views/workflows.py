"""Workflows: the list, and the page of one."""

import functools
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts, exceptions, policies, standards
from governance.export import csv_of
from governance.figures import Rung
from governance.models import Change, DataClass, Model, PolicyHead, Risk, Team, Workflow
from governance.models.accounts import in_scope
from governance.models.workflows import WorkflowQuerySet
from governance.views import drawing
from governance.views.filters import Among, ListFilter
from governance.views.listing import in_order, page_of

SORTED_BY = {"name": "name", "team": "team__name", "owner": "owner__name"}
COLUMNS = (
    *("slug", "name", "team__slug", "owner__name", "deputy__name", "risk", "data_class", "retention_days"),
    *("cost_centre", "review_due", "created_at"),
)


class WorkflowFilter(ListFilter):
    """Which workflows are listed; `model` is the name of one that a live policy has on a ladder, `team` a slug."""

    q = forms.CharField(label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"}))
    risk = forms.ChoiceField(label="Risk", required=False, choices=[("", "Any"), *Risk.choices])
    data_class = forms.ChoiceField(label="Data class", required=False, choices=[("", "Any"), *DataClass.choices])
    model = forms.CharField(label="Names the model", required=False, max_length=80)
    team = forms.CharField(label="Team", required=False, max_length=60)

    def among(self) -> dict[str, Among]:
        """The register's models, and the teams whose workflows this person may read."""
        user = self.request.user
        return {
            "model": Among(Model.objects.visible_to(user), "model"),
            "team": Among(in_scope(Team.objects.all(), user, "workflows.view", "pk"), "team", by=("slug",)),
        }


@dataclass
class Row:
    """One workflow in a table: what is live on the way to production, and the ladder of its first step."""

    workflow: Workflow
    head: PolicyHead | None
    rungs: list[Rung]
    open_changes: bool = False

    @property
    def recorded(self) -> bool:
        """Whether what is live governs a recording."""
        return self.head is not None and self.head.environment.recorded

    @property
    def mode_words(self) -> str:
        """What the live policy does, for its state."""
        return self.head.get_mode_display().lower() if self.head else ""


@require_GET
def workflows(request: HttpRequest) -> HttpResponse:
    """All workflows this person may see, with what is live."""
    accounts.require(request.user, "workflows.view")
    form = WorkflowFilter(request)
    page = page_of(_listed(request, form), request)
    context = {
        "page": page,
        "rows": rows(list(page)),
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "may_create": accounts.can(request.user, "workflows.create"),
    }
    return render(request, "governance/workflows.html", context, status=form.http_status)


@require_GET
def workflows_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same workflows as a file, all of them."""
    accounts.require(request.user, "workflows.view")
    return csv_of(_listed(request, WorkflowFilter(request).for_file()), name="workflows.csv", lookups=COLUMNS)


@require_GET
def workflow(request: HttpRequest, slug: str) -> HttpResponse:
    """One workflow: its class, ladder, policy and changes."""
    heads_with_change = PolicyHead.objects.select_related(
        "version", "environment", "change__rollback", "change__revision"
    )
    shown = Workflow.objects.visible_to(request.user).select_related("owner", "deputy", "team")
    found = get_object_or_404(shown.prefetch_related(Prefetch("heads", queryset=heads_with_change)), slug=slug)
    head = main_head(found)
    document = policies.read(head.version.document) if head else None
    heads = list(found.heads.all())
    context = {
        "workflow": found,
        "heads": heads,
        "may_roll_back": _may_roll_back(request, found, heads),
        "head": head,
        "steps": drawing.steps(found, document) if document else [],
        "sentences": drawing.lines(document) if document else [],
        **_above(found, head),
        "entry_change": Change.objects.filter(content_head__workflow=found, kind=Change.Kind.WORKFLOW).first(),
        "changes": Change.objects.visible_to(request.user).filter(workflow=found).for_list()[:6],
        "stop": found.stops.holding().select_related("stopped_by").first(),
        "may_stop": found.retired_at is None and accounts.can(request.user, "stops.begin", found),
        "may_propose": found.retired_at is None and accounts.can(request.user, "changes.propose", found),
        "may_edit": accounts.can(request.user, "workflows.edit", found),
        "sees_spend": accounts.can(request.user, "spend.view", found),
        "sees_evaluations": accounts.can(request.user, "evaluations.view", found),
        "may_audit": accounts.can(request.user, "audit.view", found),
        "reviews_url": f"{reverse('reviews')}?workflow={found.slug}"
        if accounts.can(request.user, "reviews.view", found)
        else None,
    }
    return render(request, "governance/workflow.html", context)


def _above(workflow: Workflow, head: PolicyHead | None) -> dict[str, Any]:
    """The standards that hold for a workflow where its policy is live, and from what it is excepted; three queries."""
    if head is None:
        return {}
    held = [each for each in standards.live_in(head.environment) if each.team in (None, workflow.team) and each.said]
    return {
        "standards": held,
        "excepted": exceptions.live(head.environment, workflow),
        "today": exceptions.day_of(timezone.now()),
    }


def _may_roll_back(request: HttpRequest, workflow: Workflow, heads: list[PolicyHead]) -> set[UUID]:
    """The environments in which something was live before, and this person may go back to it."""
    before = [each for each in heads if workflow.retired_at is None and each.change.revision.base_version_id]
    may = functools.partial(accounts.can, request.user, "rollbacks.go_back", workflow)
    return {each.environment_id for each in before if may(environment=each.environment)}


def _listed(request: HttpRequest, form: WorkflowFilter) -> WorkflowQuerySet:
    """The workflows that the filter leaves, by name unless the address asks for another order."""
    found = Workflow.objects.visible_to(request.user).in_use().with_heads()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said["q"]:
        found = found.filter(name__icontains=said["q"])
    if said["risk"]:
        found = found.filter(risk=said["risk"])
    if said["data_class"]:
        found = found.filter(data_class=said["data_class"])
    if said["model"]:
        found = found.filter(pk__in=PolicyHead.objects.naming(said["model"]).values("workflow"))
    if said["team"]:
        found = found.filter(team__slug=said["team"])
    return in_order(found, request, SORTED_BY)


def main_head(workflow: Workflow) -> PolicyHead | None:
    """The head of the last environment on the way to production that has one."""
    heads = sorted(workflow.heads.all(), key=lambda head: head.environment.position)
    return heads[-1] if heads else None


def rows(workflows: list[Workflow]) -> list[Row]:
    """The rows of a table of workflows; one query beyond `with_heads`, whatever the length."""
    tier_of = drawing.tiers()
    return [
        Row(each, head, drawing.first_ladder(policies.read(head.version.document), tier_of) if head else [])
        for each, head in ((each, main_head(each)) for each in workflows)
    ]
