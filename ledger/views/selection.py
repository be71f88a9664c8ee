"""What of the ledger a page shows: the filter in its address, and the period in words."""

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import urlencode

from governance import accounts
from governance.models import Environment, Model, Workflow
from governance.readers import Reader
from governance.views.choices import workflow_filter
from governance.views.filters import ListFilter
from ledger.models import UsageEvent
from ledger.spend import By, Selection, Show

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9000, 12, 31)


class LedgerFilter(ListFilter):
    """What of the ledger is shown; the address holds it. Left empty, the days are those of this month so far."""

    TOGETHER = frozenset({"since", "until"})

    since = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}))
    workflow = forms.ChoiceField(label="Workflow", required=False)
    step = forms.CharField(label="Step", required=False, max_length=200)
    model = forms.ChoiceField(label="Model", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)

    def __init__(self, request: HttpRequest, *, today: date, workflows: Sequence[Workflow]) -> None:
        usual = {"since": today.replace(day=1), "until": today, "by": By.WORKFLOW.value, "show": Show.ALL.value}
        said = {name: value for name, value in request.GET.items() if value}
        super().__init__(request, usual | said, initial=usual)
        names = [("", "All models"), *Model.objects.order_by("title").values_list("name", "title")]
        self.fields["workflow"] = workflow_filter(workflows)
        self.fields["model"] = forms.ChoiceField(label="Model", required=False, choices=names)
        named = [(each.name, each.name) for each in Environment.objects.all()]
        places = [("", "All environments"), *named]
        self.fields["environment"] = forms.ChoiceField(label="Environment", required=False, choices=places)

    def clean(self) -> dict[str, Any]:
        """The days stand in their order and in a calendar."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        first, last = said.get("since"), said.get("until")
        if first and last and first > last:
            self.add_error("until", "Choose a day that is not before the first.")
        for name, day in (("since", first), ("until", last)):
            if day and not FIRST_DAY <= day <= LAST_DAY:
                self.add_error(name, f"Choose a day between {FIRST_DAY} and {LAST_DAY}.")
        return said

    def selection(self) -> Selection:
        """What was chosen. For a valid form."""
        said = self.cleaned_data
        narrowed = (said.get(name, "") for name in ("workflow", "step", "model", "outcome", "environment"))
        return Selection(said["since"], said["until"], *narrowed)


class SpendFilter(LedgerFilter):
    """Which sums are shown, and of what."""

    SHOWS = frozenset({"by"})

    by = forms.ChoiceField(label="Shown by", choices=By.choices)


class AttemptFilter(LedgerFilter):
    """Which attempts are listed."""

    outcome = forms.ChoiceField(
        label="Outcome", required=False, choices=[("", "All outcomes"), *UsageEvent.Outcome.choices]
    )
    show = forms.ChoiceField(label="Show", choices=Show.choices)


def reporting_zone() -> ZoneInfo:
    """The zone in which a day of money begins and ends."""
    return ZoneInfo(settings.REPORTING_TIME_ZONE)


def today() -> date:
    """The day it is in the reporting zone."""
    return timezone.now().astimezone(reporting_zone()).date()


def reader_of(request: HttpRequest) -> Reader:
    """Whose spend this person may read. Raises NotPermitted if it is nobody's."""
    return Reader.of(accounts.signed_in(request.user), "spend.view")


def address(selection: Selection, **more: str) -> str:
    """The query of an address that shows a selection, with some of it changed."""
    said = {
        "since": selection.first.isoformat(),
        "until": selection.last.isoformat(),
        "workflow": selection.workflow,
        "step": selection.step,
        "model": selection.model,
        "outcome": selection.outcome,
        "environment": selection.environment,
    }
    return urlencode({name: value for name, value in (said | more).items() if value})


def month(day: date) -> tuple[date, date]:
    """The first and the last day of the month that a day is in."""
    return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])


def months_beside(selection: Selection, today: date, **more: str) -> list[tuple[str, str]]:
    """The month before the selection's first day and the one after it, if that has begun: its name, its address."""
    start = selection.first.replace(day=1)
    beside = [start - timedelta(days=1), month(start)[1] + timedelta(days=1)]
    return [
        (f"{day:%B}", "?" + address(selection, since=first.isoformat(), until=min(last, today).isoformat(), **more))
        for day in beside
        for first, last in [month(day)]
        if FIRST_DAY <= first <= today
    ]


def period_words(selection: Selection, today: date) -> str:
    """The period in words: `November`, `22 November`, `1 to 22 November`, `3 October to 2 November 2025`."""
    first, last = selection.first, selection.last
    year = "" if first.year == last.year == today.year else f" {last.year}"
    begun = first == today.replace(day=1) and last == today
    if begun or (first, last) == month(first):
        return f"{last:%B}{year}"
    if first == last:
        return f"{last.day} {last:%B}{year}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {last.day} {last:%B}{year}"
    return f"{first.day} {first:%B}{f' {first.year}' if first.year != last.year else ''} to {last.day} {last:%B}{year}"
