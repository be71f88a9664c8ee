"""Decisions of the engine as gateways report them, written once."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from governance.models import ApiKey, Environment, Gateway, PolicyVersion, Workflow, guards


class Decision(models.Model):
    """One decision: all that went into it and what came out; its reasons are found by replay.

    Partitioned by range of the id, a UUIDv7 that the gateway made. `facts`, `signals`, `state` and `attempts` are the
    wire record's own (smallfirst.records.Decision); `snapshot` is the digest of what the gateway decided under. In mode
    `observe` the policy did not act: the observed columns say where it would have started, with which models from there
    up, or by which clause it would have refused.
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
        indexes = [models.Index(fields=["workflow", "-id"], name="decision_workflow_newest")]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return str(self.id)
