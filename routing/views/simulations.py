"""Simulations: what a change would have done with past requests, a part of its page, and how far that is."""

import functools
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts, checks, policies, votes
from governance.errors import GovernanceError, InvalidInput
from governance.export import csv_of
from governance.models import Change, Check, PolicyHead, PolicyVersion, Workflow
from governance.models.accounts import in_scope
from governance.views import drawing
from governance.views.choices import MOST_CHOICES
from governance.views.listing import in_order, page_of
from governance.views.policy_forms import Fault
from routing import simulations, tallies
from routing.models import Simulation
from routing.models.simulations import SimulationQuerySet
from routing.views import simulated
from routing.views.simulation_forms import SimulateForm, SimulationFilter, ask_editor

SORTED_BY = {"workflow": "workflow__name", "when": "created_at", "requests": "requests", "state": "state"}
COLUMNS = (
    *("id", "workflow__slug", "environment__name", "revision__change__number", "revision__number", "state"),
    *("base_version__number", "mode", "days", "since", "until", "requests", "told", "started_by__name", "created_at"),
    *("ended_at", "trouble", "digest", "snapshot_id"),
)


@require_GET
def change_simulated(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a change would have done with its workflow's past requests, or how far its simulation is."""
    change = _change(request, pk)
    of_change = Simulation.objects.filter(revision__change=change).order_by("-created_at", "-id")
    newest = of_change.for_list().first()
    done = of_change.filter(state=Simulation.State.DONE).select_related("revision", "base_version").first()
    standing = checks.standing(change, Check.Kind.SIMULATION)
    user = accounts.signed_in(request.user)
    is_open = change.state in Change.OPEN
    context = {
        "change": change,
        "base": change.revision.base_version,
        "newest": newest,
        "done": done,
        "found": _found(done),
        "standing": standing,
        "why_not": standing.why_not(change.revision.number) if is_open and done else "",
        "open": is_open,
        "may_run": is_open and accounts.can(user, "simulations.run", change),
        "may_vote": not votes.why_not_vote(change, user),
        "form": SimulateForm(),
    }
    return render(request, "routing/_change_simulated.html", context)


@require_POST
def change_simulate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Begin to simulate a change's present revision."""
    change = _change(request, pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "simulations.run", change)
    form = SimulateForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"days: choose 1 to {simulations.MOST_DAYS}")
        return redirect("change", pk=pk)
    try:
        simulations.begin(change=change, by=user, now=timezone.now(), days=form.cleaned_data["days"])
    except accounts.NotPermitted:
        raise
    except GovernanceError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The simulation has begun.")
    return redirect("change", pk=pk)


@require_GET
def simulation_list(request: HttpRequest) -> HttpResponse:
    """Simulations, the newest first."""
    accounts.require(request.user, "requests.view")
    form = SimulationFilter(request)
    page = page_of(_listed(request, form), request)
    may_run = in_scope(Workflow.objects.filter(retired_at=None), request.user, "simulations.run", "team")
    context = {
        "page": page,
        "filter_form": form,
        "filtered": bool(form.narrowed),
        "going": sum(1 for each in page if each.is_active),
        "workflows": list(may_run.filter(heads__isnull=False).distinct().order_by("name")[:MOST_CHOICES]),
    }
    return render(request, "routing/simulations.html", context, status=form.http_status)


@require_GET
def simulations_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same simulations as a file."""
    accounts.require(request.user, "requests.view")
    found = _listed(request, SimulationFilter(request).for_file())
    return csv_of(found.defer(None), name="simulations.csv", lookups=COLUMNS)


@require_GET
def simulation(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One simulation: how far it is, or what it found."""
    found = get_object_or_404(Simulation.objects.visible_to(request.user).for_list(), pk=pk)
    done = found if found.state == Simulation.State.DONE else None
    told = _found(done)
    context = {
        "simulation": found,
        "done": done,
        "found": told,
        "headline": told.get("headline") or _how_it_stands(found),
        "why_stale": simulations.why_stale(found, now=timezone.now()),
        "lines": drawing.difference(policies.read(found.base_version.document), policies.read(found.document)),
        "may_run": accounts.can(request.user, "simulations.run", found.workflow, environment=found.environment),
        "may_audit": accounts.can(request.user, "audit.view", found),
    }
    return render(request, "routing/simulation.html", context)


@require_GET
def simulation_progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How far a simulation is, a part of its page that asks again by itself; at its end the page is loaded anew."""
    found = get_object_or_404(Simulation.objects.visible_to(request.user).for_list(), pk=pk)
    may_run = accounts.can(request.user, "simulations.run", found.workflow, environment=found.environment)
    answer = render(
        request, "routing/_simulation_progress.html", {"simulation": found, "may_run": may_run, "asks": found.is_active}
    )
    if not found.is_active:
        answer["HX-Refresh"] = "true"
    return answer


@require_http_methods(["GET", "POST"])
def simulation_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask what another policy would have done in a place: a version that there is, or a draft written here."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "simulations.run", workflow)
    heads = list(workflow.heads.select_related("environment", "version").order_by("-environment__position"))
    named = request.GET.get("environment", "")
    head = next((each for each in heads if named in ("", each.environment.name)), None)
    if named and head is None:
        raise Http404("Nothing is live there.")
    start = _start(request, workflow, head)
    context: dict[str, Any] = {"workflow": workflow, "head": head, "heads": heads, "start": start}
    if head is None or start is None:
        return render(request, "routing/simulation_new.html", context)
    asked = ask_editor(request, workflow, head, start)
    form, faults = asked.form, list[Fault]()
    if asked.looked:
        faults = asked.judged(functools.partial(policies.check, workflow=workflow, environment=head.environment))
    elif asked.submitted and form.is_valid():
        said = {"mode": form.cleaned_data["mode"], "days": form.cleaned_data["days"], "by": user}
        try:
            made = simulations.ask(
                workflow=workflow, environment=head.environment, document=form.document(), now=timezone.now(), **said
            )
        except policies.InvalidPolicy as error:
            faults = asked.place(error.problems)
        except (simulations.SimulationError, InvalidInput) as error:
            form.add_error(None, str(error))
        else:
            return redirect("simulation", pk=made.pk)
    context |= {"form": form, "faults": faults, "editor": asked, "has_fields": True}
    context["versions"] = workflow.policy_versions.order_by("-number")[:MOST_CHOICES]
    return render(request, "routing/simulation_new.html", context, status=asked.status)


@require_POST
def simulation_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop a simulation."""
    found = get_object_or_404(Simulation.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    try:
        simulations.cancel(simulation=found, by=user, now=timezone.now())
    except simulations.SimulationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The simulation is cancelled; nothing was found.")
    return redirect("change", pk=found.revision.change_id) if found.revision else redirect("simulation", pk=pk)


def _listed(request: HttpRequest, form: SimulationFilter) -> SimulationQuerySet:
    """The simulations that the filter leaves, the newest first unless the address asks for another order."""
    found = Simulation.objects.visible_to(request.user).for_list()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said["workflow"]:
        found = found.filter(workflow__slug=said["workflow"])
    if said["of"]:
        found = found.filter(revision__isnull=said["of"] == "draft")
    if said["state"] == "active":
        found = found.active()
    elif said["state"]:
        found = found.filter(state=said["state"])
    return in_order(found, request, SORTED_BY, usual="-when")


def _start(request: HttpRequest, workflow: Workflow, head: PolicyHead | None) -> PolicyVersion | None:
    """The version that the address starts from, else what is live. Raises Http404 for one that there is not."""
    number = request.GET.get("version", "")
    if not number:
        return head.version if head else None
    if not (number.isdecimal() and len(number) < 9):
        raise Http404
    return get_object_or_404(PolicyVersion.objects.filter(workflow=workflow), number=int(number))


def _how_it_stands(found: Simulation) -> str:
    """The headline of a simulation that found nothing, or nothing yet."""
    match found.state:
        case Simulation.State.DONE:
            return "The past says nothing of this"
        case Simulation.State.CANCELLED:
            return f"{found.ended_by} cancelled this simulation"
        case Simulation.State.FAILED:
            return "This simulation broke off"
        case _:
            return f"Past requests of {found.workflow.name} are decided again"


def _change(request: HttpRequest, pk: UUID) -> Change:
    """A change of a policy whose requests this person may read; raises Http404 and NotPermitted."""
    change = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    accounts.require(request.user, "requests.view", change)
    if change.workflow is None or change.environment is None:
        raise Http404("No policy is simulated here.")
    return change


def _found(done: Simulation | None) -> dict[str, Any]:
    """What a simulation found, as its page part tells it; nothing without one."""
    if done is None:
        return {}
    result = tallies.read(done.result)
    told = simulated.told(result)
    candidate = result.candidate.number
    return {
        "base_name": f"Version {result.base.number}",
        "candidate_name": f"Version {candidate}" if candidate else "The draft",
        "result": result,
        "headline": simulated.headline(result),
        "whole": simulated.whole(result) if len(told) > 1 else None,
        "steps": told,
        "unknown": simulated.unknown(result),
        "changed": simulated.changed(result),
    }
