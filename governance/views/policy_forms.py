"""Forms that turn what a person types into a policy document; whether it may serve is the engine's to say."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from django import forms

from governance.models import Mode


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


class ThresholdForm(PolicyForm):
    """The confidence from which answers are kept, step by step and rung by rung."""

    field_order = ["title"]

    def __init__(self, data: Any = None, *, document: dict[str, Any], initial: Mapping[str, Any]) -> None:
        """Make one field a gate, and one a rung that differs or may differ."""
        super().__init__(data, initial=dict(initial))
        self._base = document
        for number, step in enumerate(document["steps"]):
            gate = step.get("gate")
            if not gate:
                continue
            name = step["name"] if step["name"] != "*" else "any other step"
            self.fields[f"step-{number}"] = _threshold(
                f"{name}: keep an answer from confidence",
                gate.get("keep_from"),
                "Between 0 and 1. Below it the next rung is asked.",
            )
            for place, rung in enumerate(step["ladder"]):
                self.fields[f"step-{number}-rung-{place}"] = _threshold(
                    f"{name}, only {rung['model']}", rung.get("keep_from"), "Empty takes the step's."
                )
        for name in ("mode", "note"):
            self.fields[name] = self.fields.pop(name)

    def document(self) -> dict[str, Any]:
        """Return the base document with the thresholds typed here."""
        made = copy.deepcopy(self._base)
        for number, step in enumerate(made["steps"]):
            if f"step-{number}" not in self.fields:
                continue
            step["gate"]["keep_from"] = self.cleaned_data[f"step-{number}"]
            for place, rung in enumerate(step["ladder"]):
                rung["keep_from"] = self.cleaned_data[f"step-{number}-rung-{place}"]
        return made


class DocumentForm(PolicyForm):
    """The whole document as JSON."""

    text = forms.CharField(
        label="Policy document", max_length=200_000, widget=forms.Textarea(attrs={"rows": 30, "class": "mono"})
    )

    field_order = ["title", "text", "mode", "note"]

    def __init__(self, data: Any = None, *, document: dict[str, Any] | None, initial: Mapping[str, Any]) -> None:
        """Start from a document, or from an empty text."""
        text = json.dumps(document, indent=2, ensure_ascii=False) if document else ""
        super().__init__(data, initial={**initial, "text": text})

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


def _threshold(label: str, value: float | None, help_text: str) -> forms.FloatField:
    return forms.FloatField(
        label=label,
        required=False,
        initial=value,
        min_value=0,
        max_value=1,
        help_text=help_text,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
    )
