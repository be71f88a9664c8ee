"""Proposing where a model may be asked, attesting it anew, and writing such a change anew."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from governance import accounts, admissions, changes
from governance.models import Change, Environment, Model
from governance.views.admission_forms import GROUPS, AdmissionForm
from governance.views.forms import FormPage, ask, sent


@require_http_methods(["GET", "POST"])
def admission_new(request: HttpRequest, name: str, environment: str) -> HttpResponse:
    """Propose that the current version of a model may be asked in an environment, or attest it anew."""
    found = get_object_or_404(Model.objects.visible_to(request.user).select_related("team"), name=name)
    version = get_object_or_404(found.versions.select_related("model__team"), is_current=True)
    place = get_object_or_404(Environment, name=environment)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found, environment=place)
    about = {"title": f"Admit {found.title} {version.version} in {place.name}"}
    form = AdmissionForm(sent(request), version=version, document=admissions.draft(version, place), about=about)

    def act() -> str:
        said = {each: form.cleaned_data[each] for each in ("title", "note")}
        made = changes.propose_admission(version=version, environment=place, document=form.document(), by=user, **said)
        return proposed(request, changes.proceed(change=made, by=user))

    headline = f"Where and for what may {found.title} be asked in {place.name}?"
    return ask(request, form, _page("Admission", headline, (found.title, _page_of(found)), ("title", "note")), act)


@require_http_methods(["GET", "POST"])
def admission_revise(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit an open change of an admission as a new revision."""
    of_models = Change.objects.visible_to(request.user).filter(kind=Change.Kind.MODEL)
    found = get_object_or_404(of_models.for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)
    made, version = found.revision.leads_to, found.model_version
    if version is None:
        raise LookupError("an admission is that of a model’s version")
    form = AdmissionForm(sent(request), version=version, document=made.document, about={"note": made.note})
    # A revision keeps the title of its change.
    del form.fields["title"]

    def act() -> str:
        note = form.cleaned_data["note"]
        return proposed(request, changes.revise(change=found, document=form.document(), note=note, by=user))

    back = (f"Change {found.number}", reverse("change", args=[pk]))
    return ask(request, form, _page("Revise", f"Revise change {found.number}", back, ("note",)), act)


def proposed(request: HttpRequest, made: Change) -> str:
    """Say how a change stands that was just written, and return its address."""
    messages.success(request, f"{made} is {made.get_state_display().lower()}.")
    return reverse("change", args=[made.pk])


def _page(title: str, headline: str, back: tuple[str, str], about: tuple[str, ...]) -> FormPage:
    groups: tuple[tuple[str, Any], ...] = (("What voters read first", about), *GROUPS)
    return FormPage(
        title=title,
        headline=headline,
        lede="Gateways ask it only as it is agreed here, once this has the votes that the environment asks for. What "
        "breaks a condition suspends it there by itself, until it is attested anew.",
        submit="Submit for approval",
        back=back,
        groups=groups,
    )


def _page_of(model: Model) -> str:
    return reverse("model", args=[model.name])
