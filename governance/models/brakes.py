"""Brakes: tries of a password that are counted, by account and place and by place, and until when none is taken."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from governance.models.accounts import SHA256
from governance.models.ids import Identified


class BrakeQuerySet(models.QuerySet["Brake"]):
    """Brakes by age and effect."""

    def since(self, at: datetime) -> Self:
        """Those with a try at that moment or later, the newest first."""
        return self.filter(last_at__gte=at).order_by("-last_at", "-id")


class Brake(Identified):
    """Tries of one account's password from one place, or (no account) of any from there; a good one takes them back.

    What was typed as the account stands here as a keyed digest alone: it may be a password in the wrong field.
    """

    account = models.CharField("keyed digest of the account that was typed", max_length=64, blank=True, default="")
    address = models.CharField("where from: an address, or the /64 network of one", max_length=45, blank=True)
    tries = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField("when the last try was taken")
    until = models.DateTimeField("until when none is taken", null=True, blank=True)
    told = models.BooleanField("stands in the audit log", default=False)

    objects = BrakeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "address"], name="brake_once"),
            models.CheckConstraint(
                condition=Q(account="") | Q(("account__regex", SHA256)), name="brake_account_is_a_digest"
            ),
            models.CheckConstraint(condition=~Q(account="", address=""), name="brake_of_something"),
        ]
        indexes = [models.Index(fields=["-last_at"], name="brake_newest")]

    def __str__(self) -> str:
        return f"Sign-in from {self.address or 'an unknown place'}"

    @property
    def team_id(self) -> None:
        """Signing in belongs to the organisation."""
        return None
