"""The forms of simulations: on how many days, and what other policy, by its fields or as a whole document."""

from django import forms
from django.http import HttpRequest

from governance.models import Mode, PolicyHead, PolicyVersion, Workflow
from governance.models.accounts import in_scope
from governance.views.choices import workflow_filter
from governance.views.filters import ListFilter
from governance.views.forms import sent
from governance.views.policy_fields import PolicyFields, models_for
from governance.views.policy_forms import DocumentText, document_text
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


def ask_form(
    request: HttpRequest, workflow: Workflow, head: PolicyHead, start: PolicyVersion
) -> tuple[AskFields | AskDocument, bool]:
    """Return the form for another policy than a version, and whether it was sent to be simulated.

    Who goes from the fields to the document takes along what he typed.
    """
    given, initial = sent(request), {"mode": head.mode, "days": simulations.DAYS}
    whole = "whole" in request.GET or (given is not None and bool({"whole", "text"} & given.keys()))
    if whole:
        return AskDocument(given, initial=initial | {"text": document_text(start.document)}), given is not None
    models = models_for(workflow, head.environment)
    fields = AskFields(given, document=start.document, models=models, initial=initial)
    if given is None or given.get("show") != "whole":
        return fields, given is not None
    typed = {name: given.get(name, "") for name in ("mode", "days")}
    text = document_text(start.document if fields.wrong_steps else fields.document())
    return AskDocument(initial=typed | {"text": text}), False
