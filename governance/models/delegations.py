"""Delegations: who votes for whom, from and until when."""

from datetime import datetime, timedelta
from typing import Self

import pgtrigger
from django.db import models
from django.db.models import F, Q

from governance.models import guards
from governance.models.accounts import User
from governance.models.ids import Identified

LONGEST = timedelta(days=30)


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """Delegations by time and by person."""

    def holding(self, now: datetime) -> Self:
        """Those by which somebody may vote for another at a moment."""
        return self.filter(revoked_at=None, starts_at__lte=now, ends_at__gt=now)

    def involving(self, user: User) -> Self:
        """Those that a person gave or has."""
        return self.filter(Q(by=user) | Q(to=user))

    def ahead(self, now: datetime) -> Self:
        """Those that hold or will."""
        return self.filter(revoked_at=None, ends_at__gt=now).select_related("by", "to").order_by("starts_at")


class Delegation(Identified):
    """One person's votes, cast by another for a time. It gives no right: both have to be ones who may vote.

    Of a person one holds at a time, and nobody who votes for another is voted for.
    """

    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="delegations")
    to = models.ForeignKey(User, on_delete=models.PROTECT, related_name="stands_in")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.TextField(max_length=2000)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = DelegationQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["to", "ends_at"], condition=Q(revoked_at=None), name="delegation_to")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(by=F("to")), name="delegation_to_another", violation_error_message="Name somebody else."
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at"), ends_at__lte=F("starts_at") + LONGEST),
                name="delegation_within_30_days",
                violation_error_message="Choose an end after the start, within 30 days.",
            ),
            models.CheckConstraint(
                condition=~Q(reason=""), name="delegation_reason_given", violation_error_message="Say why."
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "created_at", "by_id", "to_id", "starts_at", "ends_at", "reason"]),
            # Both people are locked, in the order of their keys: no two delegations make a chain between them.
            guards.Guard(
                name="no_chain",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="""
                    PERFORM FROM governance_user WHERE id IN (NEW.by_id, NEW.to_id) ORDER BY id FOR NO KEY UPDATE;
                    IF EXISTS (
                        SELECT FROM governance_delegation other
                        WHERE other.revoked_at IS NULL
                            AND other.starts_at < NEW.ends_at AND other.ends_at > NEW.starts_at
                            AND (other.by_id IN (NEW.by_id, NEW.to_id) OR other.to_id = NEW.by_id)
                    ) THEN
                        RAISE EXCEPTION 'one delegate at a time, and none who delegates or stands in himself'
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.Guard(
                name="revoked_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="""
                    IF OLD.revoked_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN
                        RAISE EXCEPTION 'this delegation was revoked' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(),
        ]

    def __str__(self) -> str:
        return f"{self.to} for {self.by}"
