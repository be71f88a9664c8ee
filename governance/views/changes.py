"""Changes: propose one, read what it does, vote, activate, withdraw."""

import functools
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import accounts, changes, delegations, hindrances, policies, reminders, votes
from governance.errors import InvalidDocument, InvalidInput
from governance.export import csv_of
from governance.kinds import KINDS
from governance.models import (
    Appointment,
    Change,
    Delegation,
    Emergency,
    Endpoint,
    Environment,
    Mode,
    PolicyHead,
    PolicyVersion,
    User,
    Workflow,
)
from governance.models.accounts import in_scope
from governance.models.changes import ChangeQuerySet
from governance.views import drawing
from governance.views.appointments import AppointmentForm
from governance.views.comments import CommentForm
from governance.views.filters import Among, ListFilter
from governance.views.forms import refuse
from governance.views.listing import in_order, page_of
from governance.views.policy_fields import models_for
from governance.views.policy_forms import DocumentForm, Fault, LadderForm, editor
from governance.views.standings import conditions
from governance.waiting import acts_on

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
    *(
        "number",
        "title",
        "kind",
        "workflow__slug",
        "model_version__model__name",
        "environment__name",
        "state",
        "single_handed",
        "proposed_by__name",
    ),
    *("created_at", "applied_by__name", "applied_at", "revision__payload_digest"),
)
# By which road a change became live.
ROADS = (
    *(("proposed", "As proposed"), ("single_handed", "Single-handed")),
    *(("rollback", "By a roll-back"), ("emergency", "By an emergency")),
)
# The page on which what is no policy is written anew.
REVISED_AT: dict[str, str] = {
    Change.Kind.APPROVAL_RULES: "approval_rules_revise",
    Change.Kind.WORKFLOW: "entry_revise",
    Change.Kind.MODEL: "admission_revise",
    Change.Kind.STANDARD: "standard_revise",
    Change.Kind.EXCEPTION: "exceptions_revise",
}
LEVELS = {"in_review": "warn", "approved": "warn", "stale": "bad", "applied": "good", "rejected": "bad"}


class ChangeFilter(ListFilter):
    """Which changes are listed."""

    state = forms.ChoiceField(
        label="State", required=False, choices=[("", "Any"), ("open", "Open"), *Change.State.choices]
    )
    kind = forms.ChoiceField(label="Kind", required=False, choices=[("", "Any"), *Change.Kind.choices])
    workflow = forms.CharField(label="Workflow", required=False, max_length=60)
    environment = forms.CharField(label="Environment", required=False, max_length=60)
    road = forms.ChoiceField(label="Became live", required=False, choices=[("", "Any way"), *ROADS])
    days = forms.IntegerField(label="Live within days", required=False, min_value=1, max_value=3_650)

    def among(self) -> dict[str, Among]:
        """The workflows whose changes this person may read, and where they become live."""
        user = self.request.user
        places = Environment.objects.visible_to(user)
        return {
            "workflow": Among(in_scope(Workflow.objects.all(), user, "changes.view", "team"), "workflow", by=("slug",)),
            "environment": Among(places, "environment"),
        }


class VoteForm(forms.Form):
    """A vote; the digests say which content the voter saw, and which simulation."""

    digest = forms.CharField(max_length=64)
    simulation = forms.CharField(max_length=64, required=False)
    choice = forms.ChoiceField(choices=[("approve", ""), ("request_changes", ""), ("reject", ""), ("abstain", "")])
    reason = forms.CharField(label="Reason", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any = None, *, held: Sequence[Delegation] = ()) -> None:
        """Offer for whom this person may vote besides himself."""
        super().__init__(data)
        self.held = {each.pk: each for each in held}
        others = [(each.pk, f"For {each.by}, who is away") for each in held]
        self.fields["delegation"] = forms.TypedChoiceField(
            label="Whose vote",
            required=False,
            coerce=UUID,
            empty_value=None,
            choices=[("", "Your own"), *others],
            error_messages={"invalid_choice": "You may no longer vote for that person here."},
        )

    def clean_delegation(self) -> Delegation | None:
        """The delegation that was chosen."""
        return self.held.get(self.cleaned_data["delegation"])


@require_GET
def change_list(request: HttpRequest) -> HttpResponse:
    """All changes this person may read, newest first."""
    accounts.require(request.user, "changes.view")
    form = ChangeFilter(request)
    page = page_of(_listed(request, form), request)
    waiting = Change.objects.awaiting(request.user).count()
    headline = f"{waiting or 'No'} {'change asks' if waiting < 2 else 'changes ask'} for your vote"
    if not page.paginator.count and not form.narrowed:
        headline = "Nobody has proposed a change yet"
    sent_back = set(Change.objects.filter(pk__in=[each.pk for each in page]).sent_back().values_list("pk", flat=True))
    appointed = {each.change_id: each for each in Appointment.objects.telling().filter(change__in=list(page))}
    times = {
        each.pk: each for each in Change.objects.filter(pk__in=[each.pk for each in page]).in_review().with_times()
    }
    rows = [
        (each, *_state(each, appointed.get(each.pk), sent_back=each.pk in sent_back), times.get(each.pk))
        for each in page
    ]
    context = {"page": page, "rows": rows, "filter_form": form, "headline": headline, "filtered": bool(form.narrowed)}
    return render(request, "governance/changes.html", context, status=form.http_status)


@require_GET
def changes_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The same changes as a file, all of them."""
    accounts.require(request.user, "changes.view")
    return csv_of(_listed(request, ChangeFilter(request).for_file()), name="changes.csv", lookups=COLUMNS)


@require_GET
def change(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One change: what differs, who voted, what this person may do now."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    held = delegations.usable(found, user) if found.state in votes.VOTABLE else []
    return _page(request, found, VoteForm(held=held))


@require_http_methods(["GET", "POST"])
def change_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Propose another policy for a workflow: by its ladders, by the whole document, or an older version once more."""
    workflow = get_object_or_404(Workflow.objects.visible_to(request.user), slug=slug)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", workflow)
    environment, others = _environments(request)
    head = PolicyHead.objects.filter(workflow=workflow, environment=environment).select_related("version").first()
    base = head.version if head else None
    taken = _version(request, workflow)

    def submit(document: dict[str, Any], **said: Any) -> Change:
        made = changes.propose(workflow=workflow, environment=environment, document=document, by=user, **said)
        return changes.proceed(change=made, by=user)

    asked = request.GET.get("mode")
    initial = {"mode": asked if asked in Mode.values else head.mode if head else Mode.OBSERVE}
    if taken is not None:
        back = base is not None and taken.number < base.number
        initial["title"] = f"Go back to version {taken.number}" if back else f"Make version {taken.number} live"
    start = taken or base
    context = {
        "workflow": workflow,
        "environment": environment,
        "others": others,
        "base": base,
        "taken": taken,
        "lines": _differences(base, taken) if taken else [],
        "change": None,
    }
    return _edit(request, context, start.document if start else None, submit, initial)


@require_http_methods(["GET", "POST"])
def change_revise(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit an open change as a new revision; votes on the old one no longer count."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.propose", found)
    if found.kind in REVISED_AT:
        return redirect(REVISED_AT[found.kind], pk=pk)

    def submit(document: dict[str, Any], *, title: str, note: str, mode: str) -> Change:
        return changes.revise(change=found, document=document, note=note, mode=mode, by=user)

    context = {
        "workflow": found.workflow,
        "environment": found.environment,
        "base": found.revision.base_version,
        "change": found,
    }
    initial = {"title": found.title, "mode": found.revision.mode, "note": found.revision.policy.note}
    return _edit(request, context, found.revision.policy.document, submit, initial)


@require_POST
def change_vote(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Vote; the last vote needed makes it live at once."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_page(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "changes.vote", found)
    form = VoteForm(request.POST, held=delegations.usable(found, user))
    if not form.is_valid():
        return _page(request, found, form, status=422)
    try:
        voted = changes.vote(change=found, by=user, then_activate=True, **form.cleaned_data)
    except REFUSALS as error:
        refuse(form, error)
        return _page(request, Change.objects.visible_to(request.user).for_page().get(pk=pk), form, status=422)
    messages.success(request, _came_of(voted))
    return redirect("change", pk=pk)


@require_POST
def change_activate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make an approved change live; with `single_handed` one that nobody else could vote on."""
    alone = request.POST.get("single_handed") == "1"
    verb = functools.partial(changes.activate, single_handed=alone)
    said = "It is live, marked as made so single-handed." if alone else "It is live."
    return _act(request, pk, "changes.activate", verb, said)


@require_POST
def change_ratify(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say that a change somebody made live alone may stay."""
    verb = functools.partial(
        changes.ratify, digest=request.POST.get("digest", ""), reason=request.POST.get("reason", "")[:2000]
    )
    return _act(request, pk, "changes.vote", verb, "You ratified it.")


@require_POST
def change_nudge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Tell those whose votes are missing once more."""
    return _act(request, pk, "changes.propose", reminders.nudge, "Those who have yet to vote are told once more.")


@require_POST
def change_withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take an open change back."""
    return _act(request, pk, "changes.propose", changes.withdraw, "The change is withdrawn.")


def _came_of(voted: Change) -> str:
    """What a vote led to, in words."""
    if voted.state != Change.State.APPLIED:
        return "Your vote is recorded."
    return KINDS[voted.kind].live


def _listed(request: HttpRequest, form: ChangeFilter) -> ChangeQuerySet:
    """The changes that the filter leaves, in the order the address asks for."""
    found = Change.objects.visible_to(request.user).for_list()
    if not form.is_valid():
        return found.none()
    said = form.cleaned_data
    if said["state"] == "open":
        found = found.open()
    elif said["state"]:
        found = found.filter(state=said["state"])
    if said["workflow"]:
        found = found.filter(workflow__slug=said["workflow"])
    if said["kind"]:
        found = found.filter(kind=said["kind"])
    if said["environment"]:
        found = found.filter(environment__name=said["environment"])
    if said["road"]:
        found = found.by_road(said["road"])
    if said["days"]:
        found = found.filter(applied_at__gte=timezone.now() - timedelta(days=said["days"]))
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


def _state(change: Change, appointment: Appointment | None, *, sent_back: bool) -> tuple[str, str]:
    """How a change stands, for its mark and in words; one in review that somebody wants changed says so.

    One that is to become live by itself is scheduled, or suspended where it did not.
    """
    if sent_back and change.state == Change.State.IN_REVIEW:
        return "bad", "Changes asked for"
    if appointment is not None and appointment.state == Appointment.State.SUSPENDED:
        return "bad", "Suspended"
    if appointment is not None and change.state == Change.State.APPROVED:
        return "warn", "Scheduled"
    emergency: Emergency | None = getattr(change, "emergency", None)
    if emergency is not None and not emergency.outcome:
        return "bad", "Emergency"
    return LEVELS.get(change.state, "quiet"), change.get_state_display()


def _environments(request: HttpRequest) -> tuple[Environment, list[Environment]]:
    """The environment that the address names, else the last on the way to production in which a model is served.

    The others are those that serve. Raises Http404 for a name that there is not.
    """
    known = list(Environment.objects.order_by("position"))
    serving = [each for each in known if not each.recorded]
    if named := request.GET.get("environment"):
        chosen = next((each for each in known if each.name == named), None)
    else:
        served = (each for each in reversed(serving) if Endpoint.objects.served_in(each).exists())
        chosen = next(served, serving[-1])
    if chosen is None:
        raise Http404
    return chosen, [each for each in serving if each != chosen]


def _version(request: HttpRequest, workflow: Workflow) -> PolicyVersion | None:
    """The older version that the address asks to propose; None without. Raises Http404 for one that there is not."""
    number = request.GET.get("version", "")
    if not number:
        return None
    if not (number.isdecimal() and len(number) < 9):
        raise Http404
    return get_object_or_404(PolicyVersion.objects.filter(workflow=workflow), number=int(number))


def _differences(base: PolicyVersion | None, version: PolicyVersion) -> list[drawing.Line]:
    """What changes from what is live to a version."""
    before = policies.read(base.document) if base else None
    return drawing.difference(before, policies.read(version.document))


def _edit(
    request: HttpRequest, context: dict[str, Any], document: dict[str, Any] | None, submit: Any, initial: dict[str, Any]
) -> HttpResponse:
    """Show the form of a change by its fields or as a document, judge it as it stands, or take what it is sent with."""
    workflow, environment = context["workflow"], context["environment"]
    start = document or policies.draft(workflow, environment)
    models = functools.partial(models_for, workflow, environment)
    shown = editor(request, start=start, models=models, initial=initial, fields=LadderForm, document=DocumentForm)
    form, faults = shown.form, list[Fault]()
    if context["change"]:
        # A revision keeps the title of its change.
        form.fields["title"].required = False
    if shown.looked:
        faults = shown.judged(functools.partial(policies.check, workflow=workflow, environment=environment))
    elif shown.submitted and form.is_valid():
        try:
            said = form.cleaned_data
            made = submit(form.document(), title=said["title"], note=said["note"], mode=said["mode"])
        except policies.InvalidPolicy as error:
            faults = shown.place(error.problems)
        except REFUSALS as error:
            refuse(form, error)
        else:
            messages.success(request, f"{made} is {made.get_state_display().lower()}.")
            return redirect("change", pk=made.pk)
    context |= {"form": form, "faults": faults, "editor": shown, "has_fields": start is not None}
    return render(request, "governance/change_new.html", context, status=shown.status)


def _page(request: HttpRequest, found: Change, form: VoteForm, status: int = 200) -> HttpResponse:
    user, revision = accounts.signed_in(request.user), found.revision
    acts, standing = acts_on(user, found), votes.standing(found)
    why_no_vote = votes.why_not_vote(found, request.user)
    appointment = None
    # In review without a vote it was never approved as it is, so nobody can have made one.
    if found.state in Change.OPEN and (standing.votes or found.state != Change.State.IN_REVIEW):
        appointment = Appointment.objects.telling().filter(change=found).first()
    level, state = _state(found, appointment, sent_back=bool(standing.against))
    replaced, said = _replaced(found), list(found.comments.for_page())
    before = replaced.change.revision.base_version if replaced else None
    context = {
        "change": found,
        "level": level,
        "state": state,
        "revision": revision,
        "revisions": list(found.revisions.all())[::-1],
        "lines": drawing.changed(found, before=before),
        "paths": drawing.paths(revision, before=before),
        "replaced": replaced,
        "comments": said,
        "unresolved": sum(each.resolved_at is None for each in said),
        "comment_form": CommentForm(change=found),
        "emergency": getattr(found, "emergency", None),
        "now": timezone.now(),
        "standing": standing,
        "conditions": conditions(found, standing, now=timezone.now()),
        "votable": votes.VOTABLE,
        **_hindered(found, standing),
        "why_no_vote": why_no_vote,
        "would_activate": standing.would_do(request.user),
        "vote_form": form,
        "appointment": appointment,
        "appointment_form": AppointmentForm(digest=revision.payload_digest),
        "may": _may(user, acts, found, standing) | {"vote": not why_no_vote},
        "sees_evaluations": found.kind == Change.Kind.POLICY and "evaluations.view" in acts,
        "may_audit": "audit.view" in acts,
    }
    return render(request, "governance/change.html", context, status=status)


def _hindered(found: Change, standing: votes.Standing) -> dict[str, Any]:
    """What keeps an open change besides votes, which stand beside, and what is about to come in between."""
    now = timezone.now()
    every = hindrances.of(found, standing, now=now) if found.state in Change.OPEN else []
    return {
        "hindrances": [each for each in every if each.code not in hindrances.OF_VOTES],
        "clash": hindrances.clash(found),
        "later": standing.why_later(now) if found.state in votes.VOTABLE else "",
    }


def _replaced(found: Change) -> Emergency | None:
    """The emergency from whose version a change starts, to let it stay or to put another in its place."""
    base = found.revision.base_version_id
    if base is None or getattr(found, "reverts", None) is not None:
        return None
    emergencies = Emergency.objects.select_related("change__revision__base_version__revision")
    return emergencies.filter(change__revision__version=base).first()


def _may(user: User, acts: Collection[str], found: Change, standing: votes.Standing) -> dict[str, bool]:
    """What this person, whose roles carry these acts here, may do now besides voting."""
    in_use = found.workflow is None or found.workflow.retired_at is None
    may_activate, may_propose = in_use and "changes.activate" in acts, "changes.propose" in acts
    waits = found.state == Change.State.IN_REVIEW and not standing.against
    wrote = user.pk in {found.proposed_by_id, *(each.user_id for each in found.contributors.all())}
    live = found.state == Change.State.APPLIED and PolicyHead.objects.filter(change=found).exists()
    leaves = in_use and live and found.revision.base_version is not None
    votable = in_use and found.state in votes.VOTABLE and found.kind == Change.Kind.POLICY
    emergency: Emergency | None = getattr(found, "emergency", None)
    # Whoever could make it live by his vote, or as it is, needs no emergency.
    held = bool(standing.why_later(timezone.now())) or not (standing.enough or standing.would_do(user))
    unseen = emergency is not None and getattr(emergency, "hindsight", None) is None
    return {
        "activate": found.state == Change.State.APPROVED and may_activate,
        "activate_alone": waits and may_activate and not standing.voters,
        "propose": in_use and may_propose,
        "comment": "comments.add" in acts,
        "open": found.state in Change.OPEN,
        "wrote": wrote,
        "revise": in_use and found.state in Change.OPEN and may_propose,
        "withdraw": found.state in Change.OPEN and wrote and may_propose,
        "nudge": in_use and found.state == Change.State.IN_REVIEW and wrote and may_propose,
        "take_back": leaves and may_propose,
        "roll_back": leaves and "rollbacks.go_back" in acts,
        "break_glass": votable and held and not wrote and "emergencies.begin" in acts,
        "end_emergency": emergency is not None and not emergency.outcome and "emergencies.end" in acts,
        "look_back": unseen and Emergency.objects.to_look_back_by(user).filter(change=found).exists(),
        "ratify": found.single_handed and Change.objects.to_ratify_by(user).filter(pk=found.pk).exists(),
    }
