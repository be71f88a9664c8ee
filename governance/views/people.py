"""People: who there is, what each may do and where, and since when."""

from collections import defaultdict
from uuid import UUID

from django import forms
from django.contrib.postgres.aggregates import StringAgg
from django.db.models import Prefetch, Q, QuerySet, Value
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts, brakes
from governance.accounts import ORGANISATION
from governance.export import csv_of
from governance.models import Grant, Role, Team, User
from governance.models.accounts import holding
from governance.permissions import PERMISSIONS, Right, rights_of
from governance.views.filters import Among, ListFilter
from governance.views.listing import in_order, page_of

SORTED_BY = {"name": "name", "seen": "last_login", "added": "created_at"}
COLUMNS = ("name", "email", "roles", "time_zone", "is_active", "last_login", "created_at")


class PersonFilter(ListFilter):
    """Which people are listed: those who may sign in, unless said."""

    q = forms.CharField(
        label="Name or address", required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"})
    )
    role = forms.ChoiceField(required=False, choices=[("", "Any"), *Role.choices, ("none", "None yet")])
    team = forms.CharField(label="Team", required=False, max_length=60, help_text="Its short name.")
    state = forms.ChoiceField(required=False, choices=[("", "May sign in"), ("gone", "Deactivated"), ("all", "All")])

    def among(self) -> dict[str, Among]:
        """Teams are the organisation's."""
        return {"team": Among(holding(Team.objects.all(), self.request.user, "accounts.view"), "team", by=("slug",))}


@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """All people with the roles they hold now."""
    accounts.require(request.user, "accounts.view")
    form = PersonFilter(request)
    held = Grant.objects.in_force().with_people().order_by("role", "team__name", "environment__position")
    page = page_of(_listed(request, form).prefetch_related(Prefetch("grants", held)), request)
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "count": page.paginator.count,
        "braked": brakes.braked_places(now=timezone.now()),
        "may_edit": accounts.can(request.user, "accounts.edit", ORGANISATION),
    }
    return render(request, "governance/people.html", context, status=form.http_status)


@require_GET
def people_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same people as a file, all of them."""
    accounts.require(request.user, "accounts.view")
    now = timezone.now()
    runs = Q(grants__valid_until=None) | Q(grants__valid_until__gt=now)
    roles = StringAgg(
        "grants__role",
        delimiter=" ",
        distinct=True,
        filter=runs & Q(grants__valid_from__lte=now),
        default=Value(""),
    )
    listed = _listed(request, PersonFilter(request).for_file()).annotate(roles=roles)
    return csv_of(listed, name="people.csv", lookups=COLUMNS)


@require_GET
def person(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One person: roles held now and before, and what they come to."""
    found = get_object_or_404(holding(User.objects.all(), request.user, "accounts.view"), pk=pk)
    grants = Grant.objects.filter(user=found).with_people().order_by("team__name", "role", "-valid_from")
    held, now = list(grants), timezone.now()
    ended = [each for each in held if each.valid_until is not None and each.valid_until <= now]
    open_ones = [each for each in held if each not in ended]
    context = {
        "person": found,
        "grants": open_ones,
        "ended": ended,
        "rights": rights([each for each in open_ones if each.valid_from <= now]),
        "now": now,
        "tries": brakes.tries_of(found, now=now),
        "tokens": found.access_tokens.held(now),
        "himself": found == request.user,
        "may_edit": accounts.can(request.user, "accounts.edit", ORGANISATION),
        "may_audit": accounts.can(request.user, "audit.view", ORGANISATION),
    }
    return render(request, "governance/person.html", context)


def rights(grants: list[Grant]) -> list[tuple[str, list[Right]]]:
    """What grants let one do: where, and the acts there by kind of thing; the organisation first.

    Places where one may do the same stand together.
    """
    acts: dict[tuple[bool, str], set[str]] = defaultdict(set)
    for each in grants:
        where = f"in {each.team}" if each.team else "everywhere"
        acts[each.team is not None, f"{where}, {each.environment} alone" if each.environment else where] |= PERMISSIONS[
            Role(each.role)
        ]
    places: dict[frozenset[str], list[str]] = defaultdict(list)
    for (_team, where), held in sorted(acts.items()):
        places[frozenset(held)].append(where)
    return [("; ".join(wheres), rights_of(held)) for held, wheres in places.items()]


def _listed(request: HttpRequest, form: PersonFilter) -> "QuerySet[User]":
    """The people that the filter leaves, by name unless the address asks for another order."""
    found = holding(User.objects.all(), request.user, "accounts.view")
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said.get("state") != "all":
        found = found.filter(is_active=not said.get("state"))
    if said.get("q"):
        found = found.filter(Q(name__icontains=said["q"]) | Q(email__icontains=said["q"]))
    held = Grant.objects.in_force()
    if said.get("role") == "none":
        found = found.exclude(pk__in=held.values("user"))
    elif said.get("role"):
        held = held.filter(role=said["role"])
    if said.get("team"):
        held = held.filter(team__slug=said["team"])
    if said.get("team") or said.get("role") not in (None, "", "none"):
        found = found.filter(pk__in=held.values("user"))
    return in_order(found, request, SORTED_BY, "name")
