"""Roll-backs: the form by which a person goes back at once to what was live before."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from governance import accounts, policies, rollbacks
from governance.figures import moment_words
from governance.models import Environment, PolicyHead, User, Workflow
from governance.rollbacks import Earlier
from governance.views import drawing
from governance.views.confirmed import ConfirmedForm
from governance.views.forms import FormPage, ask, sent

# Of so many the form tells what would be otherwise.
SHOWN = 3


class RollbackForm(ConfirmedForm):
    """Which earlier version; `seen` is the one that was live on the page."""

    seen = forms.UUIDField(widget=forms.HiddenInput)
    to = forms.TypedChoiceField(label="Back to", coerce=UUID, widget=forms.RadioSelect)

    field_order = ("seen", "to", "reason", "password")

    def __init__(self, data: Any = None, *, person: User, found: list[Earlier], initial: Any) -> None:
        """Offer what one may go back to."""
        super().__init__(data, person=person, initial=initial)
        self.fields["to"] = forms.TypedChoiceField(
            label="Back to",
            coerce=UUID,
            widget=forms.RadioSelect,
            choices=[(each.change.pk, _said(each)) for each in found if not each.why_not],
            error_messages={"required": "Choose a version.", "invalid_choice": "Nobody goes back to that at once."},
        )
        self.order_fields(self.field_order)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def rollback_new(request: HttpRequest, slug: str, environment: str) -> HttpResponse:
    """Go back at once to what was live in an environment before, by the votes that it had then."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user), slug=slug)
    place = get_object_or_404(Environment, name=environment)
    user = accounts.signed_in(request.user)
    accounts.require(user, "rollbacks.go_back", workflow, environment=place)
    head = PolicyHead.objects.filter(workflow=workflow, environment=place).select_related("version").first()
    found = rollbacks.earlier(workflow, place)
    free = [each for each in found if not each.why_not]
    initial = {"seen": head.version_id if head else None, "to": _asked(request, free)}
    form = RollbackForm(sent(request), person=user, found=found, initial=initial)
    page = FormPage(
        title="Roll back",
        headline=f"Roll {workflow.name} back in {place.name}?",
        lede=_lede(head, free),
        submit="Roll back now",
        back=(workflow.name, reverse("workflow", args=[slug])),
        danger=True,
        notes=[*_differences(head, free), *_barred(found)],
    )

    def act() -> str:
        made = rollbacks.go_back(workflow=workflow, environment=place, by=user, **form.cleaned_data)
        number = made.revision.policy.number
        messages.success(request, f"Rolled back: it is live as version {number}. Gateways take it up within seconds.")
        return reverse("change", args=[made.pk])

    return ask(request, form, page, act)


def _lede(head: PolicyHead | None, free: list[Earlier]) -> str:
    if head is None:
        return "Nothing is live there, so there is nothing to go back from."
    if not free:
        return f"Version {head.version.number} is live, and there is nothing to go back to at once. Propose a change."
    return (
        f"Version {head.version.number} is live. What was live before had its votes, so it is live again at once, "
        "without new ones; no rest and no freeze holds it."
    )


def _asked(request: HttpRequest, free: list[Earlier]) -> UUID | None:
    """The version that the address names, else the last that was live."""
    number = request.GET.get("version", "")
    named = [each for each in free if str(each.change.revision.policy.number) == number]
    return next((each.change.pk for each in [*named, *free]), None)


def _said(each: Earlier) -> str:
    revision = each.change.revision
    until = moment_words(each.live_until, now=timezone.now(), zone=timezone.get_current_timezone())
    mode = revision.get_mode_display().lower()
    by = f"by change {each.change.number}: {each.change.title}"
    return f"Version {revision.policy.number}, live until {until}; it {mode}, {by}"


def _differences(head: PolicyHead | None, free: list[Earlier]) -> list[tuple[str, str]]:
    """What would be otherwise than it is now, for the versions that were live last."""
    if head is None:
        return []
    live = policies.read(head.version.document)
    told = []
    for each in free[:SHOWN]:
        policy = each.change.revision.policy
        lines = [_words(line) for line in drawing.difference(live, policies.read(policy.document))]
        told.append((f"With version {policy.number}", " · ".join(lines) or "Only the mode differs."))
    return told


def _words(line: drawing.Line) -> str:
    if line.after is None:
        return f"no longer: {line.before}"
    return f"{line.after} (now: {line.before})" if line.before else line.after


def _barred(found: list[Earlier]) -> list[tuple[str, str]]:
    """The versions that nobody goes back to at once, and why."""
    barred = [each for each in found if each.why_not]
    return [
        (
            f"Not version {each.change.revision.policy.number}",
            f"{each.why_not[:1].upper()}{each.why_not[1:]}; propose it as a change.",
        )
        for each in barred
    ]
