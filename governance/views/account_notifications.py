"""What one is told by e-mail: the choice, and the last messages with what came of each."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from governance import accounts, preferences
from governance.models import Delivery, Preference
from governance.notifications import DIGEST_HOUR
from governance.views.forms import sent

SHOWN = 20


class PreferencesForm(forms.Form):
    """How one is told of each kind of thing."""

    def __init__(self, data: Any = None, *, chosen: dict[str, str]) -> None:
        """Offer each kind, set to what is chosen now."""
        super().__init__(data)
        for kind in preferences.CHOSEN:
            self.fields[kind.value] = forms.ChoiceField(
                label=kind.label,
                choices=Preference.How.choices,
                initial=chosen.get(kind.value, Preference.How.AT_ONCE),
            )


@require_http_methods(["GET", "POST"])
def account_notifications(request: HttpRequest) -> HttpResponse:
    """Choose what one is told by e-mail; what waits on one stands on the home page whatever is chosen."""
    user = accounts.signed_in(request.user)
    form = PreferencesForm(sent(request), chosen=Preference.objects.of(user))
    if request.method == "POST" and form.is_valid():
        preferences.choose(person=user, choices=form.cleaned_data, by=user)
        messages.success(request, "Saved.")
        return redirect("account_notifications")
    context = {
        "form": form,
        "deliveries": Delivery.objects.filter(person=user).newest_first()[:SHOWN],
        "sends": settings.SENDS_EMAIL,
        "to_files": settings.EMAIL_TO_FILES,
        "hour": DIGEST_HOUR,
    }
    return render(request, "governance/account_notifications.html", context, status=422 if form.errors else 200)
