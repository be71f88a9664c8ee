"""The standards of an environment, and proposing others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import UUIDField, Value
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from governance import accounts, changes, exceptions, inheritance, standards
from governance.accounts import ORGANISATION
from governance.errors import InvalidInput
from governance.export import csv_response
from governance.models import Change, Environment, PolicyHead, Team
from governance.models.accounts import in_scope
from governance.standards import InvalidStandard, Live
from governance.views.forms import sent
from governance.views.policy_forms import Editor
from governance.views.rule_fields import acted
from governance.views.standard_forms import StandardForm, base_sent, moved

COLUMNS = ("environment", "standard", "version", "part", "sentence", "workflows", "change")


@dataclass(frozen=True)
class Shown:
    """A standard on the page: whose, what is live, for how many workflows it holds, and who may propose another."""

    team: Team | None
    live: Live | None
    workflows: int
    may_propose: bool

    @property
    def title(self) -> str:
        """Whose it is, as a heading."""
        return self.team.name if self.team else "The organisation"


@require_GET
def standards_page(request: HttpRequest) -> HttpResponse:
    """What holds for all workflows of an environment, who is excepted from what, and the changes that led here."""
    accounts.require(request.user, "changes.view")
    places = list(Environment.objects.visible_to(request.user).order_by("recorded", "-position"))
    wanted = request.GET.get("environment")
    environment = next((each for each in places if each.name == wanted), places[0] if places else None)
    shown = _shown(request, environment) if environment else []
    readable = {each.team.pk for each in shown if each.team}
    excepted = exceptions.live(environment) if environment else []
    led = Change.objects.visible_to(request.user).filter(
        kind__in=(Change.Kind.STANDARD, Change.Kind.EXCEPTION), environment=environment
    )
    context = {
        "environment": environment,
        "others": [each for each in places if each != environment],
        "shown": [each for each in shown if each.live and each.live.said],
        "without": [each for each in shown if each.may_propose and not (each.live and each.live.said)],
        "parts": sum(len(each.live.said) for each in shown if each.live),
        "excepted": [each for each in excepted if each.workflow.team_id in readable],
        "today": exceptions.day_of(timezone.now()),
        "changes": led.for_list()[:8],
    }
    return render(request, "governance/standards.html", context)


@require_GET
def standards_csv(request: HttpRequest) -> StreamingHttpResponse:
    """What the standards say, a part a row, in every environment that the person may see."""
    accounts.require(request.user, "changes.view")

    def rows() -> Iterator[list[Any]]:
        for environment in Environment.objects.visible_to(request.user).order_by("position"):
            for each in _shown(request, environment):
                if each.live is not None:
                    about = (environment.name, each.live.name, each.live.content.number)
                    for key, text in standards.sentences([each.live.content.document])[0].items():
                        yield [*about, key, text, each.workflows, each.live.change.number if each.live.change else ""]

    return csv_response(name="standards.csv", columns=COLUMNS, rows=rows())


@require_http_methods(["GET", "POST"])
def standard_new(request: HttpRequest, environment: str) -> HttpResponse:
    """Propose another standard, the organisation's or that of the team in `?team=`."""
    place = get_object_or_404(Environment, name=environment)
    slug = request.GET.get("team")
    team = get_object_or_404(Team, slug=slug) if slug else None
    user = accounts.signed_in(request.user)
    asked = Change(kind=Change.Kind.STANDARD, environment=place, for_team=team)
    accounts.require(user, "changes.propose", asked if team else ORGANISATION, environment=place)
    live = next((each for each in standards.live_in(place) if each.team == team), None)

    def submit(document: dict[str, Any], **said: Any) -> Change:
        made = changes.propose_standard(environment=place, team=team, document=document, by=user, **said)
        return changes.proceed(change=made, by=user)

    start = live.content.document if live else standards.full(standards.EMPTY)
    about = {"whose": standards.named(team), "environment": place, "live": live, "team": team}
    return _edit(request, asked, start, {}, about, submit, live.content.pk if live else None)


@require_http_methods(["GET", "POST"])
def standard_revise(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit an open change of a standard as a new revision."""
    of_standards = Change.objects.visible_to(request.user).filter(kind=Change.Kind.STANDARD)
    found = get_object_or_404(of_standards.for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)
    made = found.revision.leads_to

    def submit(document: dict[str, Any], note: str, **_kept: Any) -> Change:
        return changes.revise(change=found, document=document, note=note, by=user)

    about = {"whose": standards.named(found.for_team), "environment": found.environment, "change": found}
    initial = {"title": found.title, "note": made.note}
    return _edit(request, found, made.document, initial, about, submit, found.revision_id)


def _edit(
    request: HttpRequest,
    change: Change,
    start: dict[str, Any],
    initial: dict[str, Any],
    about: dict[str, Any],
    submit: Callable[..., Change],
    stood: object,
) -> HttpResponse:
    """Show or take the form; `stood` is the key of what it is made from."""
    editor = _editor(request, start, initial)
    form, faults, refused = editor.form, [], moved(sent(request), stood)
    if "change" in about:
        # A revision keeps the title of its change.
        del form.fields["title"]
    if editor.looked:
        faults = editor.judged(lambda document: inheritance.check_standard(change, document))
    elif editor.submitted and form.is_valid() and not refused:
        said = {name: form.cleaned_data.get(name, "") for name in ("title", "note")}
        try:
            made = submit(form.document(), **said)
        except InvalidStandard as error:
            faults = editor.place(error.problems)
        except (changes.ChangeError, InvalidInput) as error:
            refused = str(error)
        else:
            messages.success(request, f"{made} is {made.get_state_display().lower()}.")
            return redirect("change", pk=made.pk)
    context = {"editor": editor, "form": form, "faults": faults, "refused": refused, "stood": stood, **about}
    return render(request, "governance/standard_new.html", context, status=editor.status)


def _editor(request: HttpRequest, start: dict[str, Any], initial: dict[str, Any]) -> Editor:
    """Return the form as it is shown, changed by one of its buttons, looked at, or sent."""
    given = sent(request)
    if given is None:
        return Editor(StandardForm(document=start, initial=initial))
    start = base_sent(given.get("base", ""), start)
    form = StandardForm(given, document=start, initial=initial)
    if "rules-act" not in given:
        return Editor(form, submitted=given.get("show") != "faults", looked=given.get("show") == "faults")
    places, focus = acted(form.rules.places, given)
    typed = {name: given[name] for name in form.fields if name in given and not name.endswith(("-when", "-then"))}
    form = StandardForm(document=start, initial={**initial, **typed}, places=places)
    form.focus = focus
    if focus in form.fields:
        form.fields[focus].widget.attrs["autofocus"] = True
    return Editor(form)


def _shown(request: HttpRequest, environment: Environment) -> list[Shown]:
    """The standards of an environment that a person may read, the organisation's first; those there are not, too."""
    lives = {each.team.pk if each.team else None: each for each in standards.live_in(environment, with_change=True)}
    held = PolicyHead.objects.of_workflows_in_use().filter(environment=environment)
    counts: dict[UUID | None, int] = {None: 0}
    for team in held.values_list("workflow__team", flat=True):
        counts[team] = counts.get(team, 0) + 1
        counts[None] += 1
    teams = in_scope(Team.objects.order_by("name"), request.user, "changes.view", "pk")
    there = Team.objects.annotate(place=Value(environment.pk, output_field=UUIDField()))
    proposing = set(in_scope(there, request.user, "changes.propose", "pk", environment="place"))
    ours = accounts.can(request.user, "changes.propose", ORGANISATION, environment=environment)
    first = Shown(None, lives.get(None), counts[None], ours)
    return [first, *(Shown(team, lives.get(team.pk), counts.get(team.pk, 0), team in proposing) for team in teams)]
