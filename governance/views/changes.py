"""Changes: propose one, read what it does, vote, activate, withdraw."""

import functools
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts, changes, policies, votes
from governance.errors import InvalidDocument, InvalidInput
from governance.export import csv_of
from governance.models import Change, Environment, Mode, PolicyHead, Workflow
from governance.models.changes import ChangeQuerySet
from governance.views import drawing
from governance.views.forms import sent
from governance.views.listing import in_order, page_of
from governance.views.policy_forms import DocumentForm, PolicyForm, ThresholdForm

# What a verb says no with; NotPermitted is not among them, it is a page of its own.
REFUSALS = (changes.ChangeError, InvalidDocument, InvalidInput)
# What the list can be sorted by, and the columns of its file.
SORTED_BY = {
    "number": "number",
    "title": "title",
    "workflow": "workflow__name",
    "environment": "environment__position",
    "proposed": "created_at",
    "state": "state",
}
COLUMNS = (
    *("number", "title", "workflow__slug", "environment__name", "state", "single_handed", "proposed_by__name"),
    *("created_at", "applied_by__name", "applied_at", "revision__payload_digest"),
)
LEVELS = {"in_review": "warn", "approved": "warn", "stale": "bad", "applied": "good", "rejected": "bad"}


class ChangeFilter(forms.Form):
    """Which changes are listed."""

    state = forms.ChoiceField(
        label="State", required=False, choices=[("", "Any"), ("open", "Open"), *Change.State.choices]
    )
    workflow = forms.CharField(label="Workflow", required=False, max_length=60)


class VoteForm(forms.Form):
    """A vote; the digest says which content the voter saw."""

    digest = forms.CharField(max_length=64)
    choice = forms.ChoiceField(choices=[("approve", ""), ("request_changes", ""), ("reject", ""), ("abstain", "")])
    reason = forms.CharField(label="Reason", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


@require_GET
def change_list(request: HttpRequest) -> HttpResponse:
    """All changes this person may read, newest first."""
    accounts.require(request.user, "changes.view")
    form = ChangeFilter(request.GET or None)
    page = page_of(_listed(request, form), request)
    waiting = Change.objects.awaiting(request.user).count()
    headline = f"{waiting} {'change asks' if waiting == 1 else 'changes ask'} for your vote" if waiting else "Changes"
    rows = [(each, LEVELS.get(each.state, "quiet")) for each in page]
    context = {"page": page, "rows": rows, "filter_form": form, "headline": headline}
    return render(request, "governance/changes.html", context)


@require_GET
def changes_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same changes as a file, all of them."""
    accounts.require(request.user, "changes.view")
    return csv_of(_listed(request, ChangeFilter(request.GET or None)), name="changes.csv", lookups=COLUMNS)


@require_GET
def change(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One change: what differs, who voted, what this person may do now."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    return _page(request, found, VoteForm())


@require_http_methods(["GET", "POST"])
def change_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Propose another policy for a workflow, by its thresholds or by the whole document."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", workflow)
    environment, others = _environments(request)
    head = PolicyHead.objects.filter(workflow=workflow, environment=environment).select_related("version").first()
    base = head.version if head else None

    def submit(document: dict[str, Any], **said: Any) -> Change:
        made = changes.propose(workflow=workflow, environment=environment, document=document, by=user, **said)
        if made.state == Change.State.APPROVED and environment.votes_needed == 0:
            changes.activate(change=made, by=user)
        return made

    asked = request.GET.get("mode")
    initial = {"mode": asked if asked in Mode.values else head.mode if head else Mode.OBSERVE}
    context = {
        "workflow": workflow,
        "environment": environment,
        "others": others,
        "base": base,
        "change": None,
    }
    return _edit(request, context, base.document if base else None, submit, initial)


@require_http_methods(["GET", "POST"])
def change_revise(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit an open change as a new revision; votes on the old one no longer count."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)
    if found.kind == Change.Kind.APPROVAL_RULES:
        return redirect("approval_rules_revise", pk=pk)

    def submit(document: dict[str, Any], *, title: str, note: str, mode: str) -> Change:
        return changes.revise(change=found, document=document, note=note, mode=mode, by=user)

    context = {
        "workflow": found.workflow,
        "environment": found.environment,
        "base": found.revision.base_version,
        "change": found,
    }
    initial = {"title": found.title, "mode": found.revision.mode}
    return _edit(request, context, found.revision.policy.document, submit, initial)


@require_POST
def change_vote(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Vote; the last vote needed makes it live at once."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.vote", found)
    form = VoteForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form, status=422)
    try:
        voted = changes.vote(change=found, by=user, then_activate=True, **form.cleaned_data)
    except REFUSALS as error:
        messages.error(request, str(error))
        return redirect("change", pk=pk)
    messages.success(request, _came_of(voted))
    return redirect("change", pk=pk)


@require_POST
def change_activate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make an approved change live; with `single_handed` one that nobody else could vote on."""
    alone = request.POST.get("single_handed") == "1"
    verb = functools.partial(changes.activate, single_handed=alone)
    said = "It is in force, marked as made live single-handed." if alone else "It is in force."
    return _act(request, pk, "changes.activate", verb, said)


@require_POST
def change_ratify(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say that a change somebody made live alone may stay."""
    verb = functools.partial(
        changes.ratify, digest=request.POST.get("digest", ""), reason=request.POST.get("reason", "")[:2000]
    )
    return _act(request, pk, "changes.vote", verb, "You ratified it.")


@require_POST
def change_withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take an open change back."""
    return _act(request, pk, "changes.propose", changes.withdraw, "The change is withdrawn.")


def _came_of(voted: Change) -> str:
    """What a vote led to, in words."""
    if voted.state != Change.State.APPLIED:
        return "Your vote is recorded."
    if voted.workflow is None:
        return "The new approval rules are in force."
    return "The new policy is in force; gateways take it up within seconds."


def _listed(request: HttpRequest, form: ChangeFilter) -> ChangeQuerySet:
    """The changes that the filter leaves, in the order the address asks for."""
    found = Change.objects.visible_to(request.user).for_list()
    if form.is_valid():
        if form.cleaned_data["state"] == "open":
            found = found.open()
        elif form.cleaned_data["state"]:
            found = found.filter(state=form.cleaned_data["state"])
        if form.cleaned_data["workflow"]:
            found = found.filter(workflow__slug=form.cleaned_data["workflow"])
    return in_order(found, request, SORTED_BY)


def _act(request: HttpRequest, pk: UUID, act: str, verb: Any, said: str) -> HttpResponse:
    found = get_object_or_404(Change.objects.visible_to(request.user).for_list(), pk=pk)
    accounts.require(request.user, act, found)
    try:
        verb(change=found, by=request.user)
    except REFUSALS as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect("change", pk=pk)


def _environments(request: HttpRequest) -> tuple[Environment, list[Environment]]:
    """The environment that the address names, else the last that serves on the way to production; the other ones.

    Others are those that serve. Raises Http404 for a name that there is not.
    """
    known = list(Environment.objects.order_by("position"))
    serving = [each for each in known if not each.recorded]
    named = request.GET.get("environment")
    chosen = next((each for each in known if each.name == named), None) if named else serving[-1]
    if chosen is None:
        raise Http404
    return chosen, [each for each in serving if each != chosen]


def _edit(
    request: HttpRequest, context: dict[str, Any], document: dict[str, Any] | None, submit: Any, initial: dict[str, Any]
) -> HttpResponse:
    whole = document is None or "whole" in request.GET
    given = sent(request)
    form: PolicyForm
    if document is None or whole:
        start = document or policies.draft(context["workflow"], context["environment"])
        form = DocumentForm(given, document=start, initial=initial)
    else:
        form = ThresholdForm(given, document=document, initial=initial)
    problems: list[Any] = []
    if given is not None and form.is_valid():
        try:
            said = form.cleaned_data
            made = submit(form.document(), title=said["title"], note=said["note"], mode=said["mode"])
        except policies.InvalidPolicy as error:
            problems = list(error.problems)
        except REFUSALS as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{made} is {made.get_state_display().lower()}.")
            return redirect("change", pk=made.pk)
    context |= {"form": form, "problems": problems, "whole": whole}
    return render(request, "governance/change_new.html", context, status=200 if given is None else 422)


def _page(request: HttpRequest, found: Change, form: VoteForm, status: int = 200) -> HttpResponse:
    revision = found.revision
    standing = votes.standing(found)
    why_no_vote = votes.why_not_vote(found, request.user)
    context = {
        "change": found,
        "level": LEVELS.get(found.state, "quiet"),
        "revision": revision,
        "revisions": list(found.revisions.all())[::-1],
        "lines": drawing.changed(revision),
        "standing": standing,
        "later": standing.why_later(timezone.now()) if found.state in votes.VOTABLE else "",
        "why_no_vote": why_no_vote,
        "would_activate": standing.would_do(request.user),
        "vote_form": form,
        "may": _may(request, found, standing) | {"vote": not why_no_vote},
        "sees_evaluations": bool(found.workflow) and accounts.can(request.user, "evaluations.view", found),
        "may_audit": accounts.can(request.user, "audit.view", found),
    }
    return render(request, "governance/change.html", context, status=status)


def _may(request: HttpRequest, found: Change, standing: votes.Standing) -> dict[str, bool]:
    """What this person may do now, besides voting."""
    may_activate = accounts.can(request.user, "changes.activate", found)
    waits = found.state == Change.State.IN_REVIEW and not standing.against
    return {
        "activate": found.state == Change.State.APPROVED and may_activate,
        "activate_alone": waits and may_activate and not votes.others_may_vote(found),
        "revise": found.state in Change.OPEN and accounts.can(request.user, "changes.propose", found),
        "withdraw": found.state in Change.OPEN and found.proposed_by_id == request.user.pk,
        "ratify": found.single_handed and Change.objects.to_ratify_by(request.user).filter(pk=found.pk).exists(),
    }
