"""Proposing from which parts of the standards a workflow is excepted, and writing such a change anew."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from governance import accounts, changes, exceptions, standards
from governance.errors import InvalidInput
from governance.exceptions import Exceptions, InvalidExceptions
from governance.models import Change, Environment, Workflow
from governance.views.forms import sent
from governance.views.standard_forms import ExceptionsForms, moved


@require_http_methods(["GET", "POST"])
def exceptions_new(request: HttpRequest, slug: str, environment: str) -> HttpResponse:
    """Propose other exceptions of a workflow in an environment."""
    found = get_object_or_404(Workflow.objects.visible_to(request.user).select_related("team"), slug=slug)
    place = get_object_or_404(Environment, name=environment)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found, environment=place)

    def submit(document: dict[str, Any], **said: Any) -> Change:
        made = changes.propose_exceptions(workflow=found, environment=place, document=document, by=user, **said)
        return changes.proceed(change=made, by=user)

    content = exceptions.content_of(found, place)
    start = exceptions.read(content.document) if content else Exceptions()
    return _edit(request, found, place, start, {}, submit, content.pk if content else None)


@require_http_methods(["GET", "POST"])
def exceptions_revise(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit an open change of exceptions as a new revision."""
    of_exceptions = Change.objects.visible_to(request.user).filter(kind=Change.Kind.EXCEPTION)
    found = get_object_or_404(of_exceptions.for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)
    made = found.revision.leads_to
    if found.workflow is None or found.environment is None:
        raise LookupError("exceptions are those of a workflow in an environment")

    def submit(document: dict[str, Any], note: str, **_kept: Any) -> Change:
        return changes.revise(change=found, document=document, note=note, by=user)

    start, about = exceptions.read(made.document), {"title": found.title, "note": made.note}
    return _edit(request, found.workflow, found.environment, start, about, submit, found.revision_id, found)


def _edit(
    request: HttpRequest,
    workflow: Workflow,
    environment: Environment,
    start: Exceptions,
    about: dict[str, Any],
    submit: Callable[..., Change],
    stood: object,
    change: Change | None = None,
) -> HttpResponse:
    """Show or take the form; `stood` is the key of what it is made from."""
    given, known = sent(request), standards.parts_known(workflow, environment)
    page = ExceptionsForms(given, start, about, known)
    if change is not None:
        # A revision keeps the title of its change.
        del page.about.fields["title"]
    problems, refused = [], moved(given, stood)
    if given is not None and page.is_valid() and not refused:
        said = {name: page.about.cleaned_data.get(name, "") for name in ("title", "note")}
        try:
            made = submit(page.document(), **said)
        except InvalidExceptions as error:
            problems = page.place(error.problems)
        except (changes.ChangeError, InvalidInput) as error:
            refused = str(error)
        else:
            messages.success(request, f"{made} is {made.get_state_display().lower()}.")
            return redirect("change", pk=made.pk)
    context = {
        "page": page,
        "workflow": workflow,
        "environment": environment,
        "problems": problems,
        "refused": refused,
        "stood": stood,
        "change": change,
        "nothing": not any(known.values()) and not start.exceptions,
    }
    return render(request, "governance/exceptions_new.html", context, status=200 if given is None else 422)
