"""Suspensions: a model is taken out of an environment because a condition of its admission broke, by itself.

What broke is found above governance (routing/conditions.py); here it is written, told and audited. Nothing lifts a
suspension but another admission, by a change.
"""

from datetime import date

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from governance import audiences, audit, notifications
from governance.admissions import read
from governance.audit import Service
from governance.errors import store
from governance.models import ContentHead, ContentKind, Suspension

CONDITIONS = Service("admissions")
Condition = Suspension.Condition


@transaction.atomic
def suspend(*, head: ContentHead, condition: str, limit: str, figure: str, evidence: str) -> Suspension | None:
    """Suspend what is live at the head of an admission; None where something else is live by now, or it is suspended.

    `limit` is what was agreed, `figure` what was found, `evidence` the page that shows it.
    """
    held = ContentHead.objects.select_for_update(no_key=True).get(pk=head.pk)
    if held.content_id != head.content_id or Suspension.objects.filter(content=held.content_id).exists():
        return None
    shown = ContentHead.objects.select_related("content", "model_version__model__team", "environment").get(pk=head.pk)
    content, version, environment = shown.content, shown.model_version, shown.environment
    if content is None or version is None or environment is None:
        return None
    made = store(Suspension(content=content, condition=condition, limit=limit, figure=figure[:400], evidence=evidence))
    audit.record(
        action="suspensions.suspend",
        actor=CONDITIONS,
        object=made,
        summary=f"Suspended {version} in {environment.name}: {made.said}",
        version=version.version,
        before={"approved": True},
        after={
            "approved": False,
            "model": version.model.name,
            "environment": environment.name,
            "admission": content.digest,
            "condition": str(made.condition),
            "limit": made.limit,
            "figure": made.figure,
        },
    )
    notifications.tell_of_suspension(
        suspension=made, version=version, environment=environment, to=audiences.of_suspension(version, environment)
    )
    return made


def end_due(*, today: date) -> int:
    """Suspend the admissions whose last day is over; return how many. Each in a transaction of its own."""
    done = 0
    for head in list(in_force()):
        if head.content is None:
            continue
        until = read(head.content.document).conditions.valid_until
        if until is not None and until < today:
            page = reverse("change", args=[head.change_id]) if head.change_id else ""
            agreed, found = f"until {until:%-d %B %Y}", f"it is {today:%-d %B %Y}"
            done += (
                suspend(head=head, condition=Condition.VALID_UNTIL, limit=agreed, figure=found, evidence=page)
                is not None
            )
    return done


def in_force() -> QuerySet[ContentHead]:
    """The heads of admissions that are live and not suspended, of versions that are current and models in use."""
    live = ContentHead.objects.filter(kind=ContentKind.MODEL, content__isnull=False, content__suspension=None)
    used = live.filter(model_version__is_current=True, model_version__model__state="active")
    return used.select_related("content", "model_version__model", "environment").order_by("pk")
