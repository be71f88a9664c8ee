"""Home: what waits on this person, then what his role comes to see first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts, figures
from governance.models import Appointment, AuditEvent, Change, Emergency, PolicyHead, Review, User, Workflow
from governance.views.workflows import rows
from governance.waiting import acts_in, roles_of

NUMBERS = ("Nothing", "One thing", "Two things", "Three things", "Four things", "Five things", "Six things")
SHOWN = 9
ROLL_BACKS_TOLD = timedelta(days=7)


@dataclass(frozen=True)
class Task:
    """One line of what waits: where it is, until when, and the word on its button."""

    title: str
    text: str
    url: str
    act: str
    due: datetime | None = None


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The first page after signing in."""
    user = accounts.signed_in(request.user)
    roles = roles_of(user)
    acts = acts_in(roles)
    cases = _cases(user) if "reviews.take" in acts else []
    tasks = [
        *_reviews(cases),
        *_suspended(user),
        *_rolled_back(user),
        *(_votes(user) if "changes.vote" in acts else []),
    ]
    sets_up = "registry.edit" in acts
    number = NUMBERS[len(tasks)] if len(tasks) < len(NUMBERS) else len(tasks)
    context = {
        "headline": f"{number} {'waits' if len(tasks) < 2 else 'wait'} on you"
        if tasks or not sets_up or PolicyHead.objects.exists()
        else "Nothing is live yet: set it up first",
        "tasks": tasks,
        "roles": sorted(role.label.lower() for role in roles),
        "today": timezone.localdate(),
        "empty_text": "When a change asks for your vote or a case for your answer, it stands here.",
        "sees_spend": "spend.view" in acts,
        "sets_up": sets_up,
        "may_take": "reviews.take" in acts,
        # Who connects applications: he may try requests and decides on no change.
        "connects": "trials.send" in acts and "changes.vote" not in acts,
        **_desk(user, acts, cases),
    }
    return render(request, "governance/home.html", context)


def _desk(user: User, acts: Collection[str], cases: list[dict[str, Any]]) -> dict[str, object]:
    """What a role comes for, beside its tasks: a reviewer his queue, an auditor the record, others the workflows."""
    shown: dict[str, object] = {}
    if "reviews.take" in acts:
        shown["queue"] = {
            "waiting": sum(group["n"] for group in cases),
            "next_due": cases[0]["first"] if cases else None,
            "done": Review.objects.ended_today_by(user).count(),
        }
    if "audit.view" in acts and "changes.vote" not in acts:
        shown["entries"] = AuditEvent.objects.visible_to(user).newest_first()[:8]
        shown["unratified"] = Change.objects.visible_to(user).unratified().for_list()[:8]
    if not {"spend.view", "reviews.take"} & set(acts):
        shown["workflows"] = _workflows(user)
    return shown


def _workflows(user: User) -> list[object]:
    seen = list(Workflow.objects.visible_to(user).in_use().with_heads()[:SHOWN])
    open_in = set(Change.objects.open().filter(workflow__in=seen).values_list("workflow_id", flat=True))
    shown = rows(seen)
    for row in shown:
        row.open_changes = row.workflow.pk in open_in
    return list(shown)


def _cases(user: User) -> list[dict[str, Any]]:
    """How many cases of each workflow this person may take, and when the first is due; the most urgent first."""
    waiting = Review.objects.takable_by(user).order_by()
    groups = waiting.values("workflow__name", "workflow__slug").annotate(n=Count("pk"), first=Min("respond_by"))
    return [dict(group) for group in groups.order_by("first")]


def _reviews(cases: list[dict[str, Any]]) -> list[Task]:
    return [
        Task(
            title=f"{group['n']} {'case' if group['n'] == 1 else 'cases'} of {group['workflow__name']} to decide",
            text="No model was sure enough; the application waits for the answer.",
            url=f"{reverse('reviews')}?workflow={group['workflow__slug']}",
            act="Review",
            due=group["first"],
        )
        for group in cases[:8]
    ]


def _suspended(user: User) -> list[Task]:
    """Changes that were to become live by themselves and did not, to who proposed them and who appointed it."""
    return [
        Task(
            title=f"{each.change.about}: {each.change.title}",
            text=f"suspended, it did not become live by itself for {each.change.place}: {each.why}",
            url=reverse("change", args=[each.change.pk]),
            act="Open",
        )
        for each in Appointment.objects.suspended_for(user)[:8]
    ]


def _rolled_back(user: User) -> list[Task]:
    """Roll-backs of the last week, to who answers for the workflow and to who proposed what was taken out."""
    lately = Change.objects.rolled_back_for(user).filter(applied_at__gte=timezone.now() - ROLL_BACKS_TOLD)
    found = lately.for_list().select_related("rollback__by")
    return [
        Task(
            title=f"{each.workflow.name if each.workflow else ''}: {each.title}",
            text=f"{each.rollback.by} did that at once for {each.place}: {each.rollback.reason}",
            url=reverse("change", args=[each.pk]),
            act="Open",
        )
        for each in found[:8]
    ]


def _votes(user: User) -> list[Task]:
    return [*_hindsights(user), *_changes(user), *_ratifications(user)]


def _hindsights(user: User) -> list[Task]:
    waiting = Emergency.objects.to_look_back_by(user).select_related("change__workflow", "change__environment", "by")
    return [
        Task(
            title=f"{each.change.workflow.name if each.change.workflow else ''}: {each.change.title}",
            text=f"{each.by} broke the glass for {each.change.place}; somebody who had no hand in it looks back at it",
            url=reverse("change", args=[each.change_id]),
            act="Look back",
            due=each.due,
        )
        for each in waiting.order_by("created_at")[:8]
    ]


def _changes(user: User) -> list[Task]:
    asked = Change.objects.awaiting(user).with_times().for_list()
    now = timezone.now()
    return [
        Task(
            title=f"{change.about}: {change.title}",
            text=f"proposed by {change.proposed_by} for {change.place}; {_by_when(change, now)}",
            url=reverse("change", args=[change.pk]),
            act="Open",
            due=change.due,
        )
        for change in asked.order_by(F("due").asc(nulls_last=True), "-number")[:8]
    ]


def _by_when(change: Change, now: datetime) -> str:
    """What a change that waits needs of a voter, and by when; `due` and `ends` are those of with_times."""
    due, ends = change.due, change.ends
    said = "your vote is overdue" if due is not None and due <= now else "needs your vote"
    return said + (f"; it expires {figures.relative_words(ends, now=now)}" if ends is not None else "")


def _ratifications(user: User) -> list[Task]:
    single = Change.objects.to_ratify_by(user).for_list()[:8]
    return [
        Task(
            title=f"{change.about}: {change.title}",
            text=f"{change.proposed_by} made it live for {change.place} alone, when nobody else could vote",
            url=reverse("change", args=[change.pk]),
            act="Ratify",
        )
        for change in single
    ]
