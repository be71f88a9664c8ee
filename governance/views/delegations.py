"""Delegations on one's own account: let another cast one's votes for a time, and take that back."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from governance import accounts, delegations
from governance.errors import InvalidInput
from governance.models import Delegation, User
from governance.models.delegations import LONGEST
from governance.permissions import roles_with
from governance.views.forms import FormPage, ReasonForm, ask, sent

MOMENT = "%Y-%m-%dT%H:%M"


class DelegationForm(ReasonForm):
    """Who votes for one, from and until when."""

    starts_at = forms.DateTimeField(
        label="From", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MOMENT)
    )
    ends_at = forms.DateTimeField(
        label="Until", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MOMENT)
    )

    field_order = ("to", "starts_at", "ends_at", "reason")

    def __init__(self, data: Any = None, *, user: User) -> None:
        """Offer those who may vote themselves."""
        now = timezone.localtime()
        super().__init__(data, initial={"starts_at": now, "ends_at": now + LONGEST / 2})
        voters = User.objects.filter(is_active=True, grants__role__in=roles_with("changes.vote"))
        others = voters.exclude(pk=user.pk).distinct().order_by("name")
        self.fields["to"] = forms.ModelChoiceField(others, label="Who votes for you", empty_label="Choose")
        self.order_fields(self.field_order)
        self.fields["ends_at"].help_text = f"Time in {timezone.get_current_timezone_name()}. At most 30 days."


@require_http_methods(["GET", "POST"])
def delegation_new(request: HttpRequest) -> HttpResponse:
    """Name who casts one's votes for a time."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.vote")
    form = DelegationForm(sent(request), user=user)
    page = FormPage(
        title="Delegate",
        headline="Who votes for you while you are away?",
        lede="He votes for you only where both of you may vote, and on nothing that either of you had a hand in.",
        submit="Delegate",
        back=("Your account", reverse("account")),
        notes=(
            ("His vote for you", "It stands as his, for you. He votes once on a change: for you, or for himself."),
            ("Your own vote", "It takes the place of his for you at once."),
            ("Afterwards", "When the delegation ends, what was voted by it counts no more where nothing is live yet."),
        ),
    )

    def act() -> str:
        made = delegations.delegate(by=user, **form.cleaned_data)
        messages.success(request, f"{made.to} may cast your votes.")
        return page.back[1]

    return ask(request, form, page, act)


@require_POST
def delegation_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a delegation that one gave or has."""
    user = accounts.signed_in(request.user)
    found = get_object_or_404(Delegation.objects.involving(user), pk=pk)
    try:
        delegations.revoke(delegation=found, by=user)
    except InvalidInput as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The delegation is over.")
    return redirect("account")
