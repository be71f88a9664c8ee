"""Fields in which one thing of many is named: chosen where they are few, else written by its short name.

A list of thousands to choose from is slow to send and slower to read.
"""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db.models import QuerySet

from governance.models import Workflow

# In a longer list nobody finds what he looks for; he writes its name.
MOST_CHOICES = 100


def few(rows: "QuerySet[Any]") -> bool:
    """Whether there are so few that one chooses among them; one query, which counts no further."""
    return rows.order_by()[: MOST_CHOICES + 1].count() <= MOST_CHOICES


def workflow_filter(workflows: Sequence[Workflow]) -> forms.Field:
    """Return the field of a list's filter that narrows it to one of these workflows. It is cleaned to the slug.

    Another text does not fit; whether there is such a workflow that this person may not see is not told.
    """
    unknown = "No workflow that you may see is called “%(value)s”."
    named = [("", "All workflows"), *((each.slug, each.name) for each in workflows)]
    few = len(workflows) <= MOST_CHOICES
    return forms.ChoiceField(
        label="Workflow",
        required=False,
        choices=named,
        widget=forms.Select if few else forms.TextInput,
        help_text="" if few else "its short name",
        error_messages={"invalid_choice": unknown},
    )


def workflow_field(workflows: "QuerySet[Workflow]", *, help_text: str) -> forms.Field:
    """Return the field of a form in which one of these workflows is named. It is cleaned to the workflow."""
    asked: dict[str, Any] = {"queryset": workflows.order_by("name"), "to_field_name": "slug"}
    if few(workflows):
        return forms.ModelChoiceField(**asked, label="Workflow", empty_label="Choose…", help_text=help_text)
    field = forms.ModelChoiceField(
        **asked, label="Workflow", help_text=f"Its short name. {help_text}", widget=forms.TextInput
    )
    field.error_messages["invalid_choice"] = "Write the short name of a workflow for which you may do this."
    return field
