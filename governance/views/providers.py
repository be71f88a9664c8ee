"""Providers: whose accounts run models, what is served there, and what came of trying it."""

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts, registry
from governance.accounts import ORGANISATION
from governance.export import csv_of
from governance.models import Endpoint, Probe, Provider
from governance.models.registry import REFERENCE, ProviderQuerySet
from governance.views.filters import ListFilter
from governance.views.forms import FormPage, ReasonForm, ask, sent
from governance.views.listing import in_order, page_of

SORTED_BY = {"name": "name", "models": "served", "endpoints": "places", "region": "region"}
COLUMNS = (
    *("slug", "name", "kind", "url", "secret", "region", "metered_by", "served", "places"),
    *("created_at", "closed_at"),
)


class ProviderFilter(ListFilter):
    """Which providers are listed: those in use, unless said."""

    q = forms.CharField(label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"}))
    region = forms.CharField(label="Region", required=False, max_length=40)
    state = forms.ChoiceField(required=False, choices=[("", "In use"), ("closed", "Closed"), ("all", "All")])


class AccountForm(forms.Form):
    """What is written of a provider."""

    name = forms.CharField(max_length=120, help_text="As people call it, such as Acme AI, team account.")
    url = forms.CharField(
        label="Address",
        required=False,
        max_length=400,
        help_text="The base of its OpenAI-compatible API, such as https://api.example.com/v1. Endpoints without an "
        "address of their own are added with it.",
        widget=forms.TextInput(attrs={"class": "mono", "inputmode": "url"}),
    )
    secret = forms.RegexField(
        label="Key",
        regex=REFERENCE,
        required=False,
        max_length=120,
        help_text="Where gateways find it, such as env:PROVIDER_API_KEY. Never the key itself. It goes only to the "
        "hosts that the operator has bound it to.",
        error_messages={"invalid": "Name the gateway’s environment variable, such as env:PROVIDER_API_KEY."},
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off"}),
    )
    region = forms.CharField(
        required=False,
        max_length=40,
        help_text="Where it runs everything, such as eu; its endpoints are then there alone. Empty: it differs.",
    )

    def clean_secret(self) -> str | None:
        """The reference; None where it asks for no key."""
        return self.cleaned_data["secret"] or None


class ProviderForm(AccountForm):
    """A provider to be added."""

    slug = forms.SlugField(
        label="Short name",
        max_length=60,
        help_text="For addresses and files: lower case, digits and hyphens. It stays for good.",
        widget=forms.TextInput(attrs={"class": "mono"}),
    )
    kind = forms.ChoiceField(choices=Provider.Kind.choices, help_text="The wire it speaks.")

    field_order = ("name", "slug", "kind", "url", "secret", "region")


@require_GET
def providers(request: HttpRequest) -> HttpResponse:
    """All providers, with how much is served there."""
    accounts.require(request.user, "registry.view")
    form = ProviderFilter(request)
    page = page_of(_listed(request, form), request)
    tried = Probe.objects.filter(endpoint__provider__in=list(page), endpoint__active=True).newest()
    failing = {each.endpoint.provider_id for each in tried.select_related("endpoint") if each.level != "good"}
    context = {
        "page": page,
        "failing": failing,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "may_edit": accounts.can(request.user, "registry.edit", ORGANISATION),
    }
    return render(request, "governance/providers.html", context, status=form.http_status)


@require_GET
def providers_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same providers as a file, all of them."""
    accounts.require(request.user, "registry.view")
    return csv_of(_listed(request, ProviderFilter(request).for_file()), name="providers.csv", lookups=COLUMNS)


@require_GET
def provider(request: HttpRequest, slug: str) -> HttpResponse:
    """One provider: its account, and every endpoint there with its last try."""
    found = get_object_or_404(Provider.objects.visible_to(request.user).with_counts(), slug=slug)
    endpoints = found.endpoints.select_related("version__model", "environment")
    placed = endpoints.order_by("-active", "version__model__title", "environment__position", "position")
    probes = {probe.endpoint_id: probe for probe in Probe.objects.filter(endpoint__provider=found).newest()}
    rows = [(each, probes.get(each.pk)) for each in placed]
    context = {
        "provider": found,
        "rows": [row for row in rows if row[0].active],
        "closed": [row for row in rows if not row[0].active],
        "failing": sum(each.active and probe is not None and probe.level != "good" for each, probe in rows),
        "may_edit": found.closed_at is None and accounts.can(request.user, "registry.edit", ORGANISATION),
        "may_audit": accounts.can(request.user, "audit.view", ORGANISATION),
    }
    return render(request, "governance/provider.html", context)


@require_http_methods(["GET", "POST"])
def provider_new(request: HttpRequest) -> HttpResponse:
    """Add a provider."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "registry.edit", ORGANISATION)
    form = ProviderForm(sent(request))
    page = FormPage(
        title="Add a provider",
        headline="Add a provider",
        lede="Whose machines, or whose account, run models: a company’s API, or servers of your own.",
        submit="Add it",
        back=("Providers", reverse("providers")),
    )

    def act() -> str:
        made = registry.add_provider(by=user, **form.cleaned_data)
        messages.success(request, f"{made.name} is added. Say next, on a model’s page, what is served there.")
        return _page_of(made)

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def provider_edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change what is written of a provider."""
    found = get_object_or_404(Provider.objects.visible_to(request.user), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "registry.edit", ORGANISATION)
    form = AccountForm(sent(request), initial={name: getattr(found, name) for name in AccountForm.base_fields})
    page = FormPage(
        title="Edit",
        headline=f"What is written of {found.name}",
        lede="Endpoints that are there keep their address and key; move them on their models’ pages.",
        submit="Save",
        back=(found.name, _page_of(found)),
    )

    def act() -> str:
        made = registry.edit_provider(provider=found, by=user, **form.cleaned_data)
        messages.success(request, f"The entry of {made.name} is saved.")
        return page.back[1]

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def provider_close(request: HttpRequest, slug: str) -> HttpResponse:
    """Let no endpoint be added at a provider any more."""
    found = get_object_or_404(Provider.objects.visible_to(request.user), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "registry.edit", ORGANISATION)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Close",
        headline=f"Close {found.name}?",
        lede=_first(found)
        + "No endpoint can be added there afterwards, and it does not open again. Its record and past costs stay.",
        submit="Close it, for good",
        back=(found.name, _page_of(found)),
        danger=True,
    )

    def act() -> str:
        registry.close_provider(provider=found, by=user, **form.cleaned_data)
        messages.success(request, f"{found.name} is closed.")
        return page.back[1]

    return ask(request, form, page, act)


def _first(provider: Provider) -> str:
    """What has to happen before a provider is closed, as a sentence with a space; empty where nothing has to."""
    open_ones = provider.endpoints.filter(active=True).count()
    if not open_ones:
        return ""
    return f"Its {open_ones:,} open endpoint{'s have' if open_ones > 1 else ' has'} to be closed first. "


def _listed(request: HttpRequest, form: ProviderFilter) -> ProviderQuerySet:
    """The providers that the filter leaves, by name unless the address asks for another order."""
    found = Provider.objects.visible_to(request.user).with_counts()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said.get("state") != "all":
        found = found.filter(closed_at__isnull=not said.get("state"))
    if said.get("q"):
        found = found.filter(Q(name__icontains=said["q"]) | Q(slug__icontains=said["q"]))
    if said.get("region"):
        there = Endpoint.objects.filter(active=True, region=said["region"])
        found = found.filter(Q(region=said["region"]) | Q(pk__in=there.values("provider")))
    return in_order(found, request, SORTED_BY, "name")


def _page_of(found: Provider) -> str:
    return reverse("provider", args=[found.slug])
