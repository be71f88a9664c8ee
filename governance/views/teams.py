"""Teams: the parts of the organisation that own workflows and models, and who has a role in them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts
from governance.accounts import ORGANISATION
from governance.export import csv_of
from governance.models import Grant, Model, Team, Workflow
from governance.models.accounts import holding
from governance.views.filters import ListFilter
from governance.views.forms import FormPage, ask, sent
from governance.views.listing import in_order, page_of

SORTED_BY = {"name": "name", "people": "people", "workflows": "owned", "models": "registered"}
COLUMNS = ("slug", "name", "people", "owned", "registered", "created_at")
SHOWN = 200
WHOLE = IntegerField()


class TeamFilter(ListFilter):
    """Which teams are listed."""

    q = forms.CharField(label="Name", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"}))


class NameForm(forms.Form):
    """What a team is called."""

    name = forms.CharField(max_length=120, help_text="As people call it, such as Customer care.")


class TeamForm(NameForm):
    """A team to be added."""

    slug = forms.SlugField(
        label="Short name",
        max_length=60,
        help_text="For addresses and files: lower case, digits and hyphens. It stays for good.",
        widget=forms.TextInput(attrs={"class": "mono"}),
    )


@require_GET
def teams(request: HttpRequest) -> HttpResponse:
    """All teams, with how many people have a role there and what they own."""
    accounts.require(request.user, "accounts.view")
    form = TeamFilter(request)
    page = page_of(_listed(request, form), request)
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "may_edit": accounts.can(request.user, "accounts.edit", ORGANISATION),
    }
    return render(request, "governance/teams.html", context, status=form.http_status)


@require_GET
def teams_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same teams as a file, all of them."""
    accounts.require(request.user, "accounts.view")
    return csv_of(_listed(request, TeamFilter(request).for_file()), name="teams.csv", lookups=COLUMNS)


@require_GET
def team(request: HttpRequest, slug: str) -> HttpResponse:
    """One team: who has a role there, its workflows and its models."""
    found = get_object_or_404(_counted(request), slug=slug)
    grants = Grant.objects.in_force().filter(team=found, user__is_active=True).with_people()
    workflows = Workflow.objects.visible_to(request.user).in_use().filter(team=found).select_related("owner")
    models = Model.objects.visible_to(request.user).in_use().filter(team=found).select_related("owner").by_size()
    context = {
        "team": found,
        "grants": grants.order_by("user__name", "role")[:SHOWN],
        "workflows": workflows.order_by("name")[:SHOWN],
        "models": in_order(models, request, {"tier": "size"}, "tier")[:SHOWN],
        "may_edit": accounts.can(request.user, "accounts.edit", ORGANISATION),
        "may_audit": accounts.can(request.user, "audit.view", found),
    }
    return render(request, "governance/team.html", context)


@require_http_methods(["GET", "POST"])
def team_new(request: HttpRequest) -> HttpResponse:
    """Add a team."""
    user = accounts.signed_in(request.user)
    accounts.require(user, "accounts.edit", ORGANISATION)
    form = TeamForm(sent(request))
    page = FormPage(
        title="Add a team",
        headline="Add a team",
        lede="Workflows and models belong to one, and roles can be held in one alone.",
        submit="Add it",
        back=("Teams", reverse("teams")),
    )

    def act() -> str:
        made = accounts.create_team(by=user, **form.cleaned_data)
        messages.success(request, f"The team {made.name} is added.")
        return reverse("team", args=[made.slug])

    return ask(request, form, page, act)


@require_http_methods(["GET", "POST"])
def team_edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Call a team by another name."""
    found = get_object_or_404(holding(Team.objects.all(), request.user, "accounts.view"), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "accounts.edit", ORGANISATION)
    form = NameForm(sent(request), initial={"name": found.name})
    page = FormPage(
        title="Rename",
        headline=f"What is {found.name} called from now on?",
        lede="Its short name stays, and so do addresses.",
        submit="Save",
        back=(found.name, reverse("team", args=[found.slug])),
    )

    def act() -> str:
        made = accounts.rename_team(team=found, by=user, **form.cleaned_data)
        messages.success(request, f"The team is called {made.name}.")
        return page.back[1]

    return ask(request, form, page, act)


def _counted(request: HttpRequest) -> "QuerySet[Team]":
    """Teams with `people` (who have a role there), `owned` workflows and `registered` models that this person sees."""
    held = Grant.objects.in_force().filter(user__is_active=True)
    return holding(Team.objects.all(), request.user, "accounts.view").annotate(
        people=_number(held, "user"),
        owned=_number(Workflow.objects.visible_to(request.user).in_use(), "pk"),
        registered=_number(Model.objects.visible_to(request.user).in_use(), "pk"),
    )


def _number(rows: "QuerySet[Any]", what: str) -> Coalesce:
    """How many different values of `what` the rows of a team have."""
    mine = rows.filter(team=OuterRef("pk")).order_by().values("team")
    return Coalesce(Subquery(mine.annotate(number=Count(what, distinct=True)).values("number")), 0, output_field=WHOLE)


def _listed(request: HttpRequest, form: TeamFilter) -> "QuerySet[Team]":
    """The teams that the filter leaves, by name unless the address asks for another order."""
    found = _counted(request)
    if not form.is_valid():
        return found.none()
    if said := form.cleaned_data["q"]:
        found = found.filter(Q(name__icontains=said) | Q(slug__icontains=said))
    return in_order(found, request, SORTED_BY, "name")
