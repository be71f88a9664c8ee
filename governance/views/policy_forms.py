"""Forms that turn what a person types into a policy document; whether it may serve is the engine's to say."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms

from governance.models import Mode
from governance.views.policy_fields import PolicyFields


class PolicyForm(forms.Form):
    """What both ways of editing share: a title and a reason for the voters."""

    title = forms.CharField(label="What changes, in one line", max_length=200)
    mode = forms.ChoiceField(
        label="Once it is live",
        choices=[
            (
                Mode.OBSERVE,
                "it only observes: whoever is asked answers, and what the policy would do is recorded",
            ),
            (Mode.ENFORCE, "it enforces: the policy decides who answers"),
        ],
        widget=forms.RadioSelect,
    )
    note = forms.CharField(
        label="Why",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Voters and auditors read this.",
    )

    def document(self) -> dict[str, Any]:
        """Return the document as it was typed."""
        raise LookupError("a policy form knows its document")


class LadderForm(PolicyFields, PolicyForm):
    """What changes, with the parts of the policy that have fields."""


class DocumentText(forms.Form):
    """A whole policy document as JSON."""

    text = forms.CharField(
        label="Policy document", max_length=200_000, widget=forms.Textarea(attrs={"rows": 30, "class": "mono"})
    )

    def clean_text(self) -> str:
        """Refuse what is not one JSON object, saying where it goes wrong."""
        text: str = self.cleaned_data["text"]
        try:
            read = json.loads(text)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
            ) from error
        except RecursionError as error:
            raise forms.ValidationError("This is nested too deeply for a policy.") from error
        if not isinstance(read, dict):
            raise forms.ValidationError("A policy document is one JSON object, { … }.")
        return text

    def document(self) -> dict[str, Any]:
        """Return the object that was typed."""
        made: dict[str, Any] = json.loads(self.cleaned_data["text"])
        return made


class DocumentForm(DocumentText, PolicyForm):
    """What changes, with the whole document."""

    def __init__(self, data: Any = None, *, document: dict[str, Any] | None, initial: Mapping[str, Any]) -> None:
        """Start from a document, or from an empty text."""
        super().__init__(data, initial={**initial, "text": document_text(document)})


def document_text(document: dict[str, Any] | None) -> str:
    """Return a document as it is edited, an empty text for none."""
    return json.dumps(document, indent=2, ensure_ascii=False) if document else ""
