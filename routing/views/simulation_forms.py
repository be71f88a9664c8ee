"""The forms of simulations: on how many days, and what other policy, by its fields or as a whole document."""

import functools

from django import forms
from django.http import HttpRequest

from governance.models import Mode, PolicyHead, PolicyVersion, Workflow
from governance.models.accounts import in_scope
from governance.views.choices import workflow_filter
from governance.views.filters import ListFilter
from governance.views.policy_fields import PolicyFields, models_for
from governance.views.policy_forms import DocumentText, Editor, editor
from routing import simulations
from routing.models import Simulation


class SimulateForm(forms.Form):
    """On how many days a change is simulated."""

    days = forms.TypedChoiceField(
        label="Requests of the last",
        coerce=int,
        initial=simulations.DAYS,
        choices=[(days, f"{days} days") for days in (7, 14, simulations.DAYS, 60, simulations.MOST_DAYS)],
    )


class AskForm(SimulateForm):
    """How another policy would take effect, and on how many days it is tried."""

    mode = forms.ChoiceField(
        label="If it were live",
        choices=[(Mode.ENFORCE, "it would enforce"), (Mode.OBSERVE, "it would only observe")],
        widget=forms.RadioSelect,
    )


class AskFields(PolicyFields, AskForm):
    """Another policy by its fields."""


class AskDocument(DocumentText, AskForm):
    """Another policy as a whole document."""


class SimulationFilter(ListFilter):
    """Which simulations are listed."""

    workflow = forms.ChoiceField(label="Workflow", required=False)
    of = forms.ChoiceField(
        label="Of", required=False, choices=[("", "Anything"), ("change", "Changes"), ("draft", "What if")]
    )
    state = forms.ChoiceField(
        label="State", required=False, choices=[("", "Any"), ("active", "Going on"), *Simulation.State.choices[2:]]
    )

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        workflows = in_scope(Workflow.objects.order_by("name"), request.user, "requests.view", "team")
        self.fields["workflow"] = workflow_filter(list(workflows.only("slug", "name")))


def ask_editor(request: HttpRequest, workflow: Workflow, head: PolicyHead, start: PolicyVersion) -> Editor:
    """Return the form for another policy than a version, by its fields or as a document."""
    return editor(
        request,
        start=start.document,
        models=functools.partial(models_for, workflow, head.environment),
        initial={"mode": head.mode, "days": simulations.DAYS},
        fields=AskFields,
        document=AskDocument,
    )
