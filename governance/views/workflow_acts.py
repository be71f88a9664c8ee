"""What changes a workflow's entry: adding one, editing it, adding a step, its end."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from governance import accounts, entries, workflows
from governance.errors import InvalidInput
from governance.models import Workflow
from governance.views.forms import ReasonForm, sent
from governance.views.workflow_forms import NewWorkflowForm, StepForm, UngovernedForm, WorkflowForm, told


@require_http_methods(["GET", "POST"])
def workflow_new(request: HttpRequest) -> HttpResponse:
    """Add a workflow. It serves nothing before a policy for it is live."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "workflows.create")
    form = NewWorkflowForm(sent(request), user=user)
    context = {"headline": "Add a workflow", "act": "Add it", "back": reverse("workflows"), "workflow": None}
    return _form(request, form, context, lambda said: workflows.create(by=user, **said))


@require_http_methods(["GET", "POST"])
def workflow_edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change who answers for a workflow and, before a policy of it is live, its entry."""
    found = get_object_or_404(Workflow.objects.visible_to(request.user).select_related("team"), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "workflows.edit", found)
    governed = entries.governed(found)
    form = (WorkflowForm if governed else UngovernedForm)(sent(request), initial=told(found))
    context = _context(found, f"What is written of {found.name}", "Save") | {"crumb": "Edit", "governed": governed}
    return _form(request, form, context, lambda said: workflows.edit(workflow=found, by=user, **said))


@require_http_methods(["GET", "POST"])
def step_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a step at the end."""
    found = get_object_or_404(Workflow.objects.visible_to(request.user).select_related("team"), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "workflows.edit", found)
    context = _context(found, f"Add a step to {found.name}", "Add it") | {"crumb": "Add a step"}

    def add(said: dict[str, Any]) -> Workflow:
        return workflows.add_step(workflow=found, by=user, **said).workflow

    return _form(request, StepForm(sent(request)), context, add)


@require_http_methods(["GET", "POST"])
def workflow_retire(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a workflow out of use, for good."""
    found = get_object_or_404(Workflow.objects.visible_to(request.user).select_related("team"), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "workflows.edit", found)
    context = _context(found, f"Take {found.name} out of use?", "Take it out of use, for good") | {
        "crumb": "Take it out of use",
        "danger": "Its keys stop working within seconds and its policies leave the gateways. Its record stays.",
    }
    form = ReasonForm(sent(request))
    return _form(request, form, context, lambda said: workflows.retire(workflow=found, by=user, **said))


def _context(found: Workflow, headline: str, act: str) -> dict[str, Any]:
    return {"workflow": found, "headline": headline, "act": act, "back": reverse("workflow", args=[found.slug])}


def _form(
    request: HttpRequest, form: forms.Form, context: dict[str, Any], write: Callable[[dict[str, Any]], Workflow]
) -> HttpResponse:
    if form.is_bound and form.is_valid():
        try:
            made = write(form.cleaned_data)
        except (InvalidInput, workflows.EntryGoverned) as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, f"{made.name} is saved.")
            return redirect("workflow", slug=made.slug)
    status = 422 if form.is_bound else 200
    return render(request, "governance/workflow_form.html", context | {"form": form}, status=status)
