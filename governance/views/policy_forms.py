"""Forms that turn what a person types into a policy document; whether it may serve is the engine's to say."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class StepFields:
    """The fields of one step: the confidence that keeps an answer, and one pair a rung (model, own confidence)."""

    name: str
    keep: forms.BoundField
    rungs: list[tuple[forms.BoundField, forms.BoundField]]


class LadderForm(PolicyForm):
    """Which models each step asks, in which order, and from which confidence their answers are kept."""

    def __init__(
        self,
        data: Any = None,
        *,
        document: dict[str, Any],
        models: Sequence[tuple[str, str]],
        initial: Mapping[str, Any],
    ) -> None:
        """Make the fields of each step, with room for one rung more; `models` are names with their words."""
        super().__init__(data, initial=dict(initial))
        self._base = document
        for number, step in enumerate(document["steps"]):
            name, ladder = _step_name(step), step["ladder"]
            self.fields[f"step-{number}"] = _threshold(
                f"{name}: keep an answer from confidence",
                (step.get("gate") or {}).get("keep_from"),
                "Between 0 and 1; below it the next model is asked. Empty keeps any answer.",
            )
            for place in range(len(ladder) + 1):
                rung = ladder[place] if place < len(ladder) else {}
                named = rung.get("model", "")
                offered = models if named in dict([("", ""), *models]) else [(named, named), *models]
                self.fields[f"step-{number}-model-{place}"] = forms.ChoiceField(
                    label=f"{name}: asked {_place_words(place)}",
                    required=False,
                    initial=named,
                    choices=[("", "no further model"), *offered],
                )
                self.fields[f"step-{number}-rung-{place}"] = _threshold(
                    "kept from", rung.get("keep_from"), "" if place else "Empty: as the step says."
                )

    @property
    def steps(self) -> list[StepFields]:
        """The fields by step, for the page."""
        return [
            StepFields(
                _step_name(step),
                self[f"step-{number}"],
                [
                    (self[f"step-{number}-model-{place}"], self[f"step-{number}-rung-{place}"])
                    for place in range(len(step["ladder"]) + 1)
                ],
            )
            for number, step in enumerate(self._base["steps"])
        ]

    @property
    def wrong_steps(self) -> bool:
        """Whether anything that was typed of a step cannot be read."""
        return any(name.startswith("step-") for name in self.errors)

    def document(self) -> dict[str, Any]:
        """Return the base document with the ladders and thresholds typed here; what was not sent stays."""
        made = copy.deepcopy(self._base)
        for number, step in enumerate(made["steps"]):
            keep_from = self._said(f"step-{number}", (step.get("gate") or {}).get("keep_from"))
            if step.get("gate") or keep_from is not None:
                step["gate"] = (step.get("gate") or {}) | {"keep_from": keep_from}
            rungs = []
            for place in range(len(step["ladder"]) + 1):
                rung = step["ladder"][place] if place < len(step["ladder"]) else {}
                model = self._said(f"step-{number}-model-{place}", rung.get("model", ""))
                own = self._said(f"step-{number}-rung-{place}", rung.get("keep_from"))
                if model:
                    rungs.append({"model": model} if own is None else {"model": model, "keep_from": own})
            step["ladder"] = rungs
        return made

    def _said(self, name: str, before: Any) -> Any:
        """What was typed into a field, or what stood there where it was not sent."""
        return self.cleaned_data.get(name) if name in self.data else before


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


def _step_name(step: Mapping[str, Any]) -> str:
    """A step as a label names it."""
    return str(step["name"]) if step["name"] != "*" else "any other step"


def _place_words(place: int) -> str:
    """The place of a rung in words: first, then second, third …"""
    return ("first", "second", "third", "fourth", "fifth")[place] if place < 5 else f"as number {place + 1}"
