"""Savings by workflow: what was spent, what the baseline would have taken, within which bounds; setting baselines."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from governance import accounts, figures
from governance.errors import InvalidInput
from governance.export import csv_response
from governance.models import Model, Workflow
from governance.models.accounts import in_scope
from governance.readers import Reader
from governance.views.forms import sent
from ledger import savings
from ledger.models import Baseline
from ledger.models.savings import LEAST_RATIO, MOST_RATIO
from ledger.savings import Compared, Saving
from ledger.views import selection as chosen
from ledger.views.selection import LedgerFilter, address

ROWS = 50
COLUMNS = (
    *("workflow", "currency", "baseline", "assumed", "tasks", "spent", "baseline_would", "saved"),
    *("saved_least", "saved_most", "tokens_least", "tokens_most", "unpriced_attempts", "tasks_without_baseline"),
    "spent_on_evaluations",
)


class SavingsFilter(LedgerFilter):
    """Which days are compared, and of which workflow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A baseline is the workflow's, whatever its steps and models.
        for name in ("step", "model", "environment"):
            del self.fields[name]


class BaselineForm(forms.Form):
    """The model a workflow's tasks are compared with from now on."""

    model = forms.ModelChoiceField(
        label="Model",
        queryset=Model.objects.in_use().order_by("title"),
        empty_label="Choose…",
        help_text="What would have been used otherwise.",
    )
    assumed = forms.BooleanField(
        label="Assumed: nobody measured that it would have been used, or does this work as well",
        required=False,
        initial=True,
    )
    tokens_least = forms.DecimalField(
        label="Its tokens for the same task, at least",
        initial=LEAST_RATIO,
        min_value=Decimal("0.001"),
        max_digits=6,
        decimal_places=3,
        help_text="As a multiple of the tokens of the model that answered.",
    )
    tokens_most = forms.DecimalField(
        label="At most", initial=MOST_RATIO, min_value=Decimal("0.001"), max_digits=6, decimal_places=3
    )
    reason = forms.CharField(
        label="Why this one",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Finance and auditors read this beside every saving.",
    )


@dataclass(frozen=True)
class Row:
    """One workflow beside its baseline."""

    workflow: Workflow
    compared: Compared

    @property
    def saving(self) -> Saving | None:
        """The saving in the first currency; nearly always the only one."""
        return self.compared.savings[0] if self.compared.savings else None


@require_safe
def savings_list(request: HttpRequest) -> HttpResponse:
    """What each workflow saved in a period, never without baseline, method and bounds."""
    reader, today = chosen.reader_of(request), chosen.today()
    form = SavingsFilter(request, today=today, workflows=reader.workflows)
    if not form.is_valid():
        context = {"filter_form": form, "headline": "This filter does not fit"}
        return render(request, "ledger/savings.html", context, status=422)
    compared, selection = _compared(form, reader), form.selection()
    whole = savings.together(compared.values())
    rows = [Row(each, compared[each.pk]) for each in reader.workflows if each.pk in compared]
    page = Paginator(in_order(rows, request.GET.get("sort", "")), ROWS).get_page(request.GET.get("page"))
    listed = Workflow.objects.filter(pk__in=[row.workflow.pk for row in page])
    context = {
        "filter_form": form,
        "page": page,
        "may_edit": set(in_scope(listed, request.user, "savings.edit", "team").values_list("pk", flat=True)),
        "whole": whole,
        "spend": address(selection),
        "headline": headline(whole, chosen.period_words(selection, today)),
        "zone": chosen.reporting_zone().key,
        "export": f"{reverse('savings_csv')}?{address(selection)}",
    }
    return render(request, "ledger/savings.html", context)


@require_safe
def savings_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same as a file, a line for each workflow and currency."""
    reader = chosen.reader_of(request)
    form = SavingsFilter(request, today=chosen.today(), workflows=reader.workflows).for_file()
    compared, selection = _compared(form, reader), form.selection()
    workflows = reader.workflows
    return csv_response(
        name=f"savings-{selection.first}-{selection.last}.csv",
        columns=COLUMNS,
        rows=(line for each in workflows if each.pk in compared for line in _lines(each, compared[each.pk])),
    )


@require_http_methods(["GET", "POST"])
def baseline_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Say with which model a workflow's tasks are compared from now on."""
    visible = in_scope(Workflow.objects.all(), request.user, "spend.view", "team")
    workflow = get_object_or_404(visible, slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "savings.edit", workflow)
    now = savings.baseline_of(workflow, timezone.now())
    form = BaselineForm(sent(request), initial=_of(now))
    if request.method == "POST" and form.is_valid():
        try:
            made = savings.set_baseline(workflow=workflow, valid_from=timezone.now(), by=user, **form.cleaned_data)
        except InvalidInput as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, f"From now on {workflow.name} is compared with {made.model.title}.")
            return redirect(f"{reverse('savings')}?workflow={workflow.slug}")
    context = {"workflow": workflow, "form": form, "now": now}
    return render(request, "ledger/baseline_new.html", context, status=422 if form.is_bound else 200)


def _of(held: Baseline | None) -> dict[str, Any] | None:
    """What the form of a baseline starts from: the one that holds. Its reason is said anew."""
    names = ("model", "assumed", "tokens_least", "tokens_most")
    return {name: getattr(held, name) for name in names} if held else None


def in_order(rows: list[Row], sort: str) -> list[Row]:
    """The rows as the address asks; else the greatest saving first."""
    keys = {
        "name": lambda row: row.workflow.name,
        "tasks": lambda row: row.compared.tasks,
        "spent": lambda row: row.saving.spent if row.saving else Decimal(-1),
        "saved": lambda row: row.saving.saved if row.saving else Decimal("-Infinity"),
    }
    wanted = sort if sort.removeprefix("-") in keys else "-saved"
    return sorted(rows, key=keys[wanted.removeprefix("-")], reverse=wanted.startswith("-"))


def headline(whole: Compared, period: str) -> str:
    """The sentence that matters: how much less, than what, and within which bounds."""
    if not whole.tasks:
        return f"No task was counted in {period}"
    if not whole.savings:
        return f"No saving can be said for {period}: no workflow with tasks has a baseline with a price"
    said = []
    for each in whole.savings:
        least, amount, most = (
            figures.money_words(abs(one), digits=each.digits) for one in (each.least, each.saved, each.most)
        )
        words = "less" if each.saved >= 0 else "more"
        said.append(f"{each.currency}{figures.NBSP}{amount} {words} than the baselines, {least} to {most}")
        if (each.least < 0) != (each.most < 0):
            said[-1] = f"between {each.currency}{figures.NBSP}{least} more and {most} less than the baselines"
    assumed = ", assumed" if any(each.assumed for each in whole.savings) else ""
    alone = "".join(
        f"; evaluations took {_words(each.evaluated, each)}, the tasks alone cost {_words(each.alone.saved, each)} less"
        for each in whole.savings
        if each.turned
    )
    return f"{' and '.join(said)}{assumed}, in {period}{alone}"


def _words(amount: Decimal, saving: Saving) -> str:
    return f"{saving.currency}{figures.NBSP}{figures.money_words(amount)}"


def _compared(form: SavingsFilter, reader: Reader) -> dict[UUID, Compared]:
    said = form.cleaned_data
    workflow = reader.workflow(said["workflow"])
    picked = reader.keys if workflow is None else [workflow.pk]
    return savings.by_workflow(picked, said["since"], said["until"], zone=chosen.reporting_zone())


def _lines(workflow: Workflow, compared: Compared) -> Iterator[list[Any]]:
    for each in compared.savings:
        base = each.baselines[-1]
        yield [
            *(workflow.slug, each.currency, base.name, base.assumed, each.tasks, each.spent, each.would),
            *(each.saved, each.least, each.most, base.tokens_least, base.tokens_most, each.unpriced, 0),
            each.evaluated,
        ]
    if compared.without:
        yield [workflow.slug, *[None] * 12, compared.without, None]
