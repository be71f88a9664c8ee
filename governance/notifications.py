"""Notifications: what happened is written down for those who have to know, in the transaction that did it.

A message holds names and numbers, and leads to a page; nothing is decided by it or by its link. What is written here is
delivered by governance.deliveries, by e-mail as each person prefers, and to the webhooks that are told such things.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from governance.audit import Actor
from governance.models import (
    Change,
    Delegation,
    Delivery,
    Environment,
    ModelVersion,
    Notification,
    NotificationKind,
    Preference,
    Stop,
    Suspension,
    User,
    Webhook,
    Workflow,
)

Kind = NotificationKind
How = Preference.How
# The hour of the day, in each person's own zone, at which what is told once a day is told.
DIGEST_HOUR = 8
TITLE_LENGTH = 400

# What became of a change, as the end of a sentence about it, and what there is to do.
OF_CHANGE = {
    Kind.VOTE_NEEDED: ("asks for votes", "Open it, read what would change, and vote there."),
    Kind.APPROVED: ("is approved", "{by} gave the last vote that it needed."),
    Kind.SENT_BACK: ("is sent back", "{by} asks for changes, and says on its page which."),
    Kind.REJECTED: ("is rejected", "{by} says on its page why."),
    Kind.LIVE: ("is live", "{by} made it live."),
    Kind.EMERGENCY: ("is live by an emergency", "{by} made it live without its votes, for hours. Its page says why."),
    Kind.ROLLED_BACK: ("went back to an earlier version", "{by} did so at once, and its page says why."),
    Kind.SUSPENDED: ("did not become live at its appointment", "Its page says what speaks against it."),
    Kind.STALE: ("went stale", "Another change became live in its place first. Revise it, and ask for votes anew."),
    Kind.COMMENTED: ("has a comment", "{by} wrote it, and its page says what."),
    Kind.EXPIRED: ("expired", "Its rule let it wait no longer. Its author can write a new revision of it."),
}
# The same where nobody did it.
BY_ITSELF = {
    Kind.APPROVED: "It needs nobody’s vote.",
    Kind.LIVE: "It became live at its appointment.",
    Kind.ROLLED_BACK: "An emergency is over, and what was live before it is live again.",
}


def tell(
    *,
    kind: Kind,
    about: object,
    to: Iterable[UUID],
    title: str,
    text: str,
    path: str,
    facts: Mapping[str, Any],
) -> Notification:
    """Write what happened, with a delivery to each of these people and to each webhook that is told such things.

    `about` is the key of what it is about, `path` the page it leads to, `facts` what programs read (JSON). Names and
    numbers only: a message leaves the house. Raises RuntimeError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("notifications.tell belongs inside the transaction of what it tells")
    made = _written(kind=kind, about=about, title=title, text=text, path=path, facts=facts)
    told = Webhook.objects.open().filter(kinds__contains=[kind]).order_by("pk")
    Delivery.objects.bulk_create(
        [
            *_to_people(made, frozenset(to)),
            *(Delivery(notification=made, webhook=each, due_at=made.created_at) for each in told),
        ]
    )
    return made


def tell_one(*, webhook: Webhook, title: str, facts: Mapping[str, Any], due_at: datetime) -> Delivery:
    """Write a test for one webhook alone, which counts as tried once already. Inside a transaction."""
    page = reverse("webhook", args=[webhook.pk])
    text = "Nothing happened; somebody wants to see whether this arrives."
    made = _written(kind=Kind.TEST, about=webhook.pk, title=title, text=text, path=page, facts=facts)
    return Delivery.objects.create(notification=made, webhook=webhook, due_at=due_at, tries=1)


def tell_of_change(
    *,
    kind: Kind,
    change: Change,
    to: Collection[UUID],
    actor: Actor | None = None,
    reminder: bool = False,
    due: datetime | None = None,
    now: datetime | None = None,
) -> Notification:
    """Tell what became of a change; the actor is told nothing that he knows.

    `reminder` says it once more, and by when votes are `due`.
    """
    said, text = OF_CHANGE[kind]
    text = text.format(by=actor) if actor else BY_ITSELF.get(kind, text)
    told = frozenset(to) - ({actor.pk} if isinstance(actor, User) else set())
    return tell(
        kind=kind,
        about=change.pk,
        to=told,
        title=f"Change {change.number} for {change.place} {'still ' * reminder}{said}{_by_when(due, now)}",
        text=f"“{change.title}”, proposed by {change.proposed_by}. {text}",
        path=reverse("change", args=[change.pk]),
        facts={
            "id": str(change.pk),
            "number": change.number,
            "name": change.title,
            "kind": str(change.kind),
            "workflow": change.workflow.slug if change.workflow else None,
            "environment": change.environment.name if change.environment else None,
            "revision": change.revision.number,
            "state": str(change.state),
            "single_handed": change.single_handed,
            "proposed_by": change.proposed_by.name,
            "by": str(actor) if actor else None,
            "reminder": reminder,
            "due_at": due.isoformat() if due else None,
        },
    )


def _by_when(due: datetime | None, now: datetime | None) -> str:
    """By when votes are due, as the end of a sentence."""
    if due is None:
        return ""
    over = due <= (now or timezone.now())
    return f", {'overdue since' if over else 'due'} {due.astimezone(UTC):%-d %B %H:%M} UTC"


def tell_of_delegation(*, kind: Kind, delegation: Delegation, actor: User) -> Notification:
    """Tell that a person lets another cast his votes, or that this was ended; the one of the two who did it knows."""
    lent = kind == Kind.DELEGATED
    until = f"{delegation.ends_at:%-d %B %Y}"
    return tell(
        kind=kind,
        about=delegation.pk,
        to=frozenset({delegation.by_id, delegation.to_id}) - {actor.pk},
        title=f"{delegation.by} lets {delegation.to} cast his votes until {until}"
        if lent
        else f"{delegation.to} casts no votes for {delegation.by} any more",
        text="On each change that waits, one says for whom one votes. Whoever voted himself needs no other."
        if lent
        else f"{actor} ended it. It would have lasted until {until}.",
        path=reverse("account"),
        facts={
            "id": str(delegation.pk),
            "by": delegation.by.name,
            "to": delegation.to.name,
            "starts_at": delegation.starts_at.isoformat(),
            "ends_at": delegation.ends_at.isoformat(),
        },
    )


def tell_of_stop(*, kind: Kind, stop: Stop, to: Collection[UUID], actor: User) -> Notification:
    """Tell that a stop began, or was lifted; the actor knows."""
    name = f"{stop.of[:1].upper()}{stop.of[1:]}"
    began = kind == Kind.STOP_BEGUN
    return tell(
        kind=kind,
        about=stop.pk,
        to=frozenset(to) - {actor.pk},
        title=f"{name} is stopped" if began else f"{name} is let in again",
        text=f"{actor} {'stopped' if began else 'lifted the stop of'} it. The page Stops says why.",
        path=reverse("stops"),
        facts={
            "id": str(stop.pk),
            "of": stop.of,
            "workflow": stop.workflow.slug if stop.workflow else None,
            "model": stop.model.name if stop.model else None,
            "by": actor.name,
        },
    )


def tell_of_suspension(
    *, suspension: Suspension, version: ModelVersion, environment: Environment, to: Collection[UUID]
) -> Notification:
    """Tell that a condition of a model's admission broke, and that it is asked no more there."""
    model = version.model
    return tell(
        kind=Kind.MODEL_SUSPENDED,
        about=suspension.pk,
        to=to,
        title=f"{model.title} is suspended in {environment.name}: {suspension.get_condition_display().lower()}",
        text=f"Found: {suspension.figure}. Agreed: {suspension.limit}. It is asked no more there until somebody admits "
        "it anew by a change.",
        path=reverse("model", args=[model.name]),
        facts={
            "id": str(suspension.pk),
            "model": model.name,
            "version": version.version,
            "environment": environment.name,
            "condition": str(suspension.condition),
            "figure": suspension.figure,
            "limit": suspension.limit,
        },
    )


def tell_of_reviews(
    *, workflow: Workflow, about: str, to: Collection[UUID], count: int, since: datetime, now: datetime
) -> Notification:
    """Tell that so many cases of a workflow wait and nobody took them, the longest since a moment."""
    minutes = int((now - since).total_seconds() // 60)
    return tell(
        kind=Kind.REVIEWS_WAITING,
        about=about,
        to=to,
        title=f"{count:,} {'case' if count == 1 else 'cases'} of {workflow.name} "
        f"{'waits' if count == 1 else 'wait'} and nobody took {'it' if count == 1 else 'them'}",
        text=f"The longest has waited for {minutes:,} minutes. Its application waits for the answer.",
        path=f"{reverse('reviews')}?workflow={workflow.slug}",
        facts={"workflow": workflow.slug, "waiting": count, "longest_minutes": minutes},
    )


def tell_of_faults(*, checkpoint: int, to: Collection[UUID], faults: int) -> Notification:
    """Tell that the last verification of the audit log found faults."""
    return tell(
        kind=Kind.AUDIT_FAULTS,
        about=checkpoint,
        to=to,
        title=f"The audit log does not hold: {faults:,} {'fault' if faults == 1 else 'faults'} found",
        text="The page Audit names what does not hold. Keep the database as it is until you know why.",
        path=reverse("audit"),
        facts={"faults": faults},
    )


def tell_of_failure(*, webhook: Webhook, answer: str) -> Notification:
    """Tell the owner of a webhook that a delivery to it was given up. `answer` is what came of the last try."""
    return tell(
        kind=Kind.WEBHOOK_FAILED,
        about=webhook.pk,
        to=[webhook.owner_id],
        title=f"{webhook.name} takes nothing: a delivery was given up",
        text=f"What came of the last try: {answer} Its page lists what was not delivered, and sends it again.",
        path=reverse("webhook", args=[webhook.pk]),
        facts={"webhook": webhook.name},
    )


def _written(*, kind: Kind, about: object, title: str, text: str, path: str, facts: Mapping[str, Any]) -> Notification:
    # One line each: a title becomes the subject of an e-mail.
    said = " ".join(title.split())[:TITLE_LENGTH]
    return Notification.objects.create(
        kind=kind, about=str(about), title=said, text=text, path=path, facts=dict(facts), created_at=timezone.now()
    )


def _to_people(made: Notification, to: frozenset[UUID]) -> list[Delivery]:
    """A delivery to each who may sign in and did not say never; none where this installation sends no e-mail."""
    if not settings.SENDS_EMAIL or not to:
        return []
    chosen = dict(Preference.objects.filter(person__in=to, kind=made.kind).values_list("person", "how"))
    people = User.objects.filter(pk__in=to, is_active=True).order_by("pk")
    return [
        Delivery(
            notification=made,
            person=person,
            digest=chosen.get(person.pk) == How.DAILY,
            due_at=next_digest(person, made.created_at) if chosen.get(person.pk) == How.DAILY else made.created_at,
        )
        for person in people
        if chosen.get(person.pk) != How.NEVER
    ]


def next_digest(person: User, now: datetime) -> datetime:
    """When a person is next told what he is told once a day: at eight in the morning of his own zone."""
    here = now.astimezone(ZoneInfo(person.time_zone))
    today = here.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return today if today > here else today + timedelta(days=1)
