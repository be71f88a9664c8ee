"""Follow one request: the newest, climbing its ladder, and what the last hour came to."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance import accounts, figures
from governance.views import drawing
from governance.views.choices import workflow_filter
from routing import requests as found
from routing import stories, words
from routing.requests import Hour, Kind, Place, Reader
from routing.views.requests import in_place
from routing.views.trials import form_for

SHOWN = 10


class FollowForm(forms.Form):
    """Whose requests are followed."""

    workflow = forms.CharField(label="Workflow", required=False)

    def __init__(self, data: Any, *, reader: Reader) -> None:
        super().__init__(data)
        self.fields["workflow"] = workflow_filter(reader.workflows)


@require_safe
def follow(request: HttpRequest) -> HttpResponse:
    """The newest request that this person may see. A page that shows it already, and asks again, gets 204."""
    user = accounts.signed_in(request.user)
    reader = found.reader(user)
    slug = request.GET.get("workflow", "")
    workflow = reader.workflow(slug)
    if slug and workflow is None:
        raise Http404("No such workflow.")
    decisions = found.made_for(reader.decisions, Kind.WORK)
    if workflow:
        decisions = decisions.filter(workflow=workflow)
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
        "headline": told(found.last_hour(decisions, now=timezone.now())),
    }
    if again:
        return render(request, "routing/_newest.html", context)
    may_try = accounts.can(user, "requests.try")
    context["filter_form"] = FollowForm(request.GET.dict(), reader=reader)
    context["trial_form"] = form_for(user, request) if may_try else None
    return render(request, "routing/follow.html", context)


def told(hour: Hour) -> str:
    """How many requests came in an hour, who answered them, and what they cost."""
    if not hour.requests:
        return "No request came in the last hour"
    many = f"More than {hour.requests:,}" if hour.more else f"{hour.requests:,}"
    said = f"{many} request{'s' if hour.requests != 1 else ''} in the last hour"
    shares = figures.cut_shares(hour.answered.items())
    unanswered = hour.requests - sum(hour.answered.values())
    if unanswered:
        said += f", {unanswered:,} without an answer"
    if shares:
        said += f"{'; of the rest' if unanswered else ':'} {figures.share_words(shares)}"
    cost = words.amounts(hour.amounts)
    return f"{said}, for {cost}" if cost else said
