"""Coordination: how fast changes become live, on whom they wait, what has no owner, what would be one standard."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts, coordination
from governance.coordination import Pace
from governance.export import csv_response
from governance.figures import duration_words
from governance.models import Change, Emergency, Environment, Model, Workflow

DAYS = 90
MINUTE = timedelta(minutes=1)
# Of what waits the page shows the oldest; the list of changes has all.
SHOWN = 30
COLUMNS = ("change", "title", "place", "state", "proposed_by", "proposed_at", "waits_on")


@require_GET
def coordination_page(request: HttpRequest) -> HttpResponse:
    """The pace of changes over 90 days, and what stands in their way now."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.view")
    visible = Change.objects.visible_to(user)
    paces = coordination.pace(visible, since=timezone.now() - timedelta(days=DAYS))
    workflows, models = Workflow.objects.visible_to(user).in_use(), Model.objects.visible_to(user).in_use()
    recorded = set(Environment.objects.filter(recorded=True).values_list("name", flat=True))
    context = {
        "days": DAYS,
        "headline": _headline(paces[0]),
        "paces": [(each, _words(each.median), _words(each.p90), each.environment in recorded) for each in paces],
        "waiting": coordination.waiting(visible, most=SHOWN),
        "emergencies": Emergency.objects.open_to(user)[:SHOWN],
        "ownerless": coordination.ownerless(workflows, models),
        "repeated": coordination.repeated(user),
    }
    return render(request, "governance/coordination.html", context)


@require_GET
def coordination_csv(request: HttpRequest) -> StreamingHttpResponse:
    """What waits now, and on whom, as a file; all of it."""
    accounts.require(request.user, "changes.view")
    found = coordination.waiting(Change.objects.visible_to(request.user), most=10_000)
    rows = (
        [
            *(each.change.number, each.change.title, each.change.place, each.change.state),
            *(each.change.proposed_by.name, each.change.created_at, ", ".join(each.voters) or each.otherwise),
        ]
        for each in found
    )
    return csv_response(name="waiting-changes.csv", columns=COLUMNS, rows=rows)


def _headline(every: Pace) -> str:
    if not every.count:
        return f"No change became live in {DAYS} days"
    if every.count == 1:
        return f"One change became live in {DAYS} days, {_words(every.median)} after it was proposed"
    half, most = _words(every.median), _words(every.p90)
    if half == most:
        return f"9 of 10 changes were live within {most} of being proposed"
    return f"Half of the changes were live within {half} of being proposed, 9 of 10 within {most}"


def _words(took: timedelta | None) -> str:
    """A time as people wait for one: nobody votes within seconds."""
    if took is None:
        return ""
    return duration_words(round(took.total_seconds() * 1000)) if took >= MINUTE else "a minute"
