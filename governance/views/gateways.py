"""Gateways: which there are and when each was last seen; registering and revoking one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts
from governance import gateways as registered
from governance.accounts import ORGANISATION
from governance.errors import InvalidInput
from governance.export import csv_of
from governance.models import Environment, Gateway
from governance.models.gateways import GatewayQuerySet
from governance.views.filters import Among, ListFilter
from governance.views.forms import FormPage, ReasonForm, ask, refuse, sent, show
from governance.views.listing import in_order, page_of
from governance.views.once import OnceForm

SORTED_BY = {"name": "name", "environment": "environment__position", "seen": "last_seen_at", "made": "created_at"}
COLUMNS = (
    *("name", "environment__name", "key__prefix", "last_seen_at"),
    *("created_at", "created_by__name", "revoked_at", "revoked_by__name"),
)
# Gateways ask every second or two, and being seen is noted at most every half minute.
SILENT_AFTER = timedelta(minutes=2)


class GatewayFilter(ListFilter):
    """Which gateways are listed: those let in, unless said."""

    q = forms.CharField(label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"}))
    environment = forms.CharField(label="Environment", required=False, max_length=40)
    kind = forms.ChoiceField(
        required=False, choices=[("", "Any"), ("process", "A process of its own"), ("key", "In an application")]
    )
    state = forms.ChoiceField(required=False, choices=[("", "Let in"), ("ended", "Turned away"), ("all", "All")])

    def among(self) -> dict[str, Among]:
        """Environments are the organisation's."""
        return {"environment": Among(Environment.objects.visible_to(self.request.user), "environment")}


class GatewayForm(OnceForm):
    """A gateway to be registered."""

    name = forms.CharField(max_length=120, help_text="Where it runs, such as Shop floor Berlin.")

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        """Offer the environments where something is served."""
        super().__init__(data, initial=initial)
        self.fields["environment"] = forms.ModelChoiceField(
            queryset=Environment.objects.serving(), to_field_name="name", empty_label="Choose…"
        )


@require_GET
def gateways(request: HttpRequest) -> HttpResponse:
    """All gateways, newest first: is each alive?

    Those in applications come and go with them, and those of recordings never serve: only others count as missing.
    """
    accounts.require(request.user, "registry.view")
    form = GatewayFilter(request)
    page = page_of(_listed(request, form), request)
    heard = timezone.now() - SILENT_AFTER
    let_in = Gateway.objects.visible_to(request.user).usable().filter(key=None, environment__recorded=False)
    context = {
        "page": page,
        "rows": [(each, each.last_seen_at is not None and each.last_seen_at >= heard) for each in page],
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "alive": let_in.filter(last_seen_at__gte=heard).count(),
        "let_in": let_in.count(),
        "may_edit": accounts.can(request.user, "accounts.edit", ORGANISATION),
    }
    return render(request, "governance/gateways.html", context, status=form.http_status)


@require_GET
def gateways_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same gateways as a file, all of them."""
    accounts.require(request.user, "registry.view")
    return csv_of(_listed(request, GatewayFilter(request).for_file()), name="gateways.csv", lookups=COLUMNS)


@never_cache
@require_http_methods(["GET", "POST"])
def gateway_new(request: HttpRequest) -> HttpResponse:
    """Register a gateway; the answer alone holds its credential."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "accounts.edit", ORGANISATION)
    chosen = {"environment": request.GET["environment"]} if "environment" in request.GET else {}
    form = GatewayForm(sent(request), initial=chosen)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            made, credential = registered.register(identity=said.pop("once"), by=user, **said)
        except InvalidInput as error:
            if error.field == "id":
                messages.warning(
                    request, "This form was sent before: its gateway is registered, its credential not shown again."
                )
                return redirect("gateways")
            refuse(form, error)
        else:
            context = {"gateway": made, "credential": credential, "control_url": request.build_absolute_uri("/")[:-1]}
            return render(request, "governance/gateway_made.html", context)
    page = FormPage(
        title="Register a gateway",
        headline="Register a gateway",
        lede="The process near the applications that obeys the policies. Its credential is shown once, on the next "
        "page.",
        submit="Register it",
        back=("Gateways", reverse("gateways")),
    )
    return show(request, form, page)


@require_http_methods(["GET", "POST"])
def gateway_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Turn a gateway away, for good."""
    found = get_object_or_404(Gateway.objects.visible_to(request.user).with_scope(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "accounts.edit", ORGANISATION)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Revoke",
        headline=f"Revoke the credential of {found}?",
        lede="It gets no further bundle or state, and its reports are refused, for good. It goes on by what it holds "
        "until that runs out: stop the process too.",
        submit="Revoke it, for good",
        back=("Gateways", reverse("gateways")),
        danger=True,
    )

    def act() -> str:
        registered.revoke(gateway=found, reason=form.cleaned_data["reason"], by=user)
        messages.success(request, f"{found} is revoked.")
        return page.back[1]

    return ask(request, form, page, act)


def _listed(request: HttpRequest, form: GatewayFilter) -> GatewayQuerySet:
    """The gateways that the filter leaves, newest first unless the address asks for another order."""
    found = Gateway.objects.visible_to(request.user).with_scope()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    state = said["state"]
    if state != "all":
        found = found.exclude(pk__in=Gateway.objects.usable()) if state else found.usable()
    if said.get("q"):
        found = found.filter(name__icontains=said["q"])
    if said.get("environment"):
        found = found.filter(environment__name=said["environment"])
    if said.get("kind"):
        found = found.filter(key__isnull=said["kind"] == "process")
    return in_order(found, request, SORTED_BY)
