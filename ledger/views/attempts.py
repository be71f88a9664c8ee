"""The attempts that spend is made of, each with its cost."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from governance import figures
from governance.export import csv_response
from ledger import spend
from ledger.models import Charge, UsageEvent
from ledger.spend import Show
from ledger.views import selection as chosen
from ledger.views.selection import AttemptFilter, address

ROWS = 50
# What a list holds: one, and several.
NAMED = {
    Show.ALL: ("attempt", "attempts"),
    Show.KEPT: ("kept answer", "kept answers"),
    Show.UNPRICED: ("attempt without a price", "attempts without a price"),
    Show.EVALUATED: ("attempt of evaluations", "attempts of evaluations"),
    Show.RECORDED: ("attempt recorded elsewhere", "attempts recorded elsewhere"),
    Show.LATE: ("attempt that came late", "attempts that came late"),
    Show.COMPARED: ("task in a saving", "tasks in savings"),
    Show.COMPARED_RECORDED: ("recorded task in a saving", "recorded tasks in savings"),
    Show.UNCOMPARED: ("task in no saving", "tasks in no saving"),
}
COLUMNS = (
    *("id", "decision_id", "attempt", "occurred_at", "booked_at", "recorded_at", "clock", "workflow", "step", "run"),
    *("key", "endpoint_id", "model", "tier", "model_requested", "model_served", "outcome", "kept", "http_status"),
    *("error", *spend.TOKENS, "usage_quality", "latency_ms", "currency", "amount", "unpriced", "price_id"),
)


@require_safe
def attempts(request: HttpRequest) -> HttpResponse:
    """The attempts of a period, as far as this person may read them, newest first unless asked."""
    reader, today = chosen.reader_of(request), chosen.today()
    form = AttemptFilter(request, today=today, workflows=reader.workflows)
    if not form.is_valid():
        return render(
            request, "ledger/attempts.html", {"filter_form": form, "headline": "This filter does not fit"}, status=422
        )
    selection, show = form.selection(), Show(form.cleaned_data["show"])
    events, count = spend.attempts(reader, selection, show, zone=chosen.reporting_zone())
    if request.GET.get("sort") == "when":
        events = events.reverse()
    pages = Paginator(events, ROWS)
    # Known from the day sums; counting millions of attempts would take longer than all else.
    pages.count = count
    page = pages.get_page(request.GET.get("page"))
    period = chosen.period_words(selection, today)
    context = {
        "filter_form": form,
        "page": page,
        "rows": spend.with_charges(page),
        "spent": spend.spent_on(reader, selection, show),
        "one": count == 1,
        "headline": f"{figures.group_thousands(count)} {NAMED[show][count != 1]} in {period}",
        "spend": f"{reverse('spend')}?{address(selection)}",
        "export": f"{reverse('spend_attempts_csv')}?{address(selection, show=show)}",
    }
    return render(request, "ledger/attempts.html", context)


@require_safe
def attempts_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same attempts as a file, all of them, with all that is known of each."""
    reader = chosen.reader_of(request)
    form = AttemptFilter(request, today=chosen.today(), workflows=reader.workflows).for_file()
    selection, show = form.selection(), Show(form.cleaned_data["show"])
    events, _count = spend.attempts(reader, selection, show, zone=chosen.reporting_zone())
    return csv_response(
        name=f"attempts-{selection.first}-{selection.last}.csv",
        columns=COLUMNS,
        rows=(_cells(event, charge) for event, charge in spend.with_charges(events.iterator(chunk_size=2_000))),
    )


def _cells(event: UsageEvent, charge: Charge) -> list[Any]:
    named = {"workflow": event.workflow.slug, "key": event.key.name}
    charged = {name: getattr(charge, name) for name in ("currency", "amount", "unpriced", "price_id")}
    known = named | charged
    return [known[column] if column in known else getattr(event, column) for column in COLUMNS]
