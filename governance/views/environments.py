"""Environments on the way to production: how many votes a change needs there, and what is there."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, IntegerField, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts, registry
from governance.accounts import ORGANISATION
from governance.export import csv_of
from governance.models import Endpoint, Environment, Gateway, Model
from governance.models.registry import EnvironmentQuerySet
from governance.views.forms import FormPage, ask, sent
from governance.views.listing import in_order, page_of

SORTED_BY = {"name": "name", "place": "position", "votes": "votes_needed"}
COLUMNS = ("name", "position", "votes_needed", "recorded", "gateway_url", "models", "open_gateways", "created_at")


class EnvironmentForm(forms.Form):
    """An environment to be added."""

    name = forms.SlugField(
        max_length=40,
        help_text="Lower case, digits and hyphens, such as staging. It stays for good.",
        widget=forms.TextInput(attrs={"class": "mono"}),
    )
    votes_needed = forms.IntegerField(
        label="Votes that a change needs there",
        min_value=0,
        max_value=20,
        initial=1,
        help_text="Of people who had no hand in it. 0 asks nobody. It stays for good.",
    )
    position = forms.IntegerField(
        label="Place on the way to production",
        min_value=1,
        max_value=30_000,
        help_text="The highest is the last one, production.",
    )
    recorded = forms.BooleanField(
        label="Holds recordings",
        required=False,
        help_text="What was measured elsewhere and imported; nothing is served there.",
    )


class GatewayAddressForm(forms.Form):
    """Where the gateway of an environment is reached."""

    url = forms.CharField(
        label="Address",
        required=False,
        max_length=400,
        help_text="Without a path, such as https://gateway.example.com. Applications add /v1.",
        widget=forms.TextInput(attrs={"class": "mono", "inputmode": "url"}),
    )


@require_GET
def environments(request: HttpRequest) -> HttpResponse:
    """All environments, in the order in which a change comes to production."""
    accounts.require(request.user, "registry.view")
    page = page_of(_listed(request), request)
    context = {
        "page": page,
        "count": page.paginator.count,
        "may_edit": accounts.can(request.user, "registry.edit", ORGANISATION),
    }
    return render(request, "governance/environments.html", context)


@require_GET
def environments_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same environments as a file."""
    accounts.require(request.user, "registry.view")
    return csv_of(_listed(request), name="environments.csv", lookups=COLUMNS)


@require_http_methods(["GET", "POST"])
def environment_new(request: HttpRequest) -> HttpResponse:
    """Add an environment."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "registry.edit", ORGANISATION)
    last: int = Environment.objects.aggregate(last=Max("position"))["last"] or 0
    form = EnvironmentForm(sent(request), initial={"position": last + 1})
    page = FormPage(
        title="Add an environment",
        headline="Add an environment",
        lede="Policies, keys and gateways each belong to one. Gateways are registered for it afterwards.",
        submit="Add it",
        back=("Environments", reverse("environments")),
    )

    def act() -> str:
        made = registry.add_environment(by=user, **form.cleaned_data)
        messages.success(request, f"The environment {made.name} is added.")
        return page.back[1]

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def environment_address(request: HttpRequest, name: str) -> HttpResponse:
    """Say where an environment's gateway is reached."""
    found = get_object_or_404(Environment.objects.visible_to(request.user), name=name)
    user = accounts.signed_in(request.user)
    accounts.require(user, "registry.edit", ORGANISATION)
    form = GatewayAddressForm(sent(request), initial={"url": found.gateway_url})
    page = FormPage(
        title="Address",
        headline=f"Where do applications reach the gateway of {found}?",
        lede="Stands in the lines that are shown with a new key, and is where the pages try requests.",
        submit="Save",
        back=("Environments", reverse("environments")),
    )

    def act() -> str:
        registry.set_gateway_url(environment=found, by=user, url=form.cleaned_data["url"].rstrip("/"))
        messages.success(request, f"The address of the gateway of {found} is saved.")
        return page.back[1]

    return ask(request, form, page, act)


def _listed(request: HttpRequest) -> EnvironmentQuerySet:
    """All, on the way to production unless the address asks for another order."""
    here = {"environment": OuterRef("pk")}
    served = Endpoint.objects.filter(
        active=True, version__is_current=True, version__model__state=Model.State.ACTIVE, **here
    )
    found = Environment.objects.visible_to(request.user).annotate(
        models=_number(served, "version__model"), open_gateways=_number(Gateway.objects.usable().filter(**here), "pk")
    )
    return in_order(found, request, SORTED_BY, "place")


def _number(rows: "QuerySet[Any]", what: str) -> Coalesce:
    """How many different values of `what` the rows of an environment have."""
    counted = rows.order_by().values("environment").annotate(number=Count(what, distinct=True)).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
