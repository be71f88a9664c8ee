"""Policy versions: what one says, where it is live, and where it could be."""

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from governance import accounts, policies
from governance.models import Environment, PolicyVersion, Workflow
from governance.views import drawing


@require_GET
def policy(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One version of a workflow's policy, as sentences and as the document."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user), slug=slug)
    versions = PolicyVersion.objects.filter(workflow=workflow).select_related("created_by").order_by("-number")
    version = get_object_or_404(versions, number=number)
    document = msgspec.json.format(msgspec.json.encode(version.document, order="sorted"), indent=2).decode()
    live = {head.environment_id: head.version_id for head in workflow.heads.all()}
    serving = list(Environment.objects.serving().order_by("-position"))
    may_propose = workflow.retired_at is None and accounts.can(request.user, "changes.propose", workflow)
    context = {
        "workflow": workflow,
        "version": version,
        "versions": versions[:50],
        "live": set(live.values()),
        "heads": list(workflow.heads.filter(version=version).values_list("environment__name", flat=True)),
        "chapters": drawing.chapters(policies.read(version.document)),
        "document": document,
        "may_propose": may_propose,
        "proposable": [each for each in serving if live.get(each.pk) != version.pk] if may_propose else [],
    }
    return render(request, "governance/policy.html", context)
