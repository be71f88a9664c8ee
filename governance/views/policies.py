"""Policy versions: what one says, and where it is in force."""

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from governance import accounts, policies
from governance.models import PolicyVersion, Workflow
from governance.views import drawing


@require_GET
def policy(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One version of a workflow's policy, as sentences and as the document."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user), slug=slug)
    versions = PolicyVersion.objects.filter(workflow=workflow).select_related("created_by").order_by("-number")
    version = get_object_or_404(versions, number=number)
    document = msgspec.json.format(msgspec.json.encode(version.document, order="sorted"), indent=2).decode()
    heads = workflow.heads.filter(version=version).select_related("environment")
    context = {
        "workflow": workflow,
        "version": version,
        "versions": versions[:50],
        "heads": [head.environment.name for head in heads],
        "sentences": drawing.lines(policies.read(version.document)),
        "document": document,
        "may_propose": accounts.can(request.user, "changes.propose", workflow),
    }
    return render(request, "governance/policy.html", context)
