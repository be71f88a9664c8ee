"""Forms about a workflow: adding one, who answers for it, its entry, its steps."""

from collections.abc import Mapping
from typing import Any

from django import forms

from governance import entries
from governance.models import DataClass, Risk, Team, User, Workflow
from governance.models.accounts import in_scope
from governance.models.workflows import ENTRY
from governance.views.forms import AboutForm

DAY = forms.DateInput(attrs={"type": "date"})
SHORT = forms.Textarea(attrs={"rows": 2})
# What governs a workflow is declared by a person, never by what stood first in a list.
CHOOSE = ("", "Choose…")


class WorkflowForm(forms.Form):
    """What a workflow is called and who answers for it."""

    name = forms.CharField(label="Name", max_length=120)
    purpose = forms.CharField(label="What it is for", max_length=2000, widget=SHORT)
    owner = forms.ModelChoiceField(
        label="Owner", queryset=User.objects.none(), empty_label="Choose…", help_text="Answers for its policy."
    )
    deputy = forms.ModelChoiceField(
        label="Deputy",
        required=False,
        queryset=User.objects.none(),
        empty_label="Nobody",
        help_text="In the owner’s place while he is away.",
    )
    cost_centre = forms.CharField(label="Cost centre", required=False, max_length=40)
    review_due = forms.DateField(label="Look at the classification again on", required=False, widget=DAY)

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        """Offer the people who may sign in."""
        super().__init__(data, initial=initial)
        people = User.objects.filter(is_active=True).order_by("name")
        for name in ("owner", "deputy"):
            field = self.fields[name]
            if isinstance(field, forms.ModelChoiceField):
                field.queryset = people

    def clean_cost_centre(self) -> str | None:
        """Nothing is not known, which is not an empty name."""
        return self.cleaned_data["cost_centre"] or None


class EntryFields(forms.Form):
    """What a workflow's entry says: governed once a policy of it is live."""

    risk = forms.ChoiceField(
        label="Risk", choices=[CHOOSE, *Risk.choices], help_text="A request may raise it, never lower it."
    )
    data_class = forms.ChoiceField(
        label="Data class", choices=[CHOOSE, *DataClass.choices], help_text="Only models cleared for it are ever asked."
    )
    rationale = forms.CharField(label="Why this risk and data class", required=False, max_length=2000, widget=SHORT)
    people_affected = forms.CharField(label="Whom its answers concern", required=False, max_length=2000, widget=SHORT)
    regions = forms.CharField(
        label="Regions",
        required=False,
        max_length=200,
        help_text="Where its requests may go, such as eu; empty allows all.",
    )
    retention_days = forms.IntegerField(
        label="Days that prompts and answers of reviews are kept", min_value=0, max_value=3650, initial=30
    )

    def clean_regions(self) -> list[str]:
        """The regions' names, separated by commas or spaces."""
        said: str = self.cleaned_data["regions"]
        return [name for name in said.replace(",", " ").split() if name]


class UngovernedForm(EntryFields, WorkflowForm):
    """All of an existing workflow, while no policy of it is live."""

    field_order = [*("name", "purpose", "owner", "deputy"), *ENTRY]


class NewWorkflowForm(UngovernedForm):
    """Also what stays for good: its address and team."""

    field_order = ["name", "slug", "purpose", "team", "risk", "data_class", "regions", "rationale", "people_affected"]
    slug = forms.SlugField(
        label="Short name",
        max_length=60,
        help_text="Lower case letters, digits, hyphens; part of its address for good.",
    )
    team = forms.ModelChoiceField(label="Team", queryset=Team.objects.none(), empty_label="Choose…")

    def __init__(self, data: Any = None, *, user: User) -> None:
        """Offer the teams for which this person may add workflows."""
        super().__init__(data, initial={"owner": user.pk})
        field = self.fields["team"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = in_scope(Team.objects.order_by("name"), user, "workflows.create", "id")


class EntryForm(EntryFields, AboutForm):
    """A change of an entry: what voters read first, then the whole of it."""

    field_order = ["title", "note", *ENTRY]

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        """Who changes an entry says why it is so."""
        super().__init__(data, initial=initial)
        self.fields["rationale"].required = True

    def document(self) -> dict[str, Any]:
        """Return the entry that was typed."""
        return {"format": 1, **{name: self.cleaned_data[name] for name in ENTRY}}


class StepForm(forms.Form):
    """A station of a workflow."""

    name = forms.CharField(label="Name", max_length=60, help_text="As requests name it, such as extract.")
    purpose = forms.CharField(label="What it does", max_length=500, widget=SHORT)


def told(workflow: Workflow) -> dict[str, Any]:
    """What the form of an existing workflow begins with."""
    fields = ("name", "purpose", "cost_centre", "review_due")
    people = {"owner": workflow.owner_id, "deputy": workflow.deputy_id}
    return {name: getattr(workflow, name) for name in fields} | people | of_entry(entries.of(workflow))


def of_entry(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the fields of an entry begin with."""
    return {**{name: document[name] for name in ENTRY}, "regions": ", ".join(document["regions"])}
