"""Emergencies: break the glass for a change, take it back, and say afterwards whether it was right."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from governance import accounts, changes, emergencies
from governance.errors import InvalidInput
from governance.models import Change, Emergency, User
from governance.views.confirmed import ConfirmedForm
from governance.views.forms import FormPage, ReasonForm, ask, sent

NOTES = (
    ("Until then", "Everybody sees on every page that it holds."),
    ("Then", "What was live before is live again by itself. To let it stay, propose it anew and have it voted on."),
    ("Within two days", "Somebody who neither wrote it nor broke the glass looks back at it and says what he found."),
    ("Not past", "A stop, an objection, or an earlier emergency that nobody has looked back at."),
)


class EmergencyForm(ConfirmedForm):
    """For how long; the digest says for which content."""

    digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    hours = forms.IntegerField(
        label="For how many hours",
        min_value=min(emergencies.HOURS),
        max_value=max(emergencies.HOURS),
        help_text="1 to 24.",
    )

    field_order = ("digest", "reason", "hours", "password")

    def __init__(self, data: Any = None, *, person: User, digest: str) -> None:
        """Offer the usual time."""
        super().__init__(data, person=person, initial={"digest": digest, "hours": emergencies.USUAL_HOURS})


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def change_emergency(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make a change live without the votes it needs, for hours."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "emergencies.begin", found)
    form = EmergencyForm(sent(request), person=user, digest=found.revision.payload_digest)
    why_not = emergencies.why_not(found)
    page = FormPage(
        title="Break the glass",
        headline="Make it live without its votes?",
        lede=f"No emergency makes it live: {why_not}."
        if why_not
        else f"{found.title}, for {found.place}. For what cannot wait for votes; no rest and no freeze holds it.",
        submit="Break the glass",
        back=(f"Change {found.number}", reverse("change", args=[pk])),
        danger=True,
        notes=NOTES,
    )

    def act() -> str:
        made = emergencies.begin(change=found, by=user, **form.cleaned_data)
        messages.success(request, f"It is live by an emergency, for {form.cleaned_data['hours']} hours.")
        return reverse("change", args=[made.change_id])

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def change_emergency_end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a change back that is live by an emergency."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "emergencies.end", found)
    get_object_or_404(Emergency, change=found)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="End the emergency",
        headline="End the emergency now?",
        lede=f"What was live before change {found.number} is live again at once.",
        submit="End it now",
        back=(f"Change {found.number}", reverse("change", args=[pk])),
        danger=True,
    )

    def act() -> str:
        emergencies.end(change=found, by=user, **form.cleaned_data)
        messages.success(request, "The emergency is over: what was live before is live again.")
        return page.back[1]

    return ask(request, form, page, act)


@require_POST
def change_look_back(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say whether an emergency was right."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.vote", found)
    said = {"opinion": request.POST.get("opinion", ""), "reason": request.POST.get("reason", "")[:2000]}
    try:
        emergencies.look_back(change=found, by=user, **said)
    except (changes.ChangeError, InvalidInput) as error:
        messages.error(request, "Say what you found." if getattr(error, "field", "") == "reason" else str(error))
    else:
        messages.success(request, "You looked back at it.")
    return redirect("change", pk=pk)
