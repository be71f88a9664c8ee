"""Proposing another entry of a workflow of which a policy is live, and writing such a change anew."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from governance import accounts, changes, entries
from governance.models import Change, Workflow
from governance.views.forms import FormPage, ask, sent
from governance.views.workflow_forms import EntryForm, of_entry

GROUPS = (
    ("The entry", ("risk", "data_class", "rationale", "people_affected", "regions")),
    ("How long texts are kept", ("retention_days",)),
)


@require_http_methods(["GET", "POST"])
def entry_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Propose another risk, data class, region or retention for a workflow."""
    found = get_object_or_404(Workflow.objects.visible_to(request.user).select_related("team"), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)
    if not entries.governed(found):
        raise Http404("No policy of it is live: its entry is written, not proposed.")
    form = EntryForm(sent(request), initial=of_entry(entries.of(found)))
    back = (found.name, reverse("workflow", args=[found.slug]))

    def act() -> str:
        said = {name: form.cleaned_data[name] for name in ("title", "note")}
        made = changes.propose_entry(workflow=found, document=form.document(), by=user, **said)
        return _proposed(request, changes.proceed(change=made, by=user))

    return ask(request, form, _page(f"Propose another entry of {found.name}", back, ("title", "note")), act)


@require_http_methods(["GET", "POST"])
def entry_revise(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit an open change of an entry as a new revision."""
    of_entries = Change.objects.visible_to(request.user).filter(kind=Change.Kind.WORKFLOW)
    found = get_object_or_404(of_entries.for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)
    made = found.revision.leads_to
    start: dict[str, Any] = of_entry(made.document) | {"title": found.title, "note": made.note}
    form = EntryForm(sent(request), initial=start)
    # A revision keeps the title of its change.
    del form.fields["title"]

    def act() -> str:
        note = form.cleaned_data["note"]
        return _proposed(request, changes.revise(change=found, document=form.document(), note=note, by=user))

    back = (f"Change {found.number}", reverse("change", args=[pk]))
    page = _page(f"Revise change {found.number}", back, ("note",))
    return ask(request, form, page, act)


def _proposed(request: HttpRequest, made: Change) -> str:
    messages.success(request, f"{made} is {made.get_state_display().lower()}.")
    return reverse("change", args=[made.pk])


def _page(headline: str, back: tuple[str, str], about: tuple[str, ...]) -> FormPage:
    return FormPage(
        title=headline,
        headline=headline,
        lede="A policy of it is live: nothing here holds before it has as many votes as the strictest environment in "
        "which one is asks for. Until then the present entry does.",
        submit="Submit for approval",
        back=back,
        groups=(("What voters read first", about), *GROUPS),
    )
