"""API keys: which there are, making one, whose token is shown once, and revoking one."""

import json
import shlex
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts
from governance.errors import InvalidInput
from governance.export import csv_of
from governance.models import ApiKey, Environment, Workflow
from governance.models.accounts import ApiKeyQuerySet, in_scope
from governance.views.choices import workflow_field
from governance.views.filters import Among, ListFilter
from governance.views.forms import FormPage, ReasonForm, ask, refuse, sent, show
from governance.views.listing import in_order, page_of
from governance.views.once import OnceForm

SORTED_BY = {
    "name": "name",
    "workflow": "workflow__name",
    "environment": "environment__position",
    "created": "created_at",
}
COLUMNS = (
    *("name", "prefix", "purpose", "workflow__slug", "environment__name", "created_at", "created_by__name"),
    *("revoked_at", "revoked_by__name"),
)


class KeyFilter(ListFilter):
    """Which keys are listed: those that work, unless said."""

    q = forms.CharField(
        label="Name or first letters",
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"type": "search"}),
    )
    workflow = forms.CharField(label="Workflow", required=False, max_length=60, help_text="Its short name.")
    environment = forms.CharField(label="Environment", required=False, max_length=40)
    purpose = forms.ChoiceField(required=False, choices=[("", "Any"), *ApiKey.Purpose.choices])
    state = forms.ChoiceField(required=False, choices=[("", "Works"), ("ended", "Ended"), ("all", "All")])

    def among(self) -> dict[str, Among]:
        """What this person may read."""
        user = self.request.user
        return {
            "workflow": Among(Workflow.objects.visible_to(user), "workflow", by=("slug",)),
            "environment": Among(Environment.objects.visible_to(user), "environment"),
        }


class KeyForm(OnceForm):
    """A key to be made."""

    name = forms.CharField(max_length=120, help_text="Which application shows it, such as Feedback form.")

    def __init__(self, data: Any = None, *, user: Any, initial: dict[str, Any] | None = None) -> None:
        """Offer the workflows and environments for which this person may make keys."""
        super().__init__(data, initial=initial)
        act = "accounts.create_key"
        self.fields["workflow"] = workflow_field(
            in_scope(Workflow.objects.in_use(), user, act, "team"),
            help_text="Its policy answers, and its owner sees the cost.",
        )
        self.fields["environment"] = forms.ModelChoiceField(
            queryset=Environment.objects.serving().allowing(user, act),
            to_field_name="name",
            empty_label="Choose…",
        )


@require_GET
def keys(request: HttpRequest) -> HttpResponse:
    """The keys of the workflows this person may see, newest first."""
    accounts.require(request.user, "workflows.view")
    form = KeyFilter(request)
    page = page_of(_listed(request, form), request)
    mine = ApiKey.objects.filter(pk__in=[key.pk for key in page])
    allowed = in_scope(mine, request.user, "accounts.revoke_key", "workflow__team", "environment")
    may_revoke = set(allowed.values_list("pk", flat=True))
    context = {
        "page": page,
        "rows": [(key, key.revoked_at is None and key.pk in may_revoke) for key in page],
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "may_create": accounts.can(request.user, "accounts.create_key"),
    }
    return render(request, "governance/keys.html", context, status=form.http_status)


@require_GET
def keys_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same keys as a file, all of them."""
    accounts.require(request.user, "workflows.view")
    return csv_of(_listed(request, KeyFilter(request).for_file()), name="keys.csv", lookups=COLUMNS)


@never_cache
@require_http_methods(["GET", "POST"])
def key_new(request: HttpRequest) -> HttpResponse:
    """Make a key; the answer alone holds its token."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "accounts.create_key")
    chosen = {name: request.GET[name] for name in ("workflow", "environment") if name in request.GET}
    form = KeyForm(sent(request), user=user, initial=chosen)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            key, token = accounts.create_key(identity=said.pop("once"), by=user, **said)
        except InvalidInput as error:
            if error.field == "id":
                messages.warning(request, "This form was sent before: its key is made, and its token not shown again.")
                return redirect("keys")
            refuse(form, error)
        else:
            return _made(request, key, token)
    page = FormPage(
        title="Make an API key",
        headline="Make an API key for an application",
        lede="It belongs to one workflow and one environment. Its token is shown once, on the next page.",
        submit="Make it",
        back=("API keys", reverse("keys")),
    )
    return show(request, form, page)


@require_http_methods(["GET", "POST"])
def key_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a key, for good."""
    found = get_object_or_404(ApiKey.objects.visible_to(request.user).with_scope(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "accounts.revoke_key", found)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Revoke",
        headline=f"Revoke {found}?",
        lede=f"Gateways of {found.environment} refuse it within seconds, for good. Its record stays.",
        submit="Revoke it, for good",
        back=("API keys", reverse("keys")),
        danger=True,
    )

    def act() -> str:
        accounts.revoke_key(key=found, reason=form.cleaned_data["reason"], by=user)
        messages.success(request, f"{found} is revoked.")
        return page.back[1]

    return ask(request, form, page, act)


def _made(request: HttpRequest, key: ApiKey, token: str) -> HttpResponse:
    url = key.environment.gateway_url
    first = key.workflow.steps.order_by("position").first()
    step: dict[str, Any] = {"metadata": {"step": first.name}} if first else {}
    body = {"model": "auto", **step, "messages": [{"role": "user", "content": "Hello"}]}
    context = {
        "key": key,
        "token": token,
        "base_url": f"{url}/v1" if url else "",
        "step": first,
        "curl": f"curl -s {url}/v1/chat/completions -H 'authorization: Bearer {token}' \\\n"
        f"  -H 'content-type: application/json' -d {shlex.quote(json.dumps(body))}",
    }
    return render(request, "governance/key_made.html", context)


def _listed(request: HttpRequest, form: KeyFilter) -> ApiKeyQuerySet:
    """The keys that the filter leaves, newest first unless the address asks for another order."""
    found = ApiKey.objects.visible_to(request.user).with_scope()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    state = said["state"]
    if state != "all":
        found = found.exclude(pk__in=ApiKey.objects.usable()) if state else found.usable()
    if said.get("q"):
        found = found.filter(Q(name__icontains=said["q"]) | Q(prefix__startswith=said["q"].removeprefix("sf_")))
    if said.get("workflow"):
        found = found.filter(workflow__slug=said["workflow"])
    if said.get("environment"):
        found = found.filter(environment__name=said["environment"])
    if said.get("purpose"):
        found = found.filter(purpose=said["purpose"])
    return in_order(found, request, SORTED_BY)
