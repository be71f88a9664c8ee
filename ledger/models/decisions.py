"""Decisions of the engine as gateways report them, written once."""

from datetime import date, datetime, timedelta
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils import timezone

from governance.models import ApiKey, Environment, Gateway, PolicyVersion, User, Workflow, guards
from governance.models.accounts import in_scope
from ledger.models.usage import AHEAD, Clock, booked
from ledger.partitions import lowest_id

# An id is made moments before or after the time that its decision says; days are found by it first.
ASTRAY = timedelta(days=1)


class DecisionQuerySet(models.QuerySet["Decision"]):
    """Decisions by reader and by time."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the teams whose requests the user may read."""
        return self.filter(workflow__in=in_scope(Workflow.objects.all(), user, "requests.view", "team"))

    def since(self, moment: datetime) -> Self:
        """Those made from a moment on, by their ids."""
        return self.filter(id__gte=lowest_id(moment))

    def before(self, moment: datetime) -> Self:
        """Those made before a moment, by their ids."""
        return self.filter(id__lt=lowest_id(moment))

    def come(self, now: datetime) -> Self:
        """Those whose time has come, by their ids: the others were dated by a gateway whose clock is ahead."""
        return self.before(now + AHEAD)

    def to_come(self, now: datetime) -> Self:
        """Those dated after now, by their ids."""
        return self.since(now + AHEAD)

    def on_days(self, first: date | None, last: date | None, *, zone: ZoneInfo) -> Self:
        """Those of these days of a zone, both included; None is no bound."""
        found = self
        if first is not None:
            start = datetime.combine(first, datetime.min.time(), tzinfo=zone)
            found = found.filter(id__gte=lowest_id(start - ASTRAY), occurred_at__gte=start)
        if last is not None:
            end = datetime.combine(last + timedelta(days=1), datetime.min.time(), tzinfo=zone)
            found = found.filter(id__lt=lowest_id(end + ASTRAY), occurred_at__lt=end)
        return found

    def for_list(self) -> Self:
        """With all that a list shows of each; in no order."""
        return self.select_related("workflow", "environment", "key", "policy_version")

    def with_ids(self, ids: "list[UUID]") -> "list[Decision]":
        """Those with these ids, in the order of the ids."""
        found = self.in_bulk(ids)
        return [found[one] for one in ids if one in found]


class Decision(models.Model):
    """One decision: all that went into it and what came out; its reasons are found by replay.

    Partitioned by range of the id, a UUIDv7 that the gateway made. `facts`, `signals`, `state` and `attempts` are the
    wire record's own (smallfirst.records.Decision); `snapshot` is the digest of what the gateway decided under. In mode
    `observe` the policy did not act: the observed columns say where it would have started, with which models from there
    up, or by which clause it would have refused. The packed columns say once more what simulations read of very many at
    once (ledger.packed); None where they were not written yet.
    """

    class Outcome(models.TextChoices):
        """What came of the request."""

        KEPT = "kept", "A model answered"
        PERSON = "person", "A person is asked"
        FAILED = "failed", "No model answered"
        REFUSED = "refused", "Not allowed"

    class Mode(models.TextChoices):
        """Whether the policy decided. A request that leaves the choice to it is decided by it in every workflow."""

        ENFORCE = "enforce", "The policy decided"
        OBSERVE = "observe", "The policy was only watched"

    id = models.UUIDField(primary_key=True, editable=False)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    gateway = models.ForeignKey(
        Gateway, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    workflow = models.ForeignKey(
        Workflow, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    environment = models.ForeignKey(
        Environment, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    key = models.ForeignKey(ApiKey, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    step = models.TextField()
    run = models.TextField(null=True)
    facts = models.JSONField()
    signals = models.JSONField()
    state = models.JSONField()
    snapshot = models.TextField("sha256 of the snapshot")
    policy_version = models.ForeignKey(
        PolicyVersion,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    attempts = models.JSONField()
    outcome = models.TextField(choices=Outcome.choices)
    kept_model = models.TextField(null=True)
    tier = models.TextField(null=True)
    review_id = models.UUIDField(null=True)
    triage = models.TextField()
    mode = models.TextField(choices=Mode.choices, db_default=Mode.ENFORCE)
    observed_model = models.TextField(null=True)
    observed_tier = models.TextField(null=True)
    observed_ladder = models.JSONField(null=True)
    observed_clause = models.TextField(null=True)
    packed = models.BinaryField(null=True)
    packed_attempts = models.BinaryField(null=True)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="decision_outcome_known",
                condition=Q(outcome__in=["kept", "person", "failed", "refused"]),
                violation_error_message="Choose kept, person, failed or refused.",
            ),
            models.CheckConstraint(
                name="decision_observed_where_watched",
                condition=Q(
                    mode="enforce",
                    observed_model=None,
                    observed_tier=None,
                    observed_ladder__isnull=True,
                    observed_clause=None,
                )
                | Q(
                    mode="observe",
                    observed_model__isnull=False,
                    observed_tier__isnull=False,
                    observed_ladder__isnull=False,
                    observed_clause=None,
                )
                | Q(
                    mode="observe",
                    observed_model=None,
                    observed_tier=None,
                    observed_ladder__isnull=False,
                    observed_clause__isnull=False,
                ),
                violation_error_message="A policy that was only watched would have started somewhere, or refused.",
            ),
        ]
        indexes = [
            models.Index(fields=["workflow", "-id"], name="decision_workflow_newest"),
            models.Index(fields=["key", "-id"], name="decision_key_newest"),
            models.Index(fields=["kept_model", "-id"], name="decision_model_newest"),
            models.Index(fields=["outcome", "-id"], name="decision_outcome_newest", condition=~Q(outcome="kept")),
            models.Index(fields=["workflow", "run", "-id"], name="decision_run", condition=Q(run__isnull=False)),
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return str(self.id)

    @property
    def booked_at(self) -> datetime:
        """By which time it is told: when it occurred, or when it arrived where the gateway's clock cannot be right."""
        return booked(self.occurred_at, now=self.recorded_at)[0]

    @property
    def clock(self) -> Clock:
        """How the gateway's clock stood, by the same rule as for usage."""
        return booked(self.occurred_at, now=self.recorded_at)[1]
