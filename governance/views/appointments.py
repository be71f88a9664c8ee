"""Appointments on a change's page: name the moment at which it becomes live by itself, and take that back."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance import accounts, appointments, changes
from governance.errors import InvalidInput
from governance.models import Change


class AppointmentForm(forms.Form):
    """A moment; the digest says for which content."""

    digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    at = forms.DateTimeField(
        label="Becomes live by itself at",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"required": "Choose a moment after now.", "invalid": "Write a date and a time."},
    )

    def __init__(self, data: Any = None, *, digest: str = "") -> None:
        """Say in which time zone the moment is read."""
        super().__init__(data, initial={"digest": digest}, prefix="appoint")
        zone = timezone.get_current_timezone_name()
        self.fields["at"].help_text = f"Time in {zone}. All is checked again then."


@require_POST
def change_appoint(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let an approved change become live by itself."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.activate", found)
    form = AppointmentForm(request.POST)
    if not form.is_valid():
        messages.error(request, str(form.errors.get("at", ["Open the change again."])[0]))
        return redirect("change", pk=pk)
    try:
        appointments.appoint(change=found, by=user, **form.cleaned_data)
    except (changes.ChangeError, InvalidInput) as error:
        said = str(error).removeprefix(f"{error.field}: ")
        messages.error(request, said[:1].upper() + said[1:])
    else:
        messages.success(request, "It becomes live by itself at that moment.")
    return redirect("change", pk=pk)


@require_POST
def change_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take the appointment of a change back."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.activate", found)
    try:
        appointments.cancel(change=found, by=user)
    except changes.ChangeError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "It no longer becomes live by itself; it stays approved.")
    return redirect("change", pk=pk)
