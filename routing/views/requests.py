"""Requests: the list, one request from triage to the person, and its ladder alone for pages that wait for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.paginator import Page as Numbered
from django.core.paginator import Paginator
from django.db.models import Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from governance import accounts, figures
from governance.export import csv_response
from governance.models import ApiKey, Environment, Model
from governance.views import drawing
from governance.views.choices import workflow_filter
from governance.views.filters import Among, ListFilter
from ledger import savings
from ledger.attempts import Attempt
from ledger.models import Decision
from ledger.views import selection as chosen
from routing import requests as found
from routing import stories, troubles
from routing.requests import MOST_COUNTED, MOST_RANKED, UNANSWERED, Kind, Page, Place, Reader, Row, Selection, Watching

SORTS = {"": ("when", True), "-when": ("when", True), "when": ("when", False)} | {
    f"{minus}{by}": (by, bool(minus)) for by in ("cost", "time") for minus in ("", "-")
}
Outcome = Decision.Outcome
# What became of one request, and of several.
WENT = {
    Outcome.KEPT: ("was answered by a model", "were answered by models"),
    Outcome.PERSON: ("went to a person", "went to a person"),
    Outcome.FAILED: ("got no answer", "got no answer"),
    Outcome.REFUSED: ("was not allowed", "were not allowed"),
}
Attempts = Mapping[UUID, list[Attempt]]
OUTCOMES = [("", "All outcomes"), *Outcome.choices, (UNANSWERED, "No answer: failed or not allowed")]
COLUMNS = (
    *("id", "occurred_at", "workflow", "step", "run", "environment", "recorded", "key", "purpose", "mode", "triage"),
    *("policy_version", "outcome", "review", "answered_by", "tier", "confidence", "attempts", "latency_ms"),
    *("currency", "amount", "unpriced", "pending"),
)


class RequestFilter(ListFilter):
    """Which requests are listed; the address holds it. The fields of `later` fold away until they are used."""

    LATER = (
        *("step", "environment", "model", "mode", "key", "run", "kind", "recorded", "attempts", "hour", "clock"),
        *("why", "asked", "watched", "ladders", "paid"),
    )

    workflow = forms.CharField(label="Workflow", required=False)
    outcome = forms.ChoiceField(label="Outcome", required=False, choices=OUTCOMES)
    tier = forms.ChoiceField(
        label="Answered by",
        required=False,
        choices=[("", "Anybody"), *((tier, figures.TIER_WORDS[tier].capitalize()) for tier in figures.TIERS)],
    )
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    step = forms.CharField(label="Step", required=False, max_length=200)
    environment = forms.ChoiceField(label="Environment", required=False)
    model = forms.ChoiceField(label="Model", required=False)
    mode = forms.ChoiceField(label="Mode", required=False, choices=[("", "Any mode"), *Decision.Mode.choices])
    key = forms.CharField(label="Key", required=False, max_length=120, help_text="its name or its first letters")
    run = forms.CharField(label="Run", required=False, max_length=200)
    kind = forms.ChoiceField(label="Made for", required=False, choices=[("", "Anything"), *Kind.choices])
    recorded = forms.ChoiceField(
        label="Served", required=False, choices=[("", "Here or elsewhere"), ("only", "Elsewhere, and recorded")]
    )
    attempts = forms.ChoiceField(
        label="Attempts", required=False, choices=[("", "Any number"), ("several", "More than one")]
    )
    hour = forms.DateTimeField(
        label="In the hour before", required=False, help_text="a moment, like 2026-11-27T12:00:00Z"
    )

    clock = forms.ChoiceField(
        label="Dated", required=False, choices=[("", "Up to now"), ("ahead", "After now, by a clock that is ahead")]
    )

    why = forms.CharField(
        label="Why not",
        required=False,
        max_length=1000,
        help_text="the reason, as the home page tells it, why it got no answer or was not allowed; of the newest alone",
    )
    asked = forms.CharField(label="Asked for", required=False, max_length=80, help_text="the model that was named")
    watched = forms.ChoiceField(label="Only watched", required=False, choices=[("", "All the same"), *Watching.choices])
    ladders = forms.CharField(
        label="Would have begun on",
        required=False,
        max_length=4000,
        help_text="models in their order, like small>large, or small>large@step at one step; others behind a comma",
    )
    paid = forms.CharField(label="Paid in", required=False, max_length=3, help_text="a currency, like USD")

    def __init__(self, request: HttpRequest, *, reader: Reader, models: list[Model]) -> None:
        super().__init__(request)
        self.reader = reader
        self.fields["workflow"] = workflow_filter(reader.workflows)
        places = [("", "All environments"), *((each.name, each.name) for each in Environment.objects.all())]
        self.fields["environment"] = forms.ChoiceField(label="Environment", required=False, choices=places)
        names = [("", "Any model"), *((each.name, each.title) for each in models)]
        self.fields["model"] = forms.ChoiceField(label="Model", required=False, choices=names)

    def among(self) -> dict[str, Among]:
        """The keys of the workflows whose requests this person may read. A step and a run are what was sent."""
        keys = ApiKey.objects.filter(workflow__in=self.reader.readable)
        shown = keys.annotate(shown=Concat(Value("sf_"), "prefix"))
        return {"key": Among(shown, "key", by=("name", "prefix", "shown"))}

    @property
    def first(self) -> list[forms.BoundField]:
        """What most people filter by."""
        return [bound for bound in self if bound.name not in self.LATER]

    @property
    def later(self) -> list[forms.BoundField]:
        """The rest."""
        return [bound for bound in self if bound.name in self.LATER]

    @property
    def later_used(self) -> bool:
        """Whether any of the rest narrows the list."""
        return any(self.data.get(name) for name in self.LATER)

    def clean(self) -> dict[str, Any]:
        """The days stand in their order and in a calendar."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("since", "until"):
            if said.get(name) and not chosen.FIRST_DAY <= said[name] <= chosen.LAST_DAY:
                self.add_error(name, f"Choose a day between {chosen.FIRST_DAY} and {chosen.LAST_DAY}.")
        hour = said.get("hour")
        if hour and not chosen.FIRST_DAY < hour.date() <= chosen.LAST_DAY:
            self.add_error("hour", f"Choose a moment between {chosen.FIRST_DAY} and {chosen.LAST_DAY}.")
        if said.get("since") and said.get("until") and said["since"] > said["until"]:
            self.add_error("until", "Choose a day that is not before the first.")
        return said

    def selection(self) -> Selection:
        """What was chosen. For a valid form."""
        said = dict(self.cleaned_data)
        workflow = self.reader.workflow(said.pop("workflow"))
        kind, several, ahead = said.pop("kind"), said.pop("attempts") == "several", said.pop("clock") == "ahead"
        recorded = said.pop("recorded") == "only"
        days = {"first": said.pop("since"), "last": said.pop("until")}
        del said["why"]
        watching, ladders = said.pop("watched"), said.pop("ladders")
        return Selection(
            workflow=workflow,
            watched=Watching(watching) if watching else None,
            ladders=tuple(_begun(each) for each in ladders.split(",")) if ladders else (),
            kind=Kind(kind) if kind else None,
            several=several,
            ahead=ahead,
            recorded=recorded,
            **days,
            **said,
        )


def _begun(said: str) -> found.Begun:
    """A ladder as the address says it: models in their order, and behind `@` the one step that is meant."""
    ladder, _at, step = said.partition("@")
    return found.Begun(tuple(ladder.split(">")), step)


@dataclass(frozen=True)
class Listing:
    """A page of the list: its rows, how many there are in all of each outcome (or `more`), and how one goes on."""

    rows: list[Row]
    counts: Mapping[Decision.Outcome, int]
    more: bool
    sort: str
    stretch: Page | None = None
    numbered: "Numbered[UUID] | None" = None

    @property
    def ranks(self) -> bool:
        """Whether they are few enough to be put in order of cost or time."""
        return self.count <= MOST_RANKED

    @property
    def count(self) -> int:
        """How many there are in all, as far as they are counted."""
        return sum(self.counts.values())


@require_safe
def requests(request: HttpRequest) -> HttpResponse:
    """The requests of a selection as far as this person may read them, the newest first unless asked."""
    reader = found.reader(accounts.signed_in(request.user))
    models = list(Model.objects.order_by("title"))
    form = RequestFilter(request, reader=reader, models=models)
    if not form.is_valid():
        context = {"filter_form": form, "headline": "This filter does not fit"}
        return render(request, "routing/requests.html", context, status=422)
    selection = form.selection()
    now = timezone.now()
    listing = _list(request, *_found(form, selection, now), models=models)
    context = {
        "filter_form": form,
        "listing": listing,
        "headline": headline(listing, selection) if listing.count or form.narrowed else "No request came yet",
        "counted": counted(listing),
        "total": None if listing.more else listing.count,
        # Told of the whole list alone: its link leads to all of them.
        "ahead": 0 if form.narrowed else reader.decisions.to_come(now).count(),
        "zone": settings.REPORTING_TIME_ZONE,
        "most": MOST_RANKED,
        "export": f"{reverse('requests_csv')}?{narrowing(form)}",
        "may_send_trial": accounts.can(request.user, "trials.send") if not listing.count else False,
    }
    return render(request, "routing/requests.html", context)


@require_safe
def requests_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same requests as a file, all of them, newest first."""
    reader = found.reader(accounts.signed_in(request.user))
    models = list(Model.objects.order_by("title"))
    form = RequestFilter(request, reader=reader, models=models).for_file()
    decisions, _attempts = _found(form, form.selection(), timezone.now())
    rows = found.every_row(decisions, {each.name: each.tier for each in models})
    return csv_response(name="requests.csv", columns=COLUMNS, rows=(_cells(row) for row in rows))


@require_safe
def request(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One request, decided again from what is stored."""
    readable = Decision.objects.visible_to(request.user).for_list().select_related("gateway")
    decision = get_object_or_404(readable, pk=pk)
    story = stories.tell(decision, drawing.tiers())
    workflow, user = decision.workflow, request.user
    may_review = story.review is not None and accounts.can(user, "reviews.view", workflow)
    may_audit = accounts.can(user, "audit.view", workflow)
    may_spend = accounts.can(user, "spend.view", workflow)
    context = {
        "story": story,
        "saving": savings.of_request(decision, story.attempts, zone=chosen.reporting_zone()) if may_spend else None,
        "decision": decision,
        "lines": stories.lines(story),
        "took": sum(one["latency_ms"] for one in decision.attempts),
        "stages": stories.stages(story),
        "numbers": stories.numbers(story.retelling.record.signals) if story.retelling.record else [],
        "tags": stories.tags(decision),
        "change": stories.live_by(decision),
        "review_url": reverse("review", args=[decision.review_id]) if may_review else None,
        "audit_url": f"{reverse('audit')}?object={decision.review_id}" if may_audit and decision.review_id else None,
    }
    return render(request, "routing/request.html", context)


@require_safe
def request_ladder(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The ladder of a request, for a page that waits for it: 204 until it is here, and while nothing is new."""
    decision = Decision.objects.visible_to(request.user).for_list().filter(pk=pk).first()
    if decision is None:
        return HttpResponse(status=204)
    story = stories.tell(decision, drawing.tiers())
    if request.GET.get("seen") == story.mark:
        return HttpResponse(status=204)
    context = {"story": story, "decision": decision, "climbing": not request.GET.get("seen")}
    return render(request, "routing/_story.html", context)


def headline(listing: Listing, selection: Selection) -> str:
    """How many requests, whose, and what became of them."""
    count, said = listing.count, counted(listing)
    if selection.workflow:
        said += f" to {selection.workflow.name}"
    if selection.run:
        said += f" in run {selection.run}"
    if selection.ahead:
        said += " dated after now"
    if selection.recorded:
        said += ", recorded elsewhere"
    if selection.asked:
        said += f" that asked for {selection.asked}"
    if selection.outcome == UNANSWERED:
        return f"{said} that stayed without an answer"
    if selection.outcome:
        return f"{said} that {went(Outcome(selection.outcome), count)}"
    if listing.more or not count:
        return said
    if count in listing.counts.values():
        (outcome,) = (each for each, number in listing.counts.items() if number)
        return f"{said}, {'which' if count == 1 else 'which all'} {went(outcome, count)}"
    return (
        f"{said}: {', '.join(f'{number:,} {went(each, number)}' for each, number in listing.counts.items() if number)}"
    )


def counted(listing: Listing) -> str:
    """How many requests."""
    count = listing.count
    many = f"More than {MOST_COUNTED:,}" if listing.more else f"{count:,}" if count else "No"
    return f"{many} request{'s' if count != 1 else ''}"


def went(outcome: Decision.Outcome, count: int) -> str:
    """What became of so many requests."""
    return WENT[outcome][count != 1]


def narrowing(form: forms.Form) -> str:
    """The query of an address that filters a list as this form does."""
    return urlencode({name: value for name, value in form.data.items() if value and name in form.fields})


def _found(form: RequestFilter, selection: Selection, now: datetime) -> tuple[Any, Attempts | None]:
    """The decisions that the filter leaves, and their attempts where they were read to find a reason."""
    zone = chosen.reporting_zone()
    decisions = found.find(form.reader, selection, zone=zone, now=now)
    if not (why := form.cleaned_data["why"]):
        return decisions, None
    named, attempts = troubles.because(form.reader, why, day=selection.first, zone=zone)
    return decisions.filter(id__in=named), attempts


def _list(request: HttpRequest, decisions: Any, attempts: Attempts | None, *, models: list[Model]) -> Listing:
    """The rows that the address asks for. By cost or time only few are put in order."""
    tier_of = {each.name: str(each.tier) for each in models}
    sort = request.GET.get("sort", "")
    by, falling = SORTS.get(sort, SORTS[""])
    counts = found.counts(decisions)
    count = sum(counts.values())
    more = count > MOST_COUNTED
    if not count:
        return Listing([], counts, more, sort, stretch=Page([]))
    if by == "when" or count > MOST_RANKED:
        stretch = found.page(decisions, place_in(request), newest_first=falling if by == "when" else True)
        return Listing(found.rows(stretch.decisions, tier_of, attempts), counts, more, sort, stretch=stretch)
    ids = found.ranked(decisions, by, falling=falling)
    numbered = Paginator(ids, found.ROWS).get_page(request.GET.get("page"))
    shown = found.shown(Decision.objects.all()).with_ids(list(numbered))
    return Listing(found.rows(shown, tier_of, attempts), counts, more, sort, numbered=numbered)


def in_place(request: HttpRequest) -> bool:
    """Whether a page asks for a part of itself."""
    return request.headers.get("HX-Request") == "true"


def place_in(request: HttpRequest) -> Place:
    """Where in a list the address is; a mark that is no id is as good as none."""
    return Place(after=_mark(request, "after"), before=_mark(request, "before"))


def _mark(request: HttpRequest, name: str) -> UUID | None:
    try:
        return UUID(request.GET.get(name, ""))
    except ValueError:
        return None


def _cells(row: Row) -> list[Any]:
    decision, cost = row.decision, row.cost
    return [
        *(decision.id, decision.occurred_at, decision.workflow.slug, decision.step, decision.run),
        *(decision.environment.name, decision.environment.recorded, decision.key.name, decision.key.purpose),
        *(decision.mode, decision.triage, decision.policy_version.number if decision.policy_version else None),
        *(decision.outcome, row.review, decision.kept_model, decision.tier, row.confidence),
        *(len(decision.attempts), row.milliseconds, " + ".join(cost.amounts)),
        *(" + ".join(f"{amount:f}" for amount in cost.amounts.values()), cost.unpriced, cost.pending),
    ]
