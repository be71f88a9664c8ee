"""Approval rules: what changes need, who is asked and when nothing becomes live; and proposing other ones."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts, approval_rules, changes
from governance.accounts import ORGANISATION
from governance.approval_rules import ApprovalRule, ApprovalRules, Freeze
from governance.export import csv_response
from governance.models import Change
from governance.views.approval_rules_forms import RulesForms
from governance.views.changes import REFUSALS
from governance.views.forms import sent
from smallfirst.engine.words import plural

COLUMNS = (
    "place",
    "name",
    "for",
    "needs",
    "votes",
    "groups",
    "cool_off_minutes",
    "due_hours",
    "expires_days",
    "checks",
)


@dataclass(frozen=True)
class Row:
    """A rule in a table."""

    place: int
    rule: ApprovalRule
    whom: str
    needs: str


@dataclass(frozen=True)
class FreezeRow:
    """A freeze in a table, and whether it is over, on or to come."""

    freeze: Freeze
    level: str
    word: str


@require_GET
def approval_rules_page(request: HttpRequest) -> HttpResponse:
    """The rules in force, the groups they ask, the freezes, and the changes that led here."""
    accounts.require(request.user, "changes.view")
    rules = approval_rules.live()
    names = approval_rules.names_of(rules)
    led = Change.objects.visible_to(request.user).filter(kind=Change.Kind.APPROVAL_RULES).for_list()
    freezes = _freezes(rules)
    context = {
        "headline": _headline(rules, freezes),
        "rows": _rows(rules),
        "groups": [(group, [names.get(each, "") for each in group.members]) for group in rules.groups],
        "freezes": freezes,
        "changes": led[:6],
        "may_propose": accounts.can(request.user, "changes.propose", ORGANISATION),
    }
    return render(request, "governance/approval_rules.html", context)


@require_GET
def approval_rules_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The rules in force as a file."""
    accounts.require(request.user, "changes.view")
    rows = (
        [
            *(row.place, row.rule.name, row.whom, row.needs, row.rule.votes),
            ", ".join(f"{each.group} {each.votes}" for each in row.rule.groups),
            *(row.rule.cool_off_minutes, row.rule.due_hours, row.rule.expires_days, ", ".join(row.rule.checks)),
        ]
        for row in _rows(approval_rules.live())
    )
    return csv_response(name="approval-rules.csv", columns=COLUMNS, rows=rows)


@require_http_methods(["GET", "POST"])
def approval_rules_new(request: HttpRequest) -> HttpResponse:
    """Propose other rules, starting from those in force."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", ORGANISATION)

    def submit(document: dict[str, Any], title: str, note: str) -> Change:
        return changes.propose_approval_rules(document=document, title=title, note=note, by=user)

    return _edit(request, approval_rules.live(), {}, submit, None)


@require_http_methods(["GET", "POST"])
def approval_rules_revise(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit an open change of the rules as a new revision."""
    of_rules = Change.objects.visible_to(request.user).filter(kind=Change.Kind.APPROVAL_RULES)
    found = get_object_or_404(of_rules.for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)

    def submit(document: dict[str, Any], title: str, note: str) -> Change:
        return changes.revise(change=found, document=document, note=note, by=user)

    start = approval_rules.read(found.revision.leads_to.document)
    return _edit(request, start, {"title": found.title}, submit, found)


def _edit(
    request: HttpRequest, start: ApprovalRules, about: dict[str, Any], submit: Any, change: Change | None
) -> HttpResponse:
    given = sent(request)
    page = RulesForms(given, start, about)
    problems: list[Any] = []
    refused = ""
    # One more row is asked for with whatever stands in the others, finished or not.
    adds = given is not None and "add" in given
    if given is not None and not adds and page.is_valid():
        try:
            made = submit(page.document(), page.about.cleaned_data["title"], page.about.cleaned_data["note"])
        except approval_rules.InvalidApprovalRules as error:
            problems = list(error.problems)
        except REFUSALS as error:
            refused = str(error)
        else:
            messages.success(request, f"{made} is {made.get_state_display().lower()}.")
            return redirect("change", pk=made.pk)
    context = {"page": page, "problems": problems, "refused": refused, "change": change}
    status = 200 if given is None or adds else 422
    return render(request, "governance/approval_rules_new.html", context, status=status)


def _rows(rules: ApprovalRules) -> list[Row]:
    return [
        Row(place, rule, approval_rules.for_whom(rule.when), approval_rules.asked(rule, rules))
        for place, rule in enumerate(rules.rules, start=1)
    ]


def _freezes(rules: ApprovalRules) -> list[FreezeRow]:
    now = timezone.now()

    def row(each: Freeze) -> FreezeRow:
        if each.end <= now:
            return FreezeRow(each, "quiet", "over")
        return FreezeRow(each, "warn", "on now") if each.start <= now else FreezeRow(each, "quiet", "to come")

    return [row(each) for each in sorted(rules.freezes, key=lambda each: each.start)]


def _headline(rules: ApprovalRules, freezes: list[FreezeRow]) -> str:
    frozen = [each.freeze.name for each in freezes if each.word == "on now"]
    if frozen:
        return f"{frozen[0]}: nothing becomes live now"
    if not rules.rules:
        return "Each change needs the votes of its environment"
    count = len(rules.rules)
    return f"{plural(count, 'rule')} {'says' if count == 1 else 'say'} what a change needs"
