"""Webhooks: which addresses outside are told of what, how each takes it, and the forms that change one."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import Count, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts
from governance import webhooks as verbs
from governance.accounts import ORGANISATION
from governance.errors import GovernanceError, InvalidInput
from governance.export import csv_of
from governance.models import Delivery, NotificationKind, User, Webhook
from governance.models.notifications import DeliveryQuerySet
from governance.models.webhooks import FOR_WEBHOOKS, WebhookQuerySet
from governance.views.filters import Among, ListFilter
from governance.views.forms import FormPage, ReasonForm, ask, refuse, sent, show
from governance.views.listing import in_order, page_of
from governance.views.once import OnceForm

SORTED_BY = {"name": "name", "owner": "owner__name", "made": "created_at"}
COLUMNS = (
    *("name", "form", "origin", "owner__name", "kinds", "created_at", "created_by__name"),
    *("closed_at", "closed_by__name"),
)
DELIVERIES_SORTED_BY = {"at": "notification__created_at", "tried": "tries", "ended": "ended_at"}
DELIVERY_COLUMNS = (
    *("notification__created_at", "webhook__name", "notification__kind", "notification__title", "state", "tries"),
    *("answer", "ended_at", "notification_id"),
)
SHOWN = 10
KINDS = [(kind.value, words) for kind, words in FOR_WEBHOOKS.items()]


class WebhookFilter(ListFilter):
    """Which webhooks are listed: the open ones, unless said."""

    q = forms.CharField(label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"}))
    form = forms.ChoiceField(required=False, choices=[("", "Any"), *Webhook.Form.choices])
    state = forms.ChoiceField(required=False, choices=[("", "Open"), ("closed", "Closed"), ("all", "All")])


class DeliveryFilter(ListFilter):
    """Which deliveries are listed: all, unless said."""

    webhook = forms.CharField(label="Webhook", required=False, max_length=120)
    kind = forms.ChoiceField(
        label="About",
        required=False,
        choices=[("", "Anything"), *KINDS, (NotificationKind.TEST.value, NotificationKind.TEST.label)],
    )
    state = forms.ChoiceField(required=False, choices=[("", "Any"), *Delivery.State.choices])

    def among(self) -> dict[str, Among]:
        """All of the organisation: who reads deliveries reads all webhooks."""
        return {"webhook": Among(Webhook.objects.all(), "webhook", by=("name__iexact",))}


class WebhookForm(forms.Form):
    """What can be changed of a webhook."""

    name = forms.CharField(max_length=120, help_text="Where it leads, such as Channel #ai-changes.")
    url = forms.CharField(
        label="Address",
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "url"}),
        help_text="Kept sealed. Left empty, it stays as it is.",
    )
    kinds = forms.MultipleChoiceField(
        label="What it is told",
        choices=KINDS,
        widget=forms.CheckboxSelectMultiple,
        help_text="Of all teams: names and numbers, never a prompt, an answer or a reason.",
    )
    owner = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True).order_by("name"),
        empty_label="Choose…",
        help_text="Answers for it, and hears when it takes nothing.",
    )


class NewWebhookForm(WebhookForm, OnceForm):
    """A webhook to be added."""

    form = forms.ChoiceField(
        label="What it understands",
        choices=Webhook.Form.choices,
        help_text="Slack, Mattermost and their like take a line of text; your own programs verify a signature.",
    )
    field_order = ("name", "form", "url", "kinds", "owner")

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        """Ask for the address, which a new one needs."""
        super().__init__(data, initial=initial)
        self.fields["url"].required = True
        self.fields["url"].help_text = "Kept sealed: nobody sees it again here. It begins with https."


@require_GET
def webhooks(request: HttpRequest) -> HttpResponse:
    """All webhooks, newest first: is each told, and does it take it?"""
    accounts.require(request.user, "webhooks.view")
    form = WebhookFilter(request)
    last = Delivery.objects.filter(webhook=OuterRef("pk"), tries__gt=0).order_by("-notification__created_at", "-id")
    rows = _listed(request, form).annotate(
        last_state=Subquery(last.values("state")[:1]),
        last_answer=Subquery(last.values("answer")[:1]),
        last_at=Subquery(last.values("notification__created_at")[:1]),
        dead=Count("deliveries", filter=Q(deliveries__state="dead")),
    )
    page = page_of(rows, request)
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "may_edit": accounts.can(request.user, "webhooks.edit", ORGANISATION),
        "may_open": accounts.can(request.user, "webhooks.view", ORGANISATION),
    }
    return render(request, "governance/webhooks.html", context, status=form.http_status)


@require_GET
def webhooks_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same webhooks as a file, all of them."""
    accounts.require(request.user, "webhooks.view")
    return csv_of(_listed(request, WebhookFilter(request).for_file()), name="webhooks.csv", lookups=COLUMNS)


@require_GET
def webhook(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One webhook: what it is told, its last deliveries, and what can be done about them."""
    accounts.require(request.user, "webhooks.view", ORGANISATION)
    found = get_object_or_404(Webhook.objects.with_people(), pk=pk)
    mine = Delivery.objects.filter(webhook=found)
    states = dict(mine.order_by().values_list("state").annotate(n=Count("pk")))
    context = {
        "webhook": found,
        "deliveries": mine.newest_first()[:SHOWN],
        "states": states,
        "now": timezone.now(),
        "may_edit": found.closed_at is None and accounts.can(request.user, "webhooks.edit", ORGANISATION),
    }
    return render(request, "governance/webhook.html", context)


@require_GET
def deliveries(request: HttpRequest) -> HttpResponse:
    """What was delivered to webhooks, newest first."""
    accounts.require(request.user, "webhooks.view", ORGANISATION)
    form = DeliveryFilter(request)
    page = page_of(_delivered(request, form), request)
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "dead": Delivery.objects.filter(webhook__isnull=False, state="dead").count(),
        "may_edit": accounts.can(request.user, "webhooks.edit", ORGANISATION),
    }
    return render(request, "governance/deliveries.html", context, status=form.http_status)


@require_GET
def deliveries_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same deliveries as a file, all of them."""
    accounts.require(request.user, "webhooks.view", ORGANISATION)
    rows = _delivered(request, DeliveryFilter(request).for_file())
    return csv_of(rows, name="deliveries.csv", lookups=DELIVERY_COLUMNS)


@never_cache
@require_http_methods(["GET", "POST"])
def webhook_new(request: HttpRequest) -> HttpResponse:
    """Add a webhook; the answer alone holds its secret."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "webhooks.edit", ORGANISATION)
    form = NewWebhookForm(sent(request), initial={"owner": user.pk, "kinds": [str(kind) for kind in FOR_WEBHOOKS]})
    if request.method == "POST" and form.is_valid():
        try:
            made, secret = verbs.add(identity=form.cleaned_data.pop("once"), by=user, **form.cleaned_data)
        except InvalidInput as error:
            if error.field == "id":
                messages.warning(
                    request, "This form was sent before: its webhook is added, its secret not shown again."
                )
                return redirect("webhooks")
            refuse(form, error)
        else:
            messages.success(request, f"{made} is added. Send it a test.")
            return _secret(request, made, secret) if secret else redirect("webhook", made.pk)
    page = FormPage(
        title="Add a webhook",
        headline="Tell a chat or a program outside",
        lede="It gets names, numbers and a link to the page where something is decided. Deciding takes a person who is "
        "signed in there.",
        submit="Add it",
        back=("Webhooks", reverse("webhooks")),
    )
    return show(request, form, page)


@require_http_methods(["GET", "POST"])
def webhook_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change what a webhook is told, where it leads, and who answers for it."""
    user, found = _mine(request, pk)
    form = WebhookForm(sent(request), initial={"name": found.name, "kinds": list(found.kinds), "owner": found.owner_id})
    page = FormPage(
        title="Edit",
        headline=f"Edit {found.name}",
        lede=f"It leads to {found.origin}.",
        submit="Save",
        back=(found.name, reverse("webhook", args=[found.pk])),
    )

    def act() -> str:
        verbs.edit(webhook=found, by=user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return page.back[1]

    return ask(request, form, page, act)


@never_cache
@require_http_methods(["GET", "POST"])
def webhook_secret(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give a webhook another secret; the answer alone holds it. One more within a day is refused, so also a reload."""
    user, found = _mine(request, pk)
    form = forms.Form(sent(request))
    page = FormPage(
        title="New secret",
        headline=f"Give {found.name} another secret?",
        lede="It is shown once, on the next page. For 24 hours messages carry the signatures of both, so that the "
        "receiver can change over.",
        submit="Make another secret",
        back=(found.name, reverse("webhook", args=[found.pk])),
    )
    if request.method == "POST":
        try:
            made, secret = verbs.renew_secret(webhook=found, by=user, now=timezone.now())
        except InvalidInput as error:
            form.is_valid()
            refuse(form, error)
        else:
            return _secret(request, made, secret)
    return show(request, form, page)


@require_POST
def webhook_test(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Post a test and say what came of it."""
    user, found = _mine(request, pk)
    try:
        made = verbs.send_test(webhook=found, by=user, clock=timezone.now)
    except InvalidInput as error:
        messages.error(request, str(error))
    else:
        arrived = made.state == Delivery.State.DELIVERED
        say = messages.success if arrived else messages.error
        say(request, f"The test {'arrived' if arrived else 'did not arrive'}. {made.answer}")
    return redirect("webhook", found.pk)


@require_http_methods(["GET", "POST"])
def webhook_close(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Tell an address no more."""
    user, found = _mine(request, pk)
    form = ReasonForm(sent(request))
    page = FormPage(
        title="Close",
        headline=f"Close {found.name}?",
        lede=f"{found.origin} is told nothing more, for good. What waits for it is given up; its record stays.",
        submit="Close it, for good",
        back=(found.name, reverse("webhook", args=[found.pk])),
        danger=True,
    )

    def act() -> str:
        verbs.close(webhook=found, by=user, now=timezone.now(), **form.cleaned_data)
        messages.success(request, f"{found} is closed.")
        return reverse("webhooks")

    return ask(request, form, page, act)


@require_POST
def delivery_again(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let a delivery be made once more."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "webhooks.edit", ORGANISATION)
    found = get_object_or_404(Delivery.objects.select_related("webhook"), pk=pk, webhook__isnull=False)
    try:
        verbs.send_again(delivery=found, by=user, now=timezone.now())
    except GovernanceError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "It is sent again within seconds, under the same id.")
    return redirect("webhook", found.webhook_id)


def _mine(request: HttpRequest, pk: UUID) -> tuple[User, Webhook]:
    user = accounts.signed_in(request.user)
    accounts.require(user, "webhooks.edit", ORGANISATION)
    return user, get_object_or_404(Webhook.objects.with_people(), pk=pk)


def _secret(request: HttpRequest, made: Webhook, secret: str) -> HttpResponse:
    return render(request, "governance/webhook_secret.html", {"webhook": made, "secret": secret})


def _listed(request: HttpRequest, form: WebhookFilter) -> WebhookQuerySet:
    """The webhooks that the filter leaves, newest first unless the address asks for another order."""
    found = Webhook.objects.visible_to(request.user).with_people()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said.get("state") != "all":
        found = found.filter(closed_at__isnull=not said.get("state"))
    if said.get("q"):
        found = found.filter(name__icontains=said["q"])
    if said.get("form"):
        found = found.filter(form=said["form"])
    return in_order(found, request, SORTED_BY)


def _delivered(request: HttpRequest, form: DeliveryFilter) -> DeliveryQuerySet:
    """The deliveries to webhooks that the filter leaves, newest first unless the address asks for another order."""
    found = Delivery.objects.filter(webhook__isnull=False).newest_first().select_related("webhook")
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said.get("webhook"):
        found = found.filter(webhook__name__iexact=said["webhook"])
    if said.get("kind"):
        found = found.filter(notification__kind=said["kind"])
    if said.get("state"):
        found = found.filter(state=said["state"])
    return in_order(found, request, DELIVERIES_SORTED_BY)
