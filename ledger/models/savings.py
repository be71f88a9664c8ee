"""Baselines: what a workflow would have used without Smallfirst, from when, and how far that is known."""

from decimal import Decimal

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Q

from governance.models import Model, User, Workflow, guards
from governance.models.accounts import TsTzRange
from governance.models.ids import Identified

# Tokenizers and verbosity differ; without a measured ratio a saving is said within these bounds.
LEAST_RATIO, MOST_RATIO = Decimal("0.8"), Decimal("1.25")


class Baseline(Identified):
    """The model that a workflow's tasks are compared with, for a time; dated, so that a saving can be worked out again.

    `assumed`: nobody measured that this model would have been used, or that it does the work as well. `tokens_least`
    and `tokens_most` bound the tokens it would have used for the same task, relative to the model that answered.
    """

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="baselines")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+")
    assumed = models.BooleanField(default=True)
    reason = models.TextField("why this one")
    tokens_least = models.DecimalField(max_digits=6, decimal_places=3, default=LEAST_RATIO)
    tokens_most = models.DecimalField(max_digits=6, decimal_places=3, default=MOST_RATIO)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(reason=""),
                name="baseline_reason_given",
                violation_error_message="Say why this model is the baseline.",
            ),
            models.CheckConstraint(
                condition=Q(tokens_least__gt=0, tokens_least__lte=F("tokens_most")),
                name="baseline_ratio_in_order",
                violation_error_message="The least ratio of tokens is above zero and not above the most.",
            ),
            models.CheckConstraint(
                condition=Q(valid_until=None) | Q(valid_until__gte=F("valid_from")),
                name="baseline_ends_after_start",
                violation_error_message="A baseline ends after it begins.",
            ),
            ExclusionConstraint(
                name="baseline_one_at_a_time",
                expressions=[
                    ("workflow", RangeOperators.EQUAL),
                    (TsTzRange("valid_from", "valid_until", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                violation_error_message="This workflow has a baseline at that time already.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "workflow_id", "model_id", "assumed", "reason", "tokens_least", "tokens_most"),
                    *("valid_from", "created_by_id", "created_at"),
                ]
            ),
            guards.audited(
                within={"baseline": "SELECT id::text FROM ledger_baseline WHERE workflow_id = NEW.workflow_id"}
            ),
        ]

    def __str__(self) -> str:
        return f"Baseline {self.model.title} of {self.workflow.name}"

    @property
    def team_id(self) -> object:
        """The team of its workflow."""
        return self.workflow.team_id
