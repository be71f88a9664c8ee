"""Prices of a model's endpoints: a part of the model's page, and setting one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from governance import accounts, figures
from governance.models import Endpoint, Model, PolicyHead
from governance.views.forms import FormPage, ask, sent
from ledger import prices
from ledger.models import Price, Rollup
from ledger.models.prices import BUCKETS, HIGHEST_RATE


@dataclass(frozen=True)
class Priced:
    """What one endpoint costs, and did."""

    endpoint: Endpoint
    price: Price | None
    history: list[Price]
    at: datetime

    @property
    def following(self) -> Price | None:
        """The price that is set to hold next."""
        coming = [price for price in self.history if price.valid_from > self.at]
        return min(coming, key=lambda price: price.valid_from) if coming else None

    @property
    def told(self) -> Price | None:
        """The price to show: that of now, else the one that follows."""
        return self.price or self.following


class PriceForm(forms.Form):
    """What an endpoint costs from a moment on."""

    currency = forms.RegexField(
        label="Currency",
        regex=r"^[A-Z]{3}$",
        error_messages={"invalid": "Write three capital letters, such as USD."},
        help_text="Three letters, such as USD.",
    )
    valid_from = forms.DateTimeField(
        label="From",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="In your time zone. Left empty, from the next full minute on. What was charged stays charged.",
    )

    def __init__(self, data: Any = None, *, before: Price | None = None) -> None:
        """Start from the rates that hold now."""
        rates = {name: getattr(before, name) for name in BUCKETS} if before else {}
        held = {name: f"{rate.normalize():f}" for name, rate in rates.items() if rate is not None}
        currency = before.currency if before else settings.CURRENCY
        super().__init__(data, initial={"currency": currency} | held)
        for name in BUCKETS:
            self.fields[name] = forms.DecimalField(
                label=f"{name.replace('_', ' ').capitalize()}, for a million tokens",
                required=False,
                min_value=Decimal(0),
                max_value=HIGHEST_RATE,
                max_digits=20,
                decimal_places=10,
                widget=forms.TextInput(attrs={"inputmode": "decimal"}),
            )
        self.order_fields([*BUCKETS, "currency", "valid_from"])


@require_safe
def model_prices(request: HttpRequest, name: str) -> HttpResponse:
    """What a model's endpoints cost now and did before, and whether anything ever asked them."""
    found = get_object_or_404(Model.objects.visible_to(request.user), name=name)
    accounts.require(request.user, "spend.view")
    served = Endpoint.objects.filter(version__model=found).select_related("provider", "environment", "version")
    endpoints = list(served.order_by("-active", "environment__position", "position"))
    at = timezone.now()
    now, before = prices.current(endpoints, at), prices.history(endpoints)
    rows = [Priced(each, now.get(each.pk), before[each.pk], at) for each in endpoints if each.active or before[each.pk]]
    named = PolicyHead.objects.naming(found.name).of_workflows_in_use().exists()
    asked = Rollup.objects.filter(endpoint__in=endpoints).exists()
    context = {
        "model": found,
        "rows": rows,
        "never_called": bool(now) and not named and not asked,
        "may_edit": accounts.can(request.user, "prices.edit", accounts.ORGANISATION),
    }
    return render(request, "ledger/_prices.html", context)


@require_http_methods(["GET", "POST"])
def price_new(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Set what an endpoint costs from now on, or from a later moment."""
    served = Endpoint.objects.select_related("provider", "environment", "version__model")
    endpoint = get_object_or_404(served, pk=pk, version__model__in=Model.objects.visible_to(request.user))
    user = accounts.signed_in(request.user)
    accounts.require(user, "prices.edit", accounts.ORGANISATION)
    before = prices.current([endpoint], timezone.now()).get(endpoint.pk)
    form = PriceForm(sent(request), before=before)
    model = endpoint.version.model
    page = FormPage(
        title="Set a price",
        headline=f"What does {model.title} cost in {endpoint.environment}?",
        lede=f"At {endpoint.url}. Your own price goes before the provider’s list. An empty rate is not known, which is "
        "not free: attempts with such tokens are not priced.",
        submit="Set the price",
        back=(model.title, reverse("model", args=[model.name])),
    )

    def act() -> str:
        said = form.cleaned_data
        next_minute = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
        said["valid_from"] = said["valid_from"] or next_minute
        prices.set_own_price(endpoint=endpoint, by=user, **said)
        start = figures.moment_words(said["valid_from"], now=timezone.now(), zone=timezone.get_current_timezone())
        messages.success(request, f"The price of {model.title} at {endpoint.url} is set from {start} on.")
        return f"{page.back[1]}#prices"

    return ask(request, form, page, act)
