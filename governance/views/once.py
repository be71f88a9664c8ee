"""Forms whose result is shown once: sent again, by a reload or a second click, they make nothing more."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core import signing

from governance.models import new_id

SALT = "governance.once"
# As long as a session may last.
OPEN_FOR = timedelta(hours=12)


class OnceForm(forms.Form):
    """Carries the id of the row that it will make, which no second row can take. `once` is cleaned to that id."""

    once = forms.CharField(required=False, widget=forms.HiddenInput())

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        """Choose the id, signed, so that nobody else does."""
        super().__init__(data, initial={"once": signing.dumps(str(new_id()), salt=SALT)} | (initial or {}))

    def clean(self) -> dict[str, Any]:
        """Read the id; a form that is too old, or not ours, is refused as a whole."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            said["once"] = UUID(signing.loads(said.get("once") or "", salt=SALT, max_age=OPEN_FOR))
        except signing.BadSignature as error:
            raise forms.ValidationError("This form is too old to be sent. Open it again.") from error
        return said
