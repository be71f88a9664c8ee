"""Access tokens on one's own account: make one, whose text is shown once, and revoke one."""

import shlex
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from governance import access_tokens, accounts
from governance.confirmations import NotConfirmed
from governance.errors import InvalidInput
from governance.models import AccessToken, User
from governance.views.confirmed import check_password
from governance.views.forms import FormPage, refuse, sent, show
from governance.views.once import OnceForm


class TokenForm(OnceForm):
    """A token to be made, and the password once more."""

    name = forms.CharField(max_length=120, help_text="What uses it, such as Nightly policy job.")
    scope = forms.ChoiceField(label="What it may do", choices=AccessToken.Scope.choices, widget=forms.RadioSelect)
    days = forms.TypedChoiceField(
        label="For how long",
        coerce=int,
        initial=90,
        choices=[(days, f"{days} days") for days in access_tokens.DAYS],
        help_text="It ends by itself then.",
    )
    password = forms.CharField(
        label="Your password, once more",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="Whoever has the token acts in your name: show that it is you.",
    )

    def __init__(self, data: Any = None, *, person: User) -> None:
        """Ask for the password of this person."""
        super().__init__(data, initial={"scope": AccessToken.Scope.READ})
        self.person = person

    def clean(self) -> dict[str, Any]:
        """Look at the password last, when all else fits."""
        said = super().clean()
        password = said.pop("password", None)
        if password is None or self.errors:
            return said
        try:
            said["confirmed_at"] = check_password(self.person, password)
        except forms.ValidationError as error:
            self.add_error("password", error)
        return said


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def token_new(request: HttpRequest) -> HttpResponse:
    """Make a token; the answer alone holds it."""
    user = accounts.signed_in(request.user)
    form = TokenForm(sent(request), person=user)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            made, text = access_tokens.create(identity=said.pop("once"), by=user, **said)
        except (InvalidInput, NotConfirmed) as error:
            if error.field == "id":
                messages.warning(request, "This form was sent before: its token is made, and not shown again.")
                return redirect("account")
            refuse(form, error)
        else:
            return _made(request, made, text)
    page = FormPage(
        title="Make an access token",
        headline="Make an access token for your own programs",
        lede="By it a program reads changes and proposes them in your name. It never votes, and makes nothing live.",
        submit="Make it",
        back=("Your account", reverse("account")),
        notes=(
            ("What it may do", "What your roles let you do at that moment, as far as you choose here."),
            ("What it never does", "Vote, activate, ratify, roll back, stop anything, or give rights."),
            ("When it ends", "On its day, when you or an administrator revoke it, or when you may no longer sign in."),
        ),
    )
    return show(request, form, page)


@require_POST
def token_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a token: one's own, or as an administrator another's."""
    user = accounts.signed_in(request.user)
    held = AccessToken.objects.select_related("person")
    mine = held if accounts.can(user, "accounts.edit", accounts.ORGANISATION) else held.filter(person=user)
    found = get_object_or_404(mine, pk=pk)
    try:
        access_tokens.revoke(token=found, by=user)
    except InvalidInput as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{found.name} is revoked: it opens nothing any more.")
    return redirect("account") if found.person_id == user.pk else redirect("person", pk=found.person_id)


def _made(request: HttpRequest, made: AccessToken, text: str) -> HttpResponse:
    url = f"{settings.PUBLIC_URL.rstrip('/')}{reverse('api_changes')}?state=open"
    curl = f"curl -s {shlex.quote(url)} -H 'authorization: Bearer {text}'"
    return render(request, "governance/token_made.html", {"token": made, "text": text, "curl": curl})
