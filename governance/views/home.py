"""Home: what waits on this person, then the workflows he can see."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import accounts
from governance.models import Change, Grant, Review, User, Workflow
from governance.views.workflows import rows

NUMBERS = ("Nothing", "One thing", "Two things", "Three things", "Four things", "Five things", "Six things")


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
    tasks = [*_reviews(user), *_changes(user)]
    seen = list(Workflow.objects.visible_to(user).in_use().with_heads()[:9])
    open_in = set(Change.objects.open().filter(workflow__in=seen).values_list("workflow_id", flat=True))
    shown = rows(seen)
    for row in shown:
        row.open_changes = row.workflow.pk in open_in
    number = NUMBERS[len(tasks)] if len(tasks) < len(NUMBERS) else len(tasks)
    roles = {grant.get_role_display().lower() for grant in Grant.objects.in_force().filter(user=user)}
    context = {
        "headline": f"{number} {'waits' if len(tasks) < 2 else 'wait'} on you",
        "tasks": tasks,
        "workflows": shown,
        "roles": sorted(roles),
        "today": timezone.localdate(),
        "empty_text": "When a change asks for your vote or a case for your answer, it stands here.",
    }
    return render(request, "governance/home.html", context)


def _reviews(user: User) -> list[Task]:
    waiting = Review.objects.takable_by(user).order_by()
    groups = waiting.values("workflow__name", "workflow__slug").annotate(n=Count("pk"), first=Min("respond_by"))
    return [
        Task(
            title=f"{group['n']} {'case' if group['n'] == 1 else 'cases'} of {group['workflow__name']} to decide",
            text="No model was sure enough; the application waits for the answer.",
            url=f"{reverse('reviews')}?workflow={group['workflow__slug']}",
            act="Review",
            due=group["first"],
        )
        for group in groups.order_by("first")[:8]
    ]


def _changes(user: User) -> list[Task]:
    asked = Change.objects.awaiting(user).for_list()[:8]
    return [
        Task(
            title=f"{change.workflow.name}: {change.title}",
            text=f"proposed by {change.proposed_by} for {change.environment}; needs your vote",
            url=reverse("change", args=[change.pk]),
            act="Open",
        )
        for change in asked
    ]
