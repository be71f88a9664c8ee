"""One's own account: time zone, password, sessions; and the door of an invitation."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts
from governance import people as persons
from governance.errors import InvalidInput
from governance.models import Delegation, Grant, User
from governance.views.confirmed import check_password
from governance.views.forms import FormPage, ask, refuse, sent
from governance.views.people import rights
from governance.views.people_acts import zones


class ProfileForm(forms.Form):
    """What a person sets for oneself."""

    time_zone = forms.ChoiceField(label="Time zone", choices=zones, help_text="Times on pages stand in it.")


class NewPasswordForm(forms.Form):
    """A password, twice."""

    password = forms.CharField(
        label="New password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters, and no common word.",
    )
    again = forms.CharField(
        label="The same again", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean(self) -> dict[str, Any]:
        """Both alike."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if said.get("again") and said.get("password") != said["again"]:
            self.add_error("again", "The two are not alike.")
        return said


class PasswordForm(NewPasswordForm):
    """A password for another, of somebody who knows the one of now."""

    current = forms.CharField(
        label="Present password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    field_order = ("current", "password", "again")

    def __init__(self, data: Any = None, *, person: User) -> None:
        """Ask for the password of this person."""
        super().__init__(data)
        self.person = person

    def clean_current(self) -> None:
        """It must be right."""
        check_password(self.person, self.cleaned_data["current"])


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Who one is here, and what one may do."""
    user = accounts.signed_in(request.user)
    held = Grant.objects.in_force().filter(user=user).with_people().order_by("team__name", "role")
    context = {
        "grants": held,
        "rights": rights(list(held)),
        "delegations": Delegation.objects.involving(user).ahead(timezone.now()),
        "may_delegate": accounts.can(user, "changes.vote"),
        "tokens": user.access_tokens.held(timezone.now()),
    }
    return render(request, "governance/account.html", context)


@require_http_methods(["GET", "POST"])
def account_edit(request: HttpRequest) -> HttpResponse:
    """Change one's time zone."""
    user = accounts.signed_in(request.user)
    form = ProfileForm(sent(request), initial={"time_zone": user.time_zone})
    page = FormPage(
        title="Edit",
        headline="Your time zone",
        lede="Your name stands beside what you decide: an administrator changes it. You sign in with your address.",
        submit="Save",
        back=("Your account", reverse("account")),
    )

    def act() -> str:
        persons.edit(person=user, name=user.name, by=user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return page.back[1]

    return ask(request, form, page, act)


@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def account_password(request: HttpRequest) -> HttpResponse:
    """Choose another password; sessions elsewhere end."""
    user = accounts.signed_in(request.user)
    form = PasswordForm(sent(request), person=user)
    page = FormPage(
        title="Password",
        headline="Choose another password",
        lede="Wherever else you are signed in, you are signed out.",
        submit="Change it",
        back=("Your account", reverse("account")),
    )

    def act() -> str:
        changed = accounts.set_password(person=user, password=form.cleaned_data["password"], by=user)
        update_session_auth_hash(request, changed)
        messages.success(request, "Your password is changed. You are signed in here alone.")
        return page.back[1]

    return ask(request, form, page, act)


@require_POST
def account_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere else."""
    user = accounts.signed_in(request.user)
    update_session_auth_hash(request, persons.end_sessions(person=user, by=user))
    messages.success(request, "You are signed in here alone.")
    return redirect("account")


@never_cache
@login_not_required
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest, pk: UUID, token: str) -> HttpResponse:
    """Where an invitation leads: choose a password, and be signed in."""
    person = persons.invited(pk, token)
    if person is None:
        return render(request, "governance/welcome.html", {"person": None}, status=404)
    form = NewPasswordForm(sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            accepted = persons.accept(pk=pk, token=token, password=form.cleaned_data["password"])
        except InvalidInput as error:
            refuse(form, error)
        else:
            login(request, accepted)
            return redirect("home")
    status = 422 if form.is_bound else 200
    return render(request, "governance/welcome.html", {"person": person, "form": form}, status=status)
