"""Workflows, the business processes that use AI, and their steps."""

from typing import Self
from uuid import UUID

import pgtrigger
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from governance.models import guards
from governance.models.accounts import SLUG, Team, User, in_scope
from governance.models.ids import Identified
from governance.models.registry import DataClass


class Risk(models.TextChoices):
    """How much harm a wrong answer may do. Unacceptable risk is no choice: such a process does not run here."""

    MINIMAL = "minimal", "Minimal"
    LIMITED = "limited", "Limited"
    HIGH = "high", "High"


# What of a workflow is governed: its entry, once a policy of it is live.
ENTRY = ("risk", "data_class", "rationale", "people_affected", "regions", "retention_days")
_OLD, _NEW = (", ".join(f"{row}.{column}" for column in ENTRY) for row in ("OLD", "NEW"))


class WorkflowQuerySet(models.QuerySet["Workflow"]):
    """Workflows by state and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the teams in which the user may read workflows."""
        return in_scope(self, user, "workflows.view", "team")

    def in_use(self) -> Self:
        """Those that are not retired."""
        return self.filter(retired_at=None)

    def with_heads(self) -> Self:
        """With owner, team and what is live where, in two queries whatever the length."""
        # Policies are of workflows; their module imports this one.
        heads = apps.get_model("governance", "PolicyHead").objects.select_related("version", "environment")
        people = self.select_related("owner", "deputy", "team")
        return people.prefetch_related(models.Prefetch("heads", queryset=heads)).order_by("name")


class Workflow(Identified):
    """A business process with an owner, a risk and a class of data.

    `rationale` says why it has that risk and class; `regions` are the only ones where its data may go, none given
    narrows nothing; on `review_due` owner and lead look at all of this again. Once a policy of it is live, the columns
    in ENTRY change only by a change of its entry.
    """

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120, unique=True)
    purpose = models.TextField()
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="workflows")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    deputy = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    risk = models.CharField(max_length=12, choices=Risk.choices)
    data_class = models.CharField(max_length=20, choices=DataClass.choices)
    retention_days = models.PositiveSmallIntegerField("days that prompts and answers are kept", default=30)
    cost_centre = models.CharField(max_length=40, null=True, blank=True)
    people_affected = models.TextField("whom its answers concern", blank=True, default="")
    rationale = models.TextField("why this risk and data class", blank=True, default="")
    regions = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    review_due = models.DateField("day on which the classification is looked at again", null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = WorkflowQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(slug__regex=SLUG),
                name="workflow_slug_form",
                violation_error_message="Write the slug in lower case letters, digits and single hyphens.",
            ),
            models.CheckConstraint(
                condition=~Q(name=""), name="workflow_name_given", violation_error_message="Give the workflow a name."
            ),
            models.CheckConstraint(
                condition=Q(risk__in=Risk.values),
                name="workflow_risk_known",
                violation_error_message="Choose minimal, limited or high; unacceptable risk is not allowed.",
            ),
            models.CheckConstraint(
                condition=Q(data_class__in=DataClass.values),
                name="workflow_data_class_known",
                violation_error_message="Choose public, internal, confidential or restricted.",
            ),
            models.CheckConstraint(
                condition=Q(deputy=None) | ~Q(deputy=F("owner")),
                name="workflow_deputy_is_another",
                violation_error_message="The deputy is someone else than the owner.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "slug", "team_id"]),
            guards.Guard(
                name="entry_is_live",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                timing=pgtrigger.Deferred,
                func=f"""
                    IF ({_NEW})
                        IS DISTINCT FROM ({_OLD})
                    THEN
                        PERFORM governance_refuse_other_entry(NEW.id);
                    END IF;
                    RETURN NULL;
                """,
            ),
            # What its entry says is written by the change of it that becomes live.
            guards.audited(
                within={
                    "change": "SELECT change_id::text FROM governance_contenthead"
                    " WHERE kind = 'workflow' AND workflow_id = NEW.id"
                }
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Step(Identified):
    """One station of a workflow."""

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="steps")
    name = models.CharField(max_length=60)
    position = models.PositiveSmallIntegerField()
    purpose = models.TextField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "name"],
                name="step_name_once",
                violation_error_message="This workflow has a step of that name already.",
            ),
            models.UniqueConstraint(
                fields=["workflow", "position"],
                name="step_position_once",
                violation_error_message="Another step of this workflow has that position.",
            ),
            models.CheckConstraint(
                condition=Q(name__regex=r"^[a-z0-9][a-z0-9_.-]*$"),
                name="step_name_form",
                violation_error_message="Write the name in lower case letters, digits and _ . -.",
            ),
        ]
        triggers = [*guards.kept(fixed=["id", "workflow_id", "name"]), guards.audited()]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.workflow.team_id
