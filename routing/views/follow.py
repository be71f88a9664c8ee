"""Follow one request: the newest, climbing its ladder, and what the last hour came to."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from governance import accounts, figures
from governance.views import drawing
from governance.views.choices import workflow_filter
from governance.views.filters import ListFilter
from ledger.models import Decision
from routing import requests as found
from routing import stories, words
from routing.requests import MOST_COUNTED, PERSON, Hour, Kind, Place, Reader
from routing.views.requests import in_place
from routing.views.trials import form_for

SHOWN = 10
Outcome = Decision.Outcome


@dataclass(frozen=True)
class Said:
    """A part of a sentence, and the query of the list that counts what it says."""

    words: str
    query: str = ""


class FollowForm(ListFilter):
    """Whose requests are followed."""

    workflow = forms.CharField(label="Workflow", required=False)

    def __init__(self, request: HttpRequest, *, reader: Reader) -> None:
        super().__init__(request)
        self.fields["workflow"] = workflow_filter(reader.workflows)


@require_safe
def follow(request: HttpRequest) -> HttpResponse:
    """The newest request that this person may see. A page that shows it already, and asks again, gets 204."""
    user = accounts.signed_in(request.user)
    reader, now = found.reader(user), timezone.now()
    form = FollowForm(request, reader=reader)
    slug = form.cleaned_data["workflow"] if form.is_valid() else ""
    decisions = found.made_for(reader.decisions.come(now) if form.is_valid() else Decision.objects.none(), Kind.WORK)
    if slug:
        decisions = decisions.filter(workflow=reader.workflow(slug))
    tier_of = drawing.tiers()
    strip = found.rows(found.page(decisions, Place(), size=SHOWN).decisions, tier_of)
    seen = request.GET.get("seen")
    again = in_place(request) and seen is not None
    if again and seen == (strip[0].mark if strip else ""):
        return HttpResponse(status=204)
    context: dict[str, Any] = {
        "story": stories.tell(strip[0].decision, tier_of) if strip else None,
        "strip": strip,
        "slug": slug,
        "again": again,
        "climbing": bool(strip) and (seen or "").partition(":")[0] != str(strip[0].decision.id),
        "headline": told(found.last_hour(decisions, now=now), slug),
    }
    if again:
        return render(request, "routing/_newest.html", context)
    may_send_trial = accounts.can(user, "trials.send")
    context["filter_form"] = form
    context["trial_form"] = form_for(user, request) if may_send_trial else None
    return render(request, "routing/follow.html", context, status=form.http_status)


def told(hour: Hour, slug: str) -> list[Said]:
    """How many requests came in an hour, who answered them, and what they cost; each number with the list it counts."""
    if not hour.requests:
        return [Said("No request came in the last hour")]
    every = {"workflow": slug, "kind": Kind.WORK.value, "hour": hour.until.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def counted(number: str, **more: str) -> Said:
        return Said(number, urlencode({name: value for name, value in (every | more).items() if value}))

    many = f"More than {MOST_COUNTED:,}" if hour.more else f"{hour.requests:,}"
    said = [counted(many), Said(f" request{'s' if hour.requests != 1 else ''} in the last hour")]
    for number, outcome, became in (
        (hour.failed, Outcome.FAILED, "without an answer"),
        (hour.refused, Outcome.REFUSED, "not allowed"),
    ):
        if number:
            said += [Said(", "), counted(f"{number:,}", outcome=outcome.value), Said(f" {became}")]
    shares = figures.cut_shares(hour.answered.items())
    total = sum(hour.answered.values())
    for place, share in enumerate(shares):
        start = ", " if place else "; of the rest " if total < hour.requests else ": "
        narrowed = {"outcome": Outcome.PERSON.value}
        if share.tier != PERSON:
            narrowed = {"outcome": Outcome.KEPT.value, "tier": share.tier}
        part = f"{figures.TIER_WORDS[share.tier]} {figures.percent_words(share.amount / total)}"
        said += [Said(start), counted(part, **narrowed)]
    if cost := words.amounts(hour.amounts):
        said += [Said(", for "), counted(cost, sort="-cost")]
    return said
