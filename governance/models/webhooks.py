"""Webhooks: addresses outside that are told of what happens here, each with its owner and what it is told."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.accounts import User, holding
from governance.models.ids import Identified
from governance.models.notifications import NotificationKind

# What a webhook can be told of, in words for nobody in particular; the other kinds are about webhooks themselves.
FOR_WEBHOOKS = {
    NotificationKind.VOTE_NEEDED: "A change asks for votes",
    NotificationKind.APPROVED: "A change is approved",
    NotificationKind.SENT_BACK: "Somebody asks for changes in a change",
    NotificationKind.REJECTED: "A change is rejected",
    NotificationKind.LIVE: "A change became live",
    NotificationKind.EMERGENCY: "A change is live by an emergency, without its votes",
    NotificationKind.ROLLED_BACK: "A policy was rolled back",
    NotificationKind.SUSPENDED: "A change did not become live at its appointment",
    NotificationKind.STALE: "A change went stale",
    NotificationKind.EXPIRED: "A change expired",
    NotificationKind.COMMENTED: "Somebody comments on a change",
    NotificationKind.DELEGATED: "Somebody lets another cast his votes",
    NotificationKind.REVOKED: "A delegation was ended",
    NotificationKind.STOP_BEGUN: "A workflow, a model or everything is stopped",
    NotificationKind.STOP_LIFTED: "A stop is lifted",
    NotificationKind.REVIEWS_WAITING: "Cases wait and nobody took them",
    NotificationKind.AUDIT_FAULTS: "The audit log does not hold",
}


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Webhooks by use and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All, to whoever may see webhooks anywhere: they belong to the organisation."""
        return holding(self, user, "webhooks.view")

    def open(self) -> Self:
        """Those that are told."""
        return self.filter(closed_at=None)

    def with_people(self) -> Self:
        """With all that a list of webhooks shows, the newest first."""
        return self.select_related("owner", "created_by", "closed_by").order_by("-id")


class Webhook(Identified):
    """One address that is told. Address and secrets are sealed: whoever has a chat's address can write to it.

    `origin` (scheme, host and port) is what pages and the log show. For a while after a new secret was made, the
    former one signs as well.
    """

    class Form(models.TextChoices):
        """What it understands."""

        SIGNED = "signed", "Signed, by Standard Webhooks"
        SLACK = "slack", "Slack-compatible"

    name = models.CharField(max_length=120)
    form = models.CharField(max_length=10, choices=Form.choices)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="webhooks")
    kinds = ArrayField(models.CharField(max_length=40))
    origin = models.CharField(max_length=300)
    sealed_url = models.BinaryField("the address, sealed")
    sealed_secret = models.BinaryField("what signs, sealed", null=True, blank=True)
    sealed_former = models.BinaryField("what signs as well for a while, sealed", null=True, blank=True)
    former_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = WebhookQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(name=""), name="webhook_name_given", violation_error_message="Give the webhook a name."
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(closed_at=None),
                name="webhook_name_once",
                violation_error_message="There is a webhook of this name already.",
            ),
            models.CheckConstraint(
                condition=Q(form="signed", sealed_secret__isnull=False)
                | Q(form="slack", sealed_secret=None, sealed_former=None),
                name="webhook_secret_of_signed",
                violation_error_message="A signed webhook has a secret, a Slack-compatible one has none.",
            ),
            models.CheckConstraint(
                condition=Q(sealed_former=None, former_until=None)
                | Q(sealed_former__isnull=False, former_until__isnull=False),
                name="webhook_former_until",
                violation_error_message="A former secret says until when it signs.",
            ),
            models.CheckConstraint(
                condition=Q(kinds__len__gt=0),
                name="webhook_kinds_chosen",
                violation_error_message="Choose at least one thing that it is told.",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None) | Q(closed_at__isnull=False, closed_by__isnull=False),
                name="webhook_closed_by_and_at",
                violation_error_message="Who closed a webhook stands with the time.",
            ),
        ]
        triggers = [*guards.kept(fixed=["id", "form", "created_by_id", "created_at"]), guards.audited()]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> None:
        """Webhooks belong to the organisation."""
        return None

    @property
    def told(self) -> list[str]:
        """What it is told, each in words."""
        return [FOR_WEBHOOKS[NotificationKind(kind)] for kind in self.kinds]

    @property
    def hears_all(self) -> bool:
        """Whether it is told whatever a webhook can be told."""
        return len(self.kinds) == len(FOR_WEBHOOKS)
