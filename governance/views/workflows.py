"""Workflows: the list, and the page of one."""

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_GET

from governance import accounts, policies
from governance.figures import Rung
from governance.models import Change, PolicyHead, Workflow
from governance.views import drawing


@dataclass
class Row:
    """One workflow in a table: what is in force on the way to production, and the ladder of its first step."""

    workflow: Workflow
    head: PolicyHead | None
    rungs: list[Rung]
    open_changes: bool = False


@require_GET
def workflows(request: HttpRequest) -> HttpResponse:
    """All workflows this person may see, with what is in force."""
    accounts.require(request.user, "workflows.view")
    page = Paginator(Workflow.objects.visible_to(request.user).in_use().with_heads(), 50).get_page(
        request.GET.get("page")
    )
    return render(request, "governance/workflows.html", {"page": page, "rows": rows(list(page))})


@require_GET
def workflow(request: HttpRequest, slug: str) -> HttpResponse:
    """One workflow: its class, ladder, policy and changes."""
    found = get_object_or_404(Workflow.objects.visible_to(request.user).with_heads(), slug=slug)
    head = main_head(found)
    document = policies.read(head.version.document) if head else None
    context = {
        "workflow": found,
        "heads": found.heads.all(),
        "mode": head.get_mode_display() if head else None,
        "steps": drawing.steps(found, document) if document else [],
        "sentences": drawing.lines(document) if document else [],
        "changes": Change.objects.visible_to(request.user).filter(workflow=found).for_list()[:6],
        "may_propose": accounts.can(request.user, "changes.propose", found),
        "may_audit": accounts.can(request.user, "audit.view", found),
        "spend_url": _spend_url(found) if accounts.can(request.user, "spend.view", found) else None,
        "reviews_url": f"{reverse('reviews')}?workflow={found.slug}"
        if accounts.can(request.user, "reviews.view", found)
        else None,
    }
    return render(request, "governance/workflow.html", context)


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


def _spend_url(workflow: Workflow) -> str | None:
    """Where its cost stands, a page of an app above this one."""
    try:
        return f"{reverse('spend')}?workflow={workflow.slug}"
    except NoReverseMatch:
        return None
