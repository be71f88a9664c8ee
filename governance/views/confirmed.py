"""Forms that ask for the password once more, because what they do is done at once."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from governance import audit, brakes
from governance.models import User
from governance.views.forms import ReasonForm


def check_password(person: User, password: str) -> datetime:
    """Return when a person's password was found right: now. Raises ValidationError for another.

    No way round the brake on signing in: a screen left open must not be enough.
    """
    tried: dict[str, Any] = {"account": person.email, "address": audit.address(), "now": timezone.now()}
    try:
        brakes.admit(**tried)
    except brakes.Braked as braked:
        raise forms.ValidationError(str(braked)) from braked
    if not person.check_password(password):
        brakes.failed(**tried)
        raise forms.ValidationError("This is not the present password.")
    brakes.succeeded(**tried)
    return timezone.now()


class ConfirmedForm(ReasonForm):
    """A reason, and the password once more."""

    password = forms.CharField(
        label="Your password, once more",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="It is done at once, without another’s vote: show that it is you.",
    )

    def __init__(self, data: Any = None, *, person: User, initial: Any = None) -> None:
        """Ask for the password of this person."""
        super().__init__(data, initial=initial)
        self.person = person

    def clean(self) -> dict[str, Any]:
        """Look at the password last, when all else fits, and leave only when it was found right."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        password = said.pop("password", None)
        if password is None or self.errors:
            return said
        try:
            said["confirmed_at"] = check_password(self.person, password)
        except forms.ValidationError as error:
            self.add_error("password", error)
        return said
