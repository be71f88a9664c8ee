"""The form of an admission: for which data, where, and under what conditions a model may be asked."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from governance.models import DataClass, ModelVersion, Step
from governance.views.forms import AboutForm

GROUPS = (
    ("What is agreed", ("data_classes", "endpoints")),
    ("What suspends it by itself", ("valid_until", "cost", "score_of", "score_at_least", "served_as")),
)


class AdmissionForm(AboutForm):
    """A change of an admission: what voters read first, then the whole of it."""

    data_classes = forms.MultipleChoiceField(label="For data that is", widget=forms.CheckboxSelectMultiple)
    endpoints = forms.MultipleChoiceField(
        label="At",
        widget=forms.CheckboxSelectMultiple,
        help_text="Every open endpoint of this version there.",
        error_messages={"required": "Choose at least one; without an endpoint nothing is asked."},
    )
    valid_until = forms.DateField(
        label="Approved until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The last day. Empty: without an end.",
    )
    cost = forms.DecimalField(
        label="USD for a million tokens, at most",
        required=False,
        min_value=Decimal("0.0001"),
        max_digits=14,
        decimal_places=4,
        help_text="As the ledger counts the last 30 days there.",
    )
    score_of = forms.ChoiceField(label="Of the newest evaluation of", required=False)
    score_at_least = forms.DecimalField(
        label="at least so much right, %",
        required=False,
        min_value=Decimal("0.1"),
        max_value=Decimal(100),
        decimal_places=1,
        max_digits=4,
    )
    served_as = forms.CharField(
        label="Only these may say that they answer",
        required=False,
        max_length=1_000,
        help_text="The model’s name as its answers tell it; several with a comma between them. Empty: any.",
    )

    def __init__(
        self, data: Any = None, *, version: ModelVersion, document: Mapping[str, Any], about: dict[str, Any]
    ) -> None:
        """Start from a document; offer the classes that the version is cleared for, and the document's endpoints."""
        self.document_before = document
        super().__init__(data, initial=_initial(document) | about)
        classes = [(name, DataClass(name).label) for name in DataClass.values if name in version.data_classes]
        places = [
            (each["endpoint"], f"{each['url']} as {each['upstream_model']}, {each['region']}")
            for each in document["endpoints"]
        ]
        steps = Step.objects.filter(workflow__retired_at=None).select_related("workflow")
        named = [
            (f"{step.workflow.slug}/{step.name}", f"{step.workflow.name}: {step.name}")
            for step in steps.order_by("workflow__name", "position")
        ]
        for name, choices in (("data_classes", classes), ("endpoints", places), ("score_of", [("", "None"), *named])):
            field = self.fields[name]
            if isinstance(field, forms.ChoiceField):
                field.choices = choices

    def clean(self) -> dict[str, Any]:
        """A score is of a step."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if bool(said.get("score_of")) != (said.get("score_at_least") is not None):
            self.add_error("score_at_least", "Name both the step and how much of it must be right, or neither.")
        return said

    def document(self) -> dict[str, Any]:
        """Return the admission that was typed. For valid forms."""
        said, before = self.cleaned_data, self.document_before
        score, until = None, said["valid_until"]
        if said["score_of"]:
            workflow, _, step = said["score_of"].partition("/")
            score = {"workflow": workflow, "step": step, "at_least": float(said["score_at_least"] / 100)}
        return {
            "format": 1,
            "licence": before["licence"],
            "data_classes": said["data_classes"],
            "endpoints": [each for each in before["endpoints"] if each["endpoint"] in said["endpoints"]],
            "conditions": {
                "score": score,
                "cost": f"{said['cost'].normalize():f}" if said["cost"] is not None else None,
                "valid_until": until.isoformat() if until else None,
                "served_as": [name for each in said["served_as"].split(",") if (name := each.strip())],
            },
        }


def _initial(document: Mapping[str, Any]) -> dict[str, Any]:
    conditions = document["conditions"]
    score = conditions["score"]
    return {
        "data_classes": document["data_classes"],
        "endpoints": [each["endpoint"] for each in document["endpoints"]],
        "valid_until": conditions["valid_until"],
        "cost": conditions["cost"],
        "served_as": ", ".join(conditions["served_as"]),
        "score_of": f"{score['workflow']}/{score['step']}" if score else "",
        "score_at_least": round(score["at_least"] * 100, 1) if score else None,
    }
