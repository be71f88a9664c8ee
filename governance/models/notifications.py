"""Notifications: what happened and somebody has to know, and their deliveries to each of those who are told."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Min, Q

from governance.models import guards
from governance.models.accounts import User
from governance.models.ids import Identified

if TYPE_CHECKING:
    from governance.models.webhooks import Webhook


class NotificationKind(models.TextChoices):
    """What a notification is about: the word that webhooks carry as `type`, and the one that people choose by."""

    VOTE_NEEDED = "change.vote_needed", "A change asks for your vote"
    APPROVED = "change.approved", "Your change is approved"
    SENT_BACK = "change.sent_back", "Somebody asks for changes in your change"
    REJECTED = "change.rejected", "Your change is rejected"
    LIVE = "change.live", "Your change, or one of your workflow, became live"
    EMERGENCY = "change.emergency", "A change is live by an emergency, without its votes"
    ROLLED_BACK = "change.rolled_back", "What you wrote, approved or answer for was rolled back"
    SUSPENDED = "change.suspended", "Your change did not become live at its appointment"
    STALE = "change.stale", "Your change went stale"
    EXPIRED = "change.expired", "Your change expired"
    COMMENTED = "change.commented", "Somebody comments on your change, or after you did"
    DELEGATED = "delegation.begun", "Somebody lets you cast his votes"
    REVOKED = "delegation.revoked", "A delegation to you, or of yours, was ended"
    STOP_BEGUN = "stop.begun", "What you answer for is stopped"
    STOP_LIFTED = "stop.lifted", "A stop of what you answer for is lifted"
    MODEL_SUSPENDED = "model.suspended", "A model of yours, or of a workflow of yours, is suspended"
    REVIEWS_WAITING = "reviews.waiting", "Cases wait and nobody took them"
    AUDIT_FAULTS = "audit.faults", "The audit log does not hold"
    WEBHOOK_FAILED = "webhook.failed", "A webhook of yours takes nothing"
    TEST = "webhook.test", "A test"


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Notifications by what they are about."""

    def about(self, about: object, kind: NotificationKind) -> Self:
        """Those of one kind about one thing, the newest first."""
        return self.filter(about=str(about), kind=kind).order_by("-created_at")


class Notification(Identified):
    """One thing that happened, written in the transaction that did it. Its key is what receivers know it by.

    It holds names and numbers alone, no reason and no text of a request: it leaves the house.
    """

    kind = models.CharField(max_length=40)
    about = models.CharField("the key of what it is about", max_length=200)
    title = models.CharField("one sentence", max_length=400)
    text = models.TextField("what else there is to say", blank=True, default="")
    path = models.CharField("the page it leads to", max_length=300)
    facts = models.JSONField("what programs read of it", default=dict)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["kind", "about", "-created_at"], name="notification_about"),
            models.Index(fields=["created_at"], name="notification_by_age"),
        ]

    def __str__(self) -> str:
        return self.title


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries by what is still to be done for them."""

    def waiting(self) -> Self:
        """Those that are still to be made."""
        return self.filter(state=Delivery.State.WAITING)

    def due(self, at: datetime) -> Self:
        """Those to be tried at a moment, the longest due first."""
        return self.waiting().filter(due_at__lte=at).order_by("due_at", "id")

    def backlog(self, at: datetime) -> tuple[datetime | None, int]:
        """When the longest due one, first tried or to be tried by then, happened; how many were given up in a day."""
        oldest = self.waiting().filter(Q(tries__gt=0) | Q(due_at__lte=at)).aggregate(at=Min("notification__created_at"))
        given_up = self.filter(state=Delivery.State.DEAD, ended_at__gt=at - timedelta(days=1))
        return oldest["at"], given_up.count()

    def newest_first(self) -> Self:
        """With what a list of them shows."""
        return self.select_related("notification").order_by("-id")


class Delivery(Identified):
    """One notification to one person by e-mail, or to one webhook: made at least once, or given up and said so.

    `due_at` is when it is tried next; while it is being tried, when another may try it. `tries` counts those begun.
    `answer` is what came of the last one, in words. A `digest` waits for the others of its day.
    """

    class State(models.TextChoices):
        """What came of it."""

        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        DEAD = "dead", "Given up"

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="deliveries")
    person = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries")
    webhook: "models.ForeignKey[Webhook | None, Webhook | None]" = models.ForeignKey(
        "governance.Webhook", on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries"
    )
    digest = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    due_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    answer = models.CharField(max_length=300, blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["ended_at"], condition=Q(state="dead"), name="delivery_given_up"),
            models.Index(fields=["person", "-id"], name="delivery_of_person"),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(person=None, webhook__isnull=False) | Q(person__isnull=False, webhook=None),
                name="delivery_to_one",
                violation_error_message="A delivery goes to one person or to one webhook.",
            ),
            models.UniqueConstraint(fields=["notification", "person"], name="delivery_person_once"),
            models.UniqueConstraint(fields=["notification", "webhook"], name="delivery_webhook_once"),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "delivered", "dead"]), name="delivery_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", ended_at=None) | (~Q(state="waiting") & Q(ended_at__isnull=False)),
                name="delivery_ended_when",
            ),
            models.CheckConstraint(condition=Q(digest=False) | Q(webhook=None), name="delivery_digest_by_mail"),
        ]

    def __str__(self) -> str:
        return f"{self.notification} to {self.person or self.webhook}"

    @property
    def team_id(self) -> None:
        """Deliveries belong to the organisation."""
        return None


class PreferenceQuerySet(models.QuerySet["Preference"]):
    """Preferences of people."""

    def of(self, user: User) -> dict[str, str]:
        """What a person chose, by kind; what he did not choose is told at once."""
        return dict(self.filter(person=user).values_list("kind", "how"))


class Preference(Identified):
    """How one person is told by e-mail of one kind of thing. Without a row it is at once."""

    class How(models.TextChoices):
        """When an e-mail goes."""

        AT_ONCE = "at_once", "At once"
        DAILY = "daily", "Once a day"
        NEVER = "never", "Never"

    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="preferences")
    kind = models.CharField(max_length=40)
    how = models.CharField(max_length=10, choices=How.choices)

    objects = PreferenceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "kind"], name="preference_once"),
            models.CheckConstraint(condition=Q(how__in=["at_once", "daily", "never"]), name="preference_how_known"),
        ]
        triggers = [
            *guards.kept(fixed=["id", "person_id", "kind"]),
            guards.audited(within={"user": "NEW.person_id::text"}),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {NotificationKind(self.kind).label}: {self.get_how_display()}"
