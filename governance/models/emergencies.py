"""Emergencies: changes that became live without their votes, for hours, and what another says of it afterwards."""

from datetime import datetime, timedelta
from typing import Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from governance.models import guards
from governance.models.accounts import SHA256, User, in_scope
from governance.models.changes import Change, Contributor
from governance.models.ids import Identified
from governance.models.rollbacks import CONFIRMED_FOR

LONGEST = timedelta(hours=24)
LOOKED_BACK_WITHIN = timedelta(days=2)


class EmergencyQuerySet(models.QuerySet["Emergency"]):
    """Emergencies by what they still mean."""

    def holding(self) -> Self:
        """Those whose change is live."""
        return self.filter(outcome="")

    def over(self, now: datetime) -> Self:
        """Those that should have ended, and whose change is still live."""
        return self.holding().filter(until__lte=now)

    def unseen(self) -> Self:
        """Those that nobody has looked back at."""
        return self.filter(hindsight=None)

    def to_look_back_by(self, user: User) -> Self:
        """Those that this person may look back at: he had no hand in the change, and did not begin them."""
        scoped = in_scope(
            self.unseen(), user, "changes.vote", "change__workflow__team", environment="change__environment"
        )
        hand = Contributor.objects.filter(user=user, change=OuterRef("change"))
        return scoped.filter(~Exists(hand)).exclude(by=user)

    def open_to(self, user: User | AnonymousUser) -> Self:
        """Those that hold or that nobody has looked back at, of what this person may read; with what pages show."""
        found = in_scope(self, user, "changes.view", "change__workflow__team")
        shown = found.filter(Q(outcome="") | Q(hindsight=None)).order_by("created_at")
        return shown.select_related("change__workflow", "change__environment", "by", "hindsight")


class Emergency(Identified):
    """What lets one change become live without its votes until a moment; then what was live before is live again.

    `outcome` is empty while it holds; reverted by the change `back`, or replaced by another change that became live.
    `confirmed_at` is when `by` had given the password again.
    """

    class Outcome(models.TextChoices):
        """How it ended."""

        REVERTED = "reverted", "Taken back"
        REPLACED = "replaced", "Replaced"

    change = models.OneToOneField(Change, on_delete=models.PROTECT, related_name="emergency")
    digest = models.CharField("sha256 of what became live", max_length=64)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(max_length=2000)
    confirmed_at = models.DateTimeField()
    until = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=Outcome.choices, blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)
    back = models.OneToOneField(Change, on_delete=models.PROTECT, null=True, blank=True, related_name="reverts")

    objects = EmergencyQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["until"], condition=Q(outcome=""), name="emergency_holding")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(reason=""),
                name="emergency_reason_given",
                violation_error_message="Say what the emergency is.",
            ),
            models.CheckConstraint(
                condition=Q(digest__regex=SHA256),
                name="emergency_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at__lte=F("created_at"), confirmed_at__gte=F("created_at") - CONFIRMED_FOR),
                name="emergency_confirmed",
                violation_error_message="Give your password again: five minutes at most before.",
            ),
            models.CheckConstraint(
                condition=Q(until__gt=F("created_at"), until__lte=F("created_at") + LONGEST),
                name="emergency_until_within_a_day",
                violation_error_message="An emergency lasts 24 hours at most.",
            ),
            models.CheckConstraint(
                condition=Q(outcome="", ended_at=None, back=None)
                | Q(outcome="reverted", ended_at__isnull=False, back__isnull=False)
                | Q(outcome="replaced", ended_at__isnull=False, back=None),
                name="emergency_outcome_told",
                violation_error_message="An emergency that ended says when and how.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "created_at", "change_id", "digest", "by_id", "reason", "confirmed_at", "until"]),
            guards.Guard(
                name="of_a_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=[("change", "governance_change%ROWTYPE"), ("revision", "governance_revision%ROWTYPE")],
                func="""
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    SELECT * INTO revision FROM governance_revision WHERE id = change.revision_id;
                    IF TG_OP = 'INSERT' THEN
                        IF change.state <> 'approved' OR NEW.digest <> revision.payload_digest OR NEW.outcome <> '' THEN
                            RAISE EXCEPTION 'change % is not about to become live with this content', change.number
                                USING ERRCODE = 'check_violation';
                        END IF;
                    ELSIF OLD.outcome <> '' AND NEW IS DISTINCT FROM OLD THEN
                        RAISE EXCEPTION 'this emergency has ended' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            # Looked at when the transaction commits: it holds as long as its change is live, and no longer.
            guards.Guard(
                name="holds_while_live",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update,
                timing=pgtrigger.Deferred,
                declare=[("live", "boolean")],
                func="""
                    SELECT EXISTS (SELECT FROM governance_policyhead WHERE change_id = NEW.change_id) INTO live;
                    IF live <> (SELECT outcome = '' FROM governance_emergency WHERE id = NEW.id) THEN
                        RAISE EXCEPTION 'an emergency holds as long as its change is live'
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NULL;
                """,
            ),
            # Another change that starts from it ends it, and has an entry of its own.
            guards.audited(
                within={
                    "change": "SELECT NEW.change_id::text UNION"
                    " SELECT later.change_id::text FROM governance_revision own"
                    " JOIN governance_revision later ON later.base_version_id = own.version_id"
                    " WHERE own.change_id = NEW.change_id"
                }
            ),
        ]

    def __str__(self) -> str:
        return f"Emergency of change {self.change.number}"

    @property
    def due(self) -> datetime:
        """Until when somebody who had no hand in it looks back at it."""
        return self.created_at + LOOKED_BACK_WITHIN


class Hindsight(Identified):
    """What somebody who had no hand in an emergency says of it afterwards. Written once."""

    class Opinion(models.TextChoices):
        """Whether it should have been."""

        RIGHT = "right", "It was right"
        WRONG = "wrong", "It was not right"

    emergency = models.OneToOneField(Emergency, on_delete=models.PROTECT, related_name="hindsight")
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    opinion = models.CharField(max_length=10, choices=Opinion.choices)
    reason = models.TextField(max_length=2000)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(opinion__in=["right", "wrong"]),
                name="hindsight_opinion_known",
                violation_error_message="Say whether it was right.",
            ),
            models.CheckConstraint(
                condition=~Q(reason=""), name="hindsight_reason_given", violation_error_message="Say what you found."
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.Guard(
                name="by_another",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("emergency", "governance_emergency%ROWTYPE")],
                func="""
                    SELECT * INTO emergency FROM governance_emergency WHERE id = NEW.emergency_id FOR UPDATE;
                    IF NEW.by_id = emergency.by_id
                        OR NEW.by_id NOT IN (SELECT user_id FROM governance_voters(emergency.change_id))
                    THEN
                        RAISE EXCEPTION 'who looks back had no hand in it, and may vote there'
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(
                within={"change": "SELECT change_id::text FROM governance_emergency WHERE id = NEW.emergency_id"}
            ),
        ]

    def __str__(self) -> str:
        return f"{self.by}: {self.get_opinion_display()}"
