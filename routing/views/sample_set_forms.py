"""Forms about sample sets: which are listed, uploading one, and when its step is evaluated by itself."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from governance.models import Environment, Step, Workflow
from governance.models.accounts import in_scope
from governance.views.choices import few
from governance.views.filters import Among, ListFilter
from routing import samples
from routing.models import SampleSet
from routing.samples import MOST_BYTES

SHORT = forms.Textarea(attrs={"rows": 2})


class SampleSetFilter(ListFilter):
    """Which sets are listed."""

    q = forms.CharField(label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"}))
    workflow = forms.CharField(label="Workflow", required=False, max_length=60)
    versions = forms.ChoiceField(label="Versions", required=False, choices=[("", "Newest"), ("all", "All")])

    def among(self) -> dict[str, Among]:
        """The workflows whose evaluations this person may see."""
        seen = in_scope(Workflow.objects.all(), self.request.user, "evaluations.view", "team")
        return {"workflow": Among(seen, "workflow", by=("slug",))}


class SamplesOfSetFilter(ListFilter):
    """Which samples of a set are shown."""

    label = forms.ChoiceField(label="Right answer", required=False)
    cluster = forms.CharField(label="Cluster", required=False, max_length=200)

    def __init__(self, request: HttpRequest, *, sample_set: SampleSet) -> None:
        super().__init__(request)
        self.sample_set = sample_set
        choices = [("", "Any"), *((each, each) for each in sample_set.labels)]
        self.fields["label"] = forms.ChoiceField(label="Right answer", required=False, choices=choices)

    def among(self) -> dict[str, Among]:
        """The clusters of the set."""
        return {"cluster": Among(self.sample_set.samples.all(), "cluster", by=("cluster",))}


class SampleSetForm(forms.Form):
    """A file of labelled samples and what has to be known of it."""

    step = forms.ChoiceField(label="Step")
    name = forms.CharField(
        label="Name", max_length=120, help_text="A name that the step has already becomes its next version."
    )
    file = forms.FileField(
        label="File",
        help_text="CSV with the columns text, label and, where there is one, cluster; or JSON Lines with text or "
        "messages, label, cluster. At most 10,000 samples and 5 MB. Samples of one cluster (a customer, a document) "
        "are not independent of each other.",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.jsonl,.ndjson"}),
    )
    source = forms.CharField(label="Where the texts come from", max_length=200)
    licence = forms.CharField(label="On which terms they are used", max_length=120)
    description = forms.CharField(label="What it is made of", required=False, max_length=2000, widget=SHORT)
    labels = forms.CharField(
        label="Labels, one a line",
        required=False,
        max_length=12_000,
        widget=SHORT,
        help_text="What an answer may be. Left empty, those of the file; a label that is not among them is refused.",
    )

    def __init__(
        self, data: Any = None, files: Any = None, *, steps: "QuerySet[Step]", initial: dict[str, Any]
    ) -> None:
        super().__init__(data, files, initial=initial)
        self.steps = steps
        if few(steps):
            named = steps.values_list("workflow__slug", "workflow__name", "name")
            choices = ((f"{slug}/{step}", f"{workflow}: {step}") for slug, workflow, step in named)
            self.fields["step"] = forms.ChoiceField(label="Step", choices=[("", "Choose the step"), *choices])
        else:
            help_text = "The short name of its workflow, a stroke and its own name: customer-feedback/sentiment."
            self.fields["step"] = forms.CharField(label="Step", max_length=130, help_text=help_text)

    def clean_step(self) -> Step:
        """The step that was named."""
        slug, _, name = self.cleaned_data["step"].partition("/")
        found = self.steps.filter(workflow__slug=slug, name=name).first()
        if found is None:
            raise forms.ValidationError("Write the short name of a workflow of yours, a stroke and one of its steps.")
        return found

    def rows(self) -> list[samples.Row]:
        """What the file holds. Raises InvalidSamples."""
        upload = self.cleaned_data["file"]
        if upload.size > MOST_BYTES:
            raise samples.InvalidSamples([f"The file has {upload.size:,} bytes, at most {MOST_BYTES:,} are taken"])
        return samples.read(upload.read(), name=upload.name)


class ScheduleForm(forms.Form):
    """When a step is evaluated by itself."""

    environment = forms.ModelChoiceField(label="Environment", queryset=Environment.objects.none())
    cron = forms.CharField(
        label="When, as a cron expression",
        max_length=120,
        help_text="Minute, hour, day, month, weekday: 0 6 * * 1 is Mondays at 06:00. At most once an hour.",
    )

    def __init__(self, data: Any = None, *, places: Any, initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial)
        field = self.fields["environment"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset, field.empty_label = places, None
