"""What AI cost, by workflow, step, model or day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from governance import figures
from governance.export import csv_response
from ledger import spend as sums
from ledger.spend import NAMED_BY, By, Row, Selection, Show
from ledger.views import selection as chosen
from ledger.views.selection import SpendFilter, address

ROWS = 50
# Columns of the file, and what a line calls them.
CUT_BY = ("tier", "currency", "recorded", "purpose")
COUNTED = {"attempts": "events", "tasks": "tasks", "unpriced": "unpriced", "late": "late"}
# What a row leads to: itself, by the next finer thing.
FINER = {By.WORKFLOW: By.STEP, By.STEP: By.MODEL, By.MODEL: By.DAY, By.DAY: By.WORKFLOW}


@dataclass(frozen=True)
class Shown:
    """A row as the table shows it: what it is called, its sums, and the query behind each figure."""

    label: Any
    detail: str
    sums: Row
    finer: str
    attempts: str
    tasks: str
    unpriced: str
    evaluated: str
    recorded: str
    late: str


@require_safe
def spend(request: HttpRequest) -> HttpResponse:
    """The sums of a period, as far as this person may read them."""
    reader, today = chosen.reader_of(request), chosen.today()
    form = SpendFilter(request, today=today, workflows=reader.workflows)
    if not form.is_valid():
        return render(
            request, "ledger/spend.html", {"filter_form": form, "headline": "This filter does not fit"}, status=422
        )
    selection, by = form.selection(), By(form.cleaned_data["by"])
    rows, total = sums.rows(reader, selection, by)
    rows = in_order(rows, request.GET.get("sort", ""), by)
    page = Paginator(rows, ROWS).get_page(request.GET.get("page"))
    workflow = reader.workflow(selection.workflow)
    currency = next(iter(total.amounts)) if len(total.amounts) == 1 else ""
    context = {
        "filter_form": form,
        "by": by,
        "page": page,
        "rows": [shown(row, selection, by) for row in page],
        "total": shown(total, selection, by),
        "bare": bool(currency),
        "currency": currency,
        "spend_head": f"Spend, {currency}" if currency else "Spend",
        "headline": headline(total, workflow.name if workflow else "AI", selection, today),
        "nothing": f"No attempt was counted in {chosen.period_words(selection, today)}",
        "selection": selection,
        "queued": sums.queued(),
        "queue_counted": sums.QUEUE_COUNTED,
        "zone": settings.REPORTING_TIME_ZONE,
        "months": chosen.months_beside(selection, today, by=by),
        "export": f"{reverse('spend_csv')}?{address(selection, by=by)}",
    }
    return render(request, "ledger/spend.html", context)


@require_safe
def spend_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same sums as a file, cut by tier and currency; its columns add up to the page's totals."""
    reader = chosen.reader_of(request)
    form = SpendFilter(request, today=chosen.today(), workflows=reader.workflows).for_file()
    selection, by = form.selection(), By(form.cleaned_data["by"])
    return csv_response(
        name=f"spend-by-{by}-{selection.first}-{selection.last}.csv",
        columns=[*NAMED_BY[by], *CUT_BY, *COUNTED, *sums.TOKENS, "amount"],
        rows=(
            [*line.names, *(getattr(line, column) for column in (*CUT_BY, *COUNTED.values(), *sums.TOKENS, "amount"))]
            for line in sums.lines(reader, selection, by)
        ),
    )


def in_order(rows: list[Row], sort: str, by: By) -> list[Row]:
    """The rows as the address asks; else the dearest first, and the newest day."""
    keys = {
        "name": lambda row: tuple(map(str, row.names)),
        "tasks": lambda row: row.tasks,
        "attempts": lambda row: row.attempts,
        "spend": lambda row: _main(row.amounts),
        "task": lambda row: _main(row.per_task),
        "unpriced": lambda row: row.unpriced,
    }
    wanted = sort if sort.removeprefix("-") in keys else "-name" if by is By.DAY else "-spend"
    return sorted(rows, key=keys[wanted.removeprefix("-")], reverse=wanted.startswith("-"))


def _main(amounts: dict[str, Decimal]) -> tuple[Decimal, ...]:
    """What amounts are sorted by: the organisation's currency, then any other; nothing priced comes below zero."""
    others = [amounts[currency] for currency in sorted(amounts) if currency != settings.CURRENCY]
    return (amounts.get(settings.CURRENCY, Decimal(-1)), *others)


def shown(row: Row, selection: Selection, by: By) -> Shown:
    """A row, or the sum of all, with its links."""
    narrowed = _narrowed(row.names, by)
    return Shown(
        label=row.names[0] if row.names else "",
        detail=row.names[1] if by is By.STEP and row.names and not selection.workflow else "",
        sums=row,
        finer=address(selection, **narrowed, by=FINER[by]),
        attempts=address(selection, **narrowed),
        tasks=address(selection, **narrowed, show=Show.KEPT),
        unpriced=address(selection, **narrowed, show=Show.UNPRICED),
        evaluated=address(selection, **narrowed, show=Show.EVALUATED),
        recorded=address(selection, **narrowed, show=Show.RECORDED),
        late=address(selection, **narrowed, show=Show.LATE),
    )


def _narrowed(names: Sequence[Any], by: By) -> dict[str, str]:
    """The filter that leaves only what a row is of."""
    if not names:
        return {}
    match by:
        case By.WORKFLOW:
            return {"workflow": names[1]}
        case By.STEP:
            return {"step": names[0], "workflow": names[2]}
        case By.MODEL:
            return {"model": names[1]}
        case By.DAY:
            return {"since": names[0].isoformat(), "until": names[0].isoformat()}


def headline(total: Row, what: str, selection: Selection, today: date) -> str:
    """The sentence that matters: what it cost, and what is not in that."""
    period = chosen.period_words(selection, today)
    so_far = " so far" if selection.first <= today <= selection.last and selection.first != today else ""
    unpriced = figures.group_thousands(total.unpriced)
    if not total.attempts:
        return f"{what} cost nothing in {period}{so_far}"
    if not total.amounts:
        return f"What {what} cost in {period} is not known: none of {unpriced} attempts has a price"
    amounts = _in_words(total.amounts)
    if total.all_recorded:
        recorded = ", all of it recorded"
    else:
        recorded = f", {_in_words(total.recorded)} of it recorded" if total.recorded else ""
    one = total.unpriced == 1
    missing = f"; {unpriced} more {'attempt has' if one else 'attempts have'} no price" if total.unpriced else ""
    return f"{what} cost {amounts} in {period}{so_far}{recorded}{missing}"


def _in_words(amounts: dict[str, Decimal]) -> str:
    return " and ".join(
        f"{currency}{figures.NBSP}{figures.money_words(amount)}" for currency, amount in amounts.items()
    )
