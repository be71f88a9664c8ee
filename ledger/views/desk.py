"""Parts of other pages that the ledger knows: the month in figures, who answered where, one workflow over time."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from governance import accounts
from governance.models import Workflow
from ledger import outcomes, savings, spend
from ledger.outcomes import Outcomes
from ledger.savings import Compared
from ledger.spend import By, Row, Selection
from ledger.views import selection as chosen
from ledger.views.selection import address

# A month is what a workflow's page looks back on, and as many workflows as a first screen holds.
DAYS = 30
SHOWN = 9


@dataclass(frozen=True)
class Answered:
    """One workflow: what came of its requests, and what they cost."""

    workflow: Workflow
    outcomes: Outcomes
    sums: Row
    recorded: bool
    query: str


@require_safe
def month_facts(request: HttpRequest) -> HttpResponse:
    """The month so far: spent, not priced, and the places of what the two below tell, each as soon as it is known."""
    reader, today = chosen.reader_of(request), chosen.today()
    selection = _month(today)
    _, total = spend.rows(reader, selection, None)
    context = {"total": total, "period": chosen.period_words(selection, today), "query": address(selection)}
    return render(request, "ledger/_month_facts.html", context)


@require_safe
def month_saved(request: HttpRequest) -> HttpResponse:
    """The month so far: saved within which bounds."""
    selection = _month(chosen.today())
    keys, zone = chosen.reader_of(request).keys, chosen.reporting_zone()
    compared = savings.together(savings.by_workflow(keys, selection.first, selection.last, zone=zone).values())
    return render(request, "ledger/_month_saved.html", {"compared": compared, "query": address(selection)})


@require_safe
def month_requests(request: HttpRequest) -> HttpResponse:
    """The month so far: requests, and what people decided of them."""
    today = chosen.today()
    selection = _month(today)
    keys, zone = chosen.reader_of(request).keys, chosen.reporting_zone()
    came = outcomes.together(keys, selection.first, selection.last, zone=zone)
    context = {"came": came, "period": chosen.period_words(selection, today), "query": address(selection)}
    return render(request, "ledger/_month_requests.html", context)


@require_safe
def answered(request: HttpRequest) -> HttpResponse:
    """Where requests were answered in the last thirty days: the workflows with the most of them."""
    reader = chosen.reader_of(request)
    first, last = _days()
    came = outcomes.by_workflow(reader.keys, first, last, zone=chosen.reporting_zone())
    most = sorted(came, key=lambda key: came[key].requests, reverse=True)[:SHOWN]
    workflows = Workflow.objects.in_bulk(most)
    rows, _total = spend.rows(reader, Selection(first, last), By.WORKFLOW, workflows=workflows)
    sums = {row.names[1]: row for row in rows}
    shown = []
    for key in most:
        workflow = workflows[key]
        row = sums.get(workflow.slug, Row((workflow.name, workflow.slug)))
        query = address(Selection(first, last, workflow.slug))
        shown.append(Answered(workflow, came[key], row, row.all_recorded, query))
    context = {"rows": shown, "more": len(came) - len(shown), "query": address(Selection(first, last))}
    return render(request, "ledger/_answered.html", context)


@require_safe
def workflow_figures(request: HttpRequest, slug: str) -> HttpResponse:
    """One workflow's last thirty days: cost, who answered, climbs and people, day by day, and what was saved."""
    reader = chosen.reader_of(request)
    workflow = get_object_or_404(reader.readable, slug=slug)
    first, last = _days()
    selection, zone = Selection(first, last, workflow.slug), chosen.reporting_zone()
    days = outcomes.by_day(workflow.pk, first, last, zone=zone)
    by_day, total = spend.rows(reader, selection, By.DAY)
    cost = {row.names[0]: row.amounts for row in by_day}
    context = {
        "workflow": workflow,
        "sums": total,
        "came": Outcomes.together(each for _day, each in days),
        "days": [(day, each.answered) for day, each in days],
        "table": [(day, each, cost.get(day, {})) for day, each in days if each.requests or day in cost],
        "compared": savings.by_workflow([workflow.pk], first, last, zone=zone).get(workflow.pk, Compared((), 0)),
        "may_edit": accounts.can(request.user, "savings.edit", workflow),
        "query": address(selection),
    }
    return render(request, "ledger/_workflow_figures.html", context)


def _month(today: date) -> Selection:
    return Selection(today.replace(day=1), today)


def _days() -> tuple[date, date]:
    last = chosen.today()
    return last - timedelta(days=DAYS - 1), last
