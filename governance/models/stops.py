"""Stops: what is taken out of traffic at once, without a vote, and by whom it was let in again."""

from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, F, Q
from django.db.models.functions import Coalesce

from governance.models import guards
from governance.models.accounts import Grant, User, in_scope
from governance.models.ids import Identified
from governance.models.registry import Model
from governance.models.workflows import Workflow


class StopQuerySet(models.QuerySet["Stop"]):
    """Stops by what they hold and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of workflows the user may see; those of models and of everything to whoever reads the register."""
        shared = Q(workflow=None) & Exists(Grant.objects.allowing(user, "registry.view"))
        return self.filter(shared | Q(pk__in=in_scope(Stop.objects.all(), user, "workflows.view", "workflow__team")))

    def liftable_by(self, user: User | AnonymousUser) -> Self:
        """Those that hold and that the user may lift."""
        rows = self.holding().annotate(holder=Coalesce("workflow__team", "model__team"))
        return in_scope(rows, user, "stops.lift", "holder")

    def holding(self) -> Self:
        """Those that nobody has lifted."""
        return self.filter(lifted_at=None)

    def of_everything(self) -> Self:
        """Those of the whole organisation."""
        return self.filter(workflow=None, model=None)

    def with_scope(self) -> Self:
        """With all that a list of stops shows; those that hold first, the newest first."""
        rows = self.select_related("workflow__team", "model__team", "stopped_by", "lifted_by")
        return rows.order_by(F("lifted_at").desc(nulls_first=True), "-id")


class Stop(Identified):
    """One workflow, one model, or with neither everything, kept from being used until somebody lifts it.

    It holds in every environment. Gateways learn of it with the state, so within one poll, whatever bundle they hold.
    """

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, null=True, blank=True, related_name="stops")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, null=True, blank=True, related_name="stops")
    reason = models.TextField(max_length=2000)
    stopped_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = StopQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(workflow=None) | Q(model=None),
                name="stop_of_one",
                violation_error_message="Stop a workflow, or a model, or everything.",
            ),
            models.UniqueConstraint(
                fields=["workflow", "model"],
                condition=Q(lifted_at=None),
                nulls_distinct=False,
                name="stop_once",
                violation_error_message="This is stopped already.",
            ),
            models.CheckConstraint(
                condition=~Q(reason=""), name="stop_reason_given", violation_error_message="Say why it is stopped."
            ),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_by=None) | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="stop_lifted_by_and_at",
                violation_error_message="Who lifted a stop stands with the time.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "workflow_id", "model_id", "reason", "stopped_by_id", "created_at"]),
            guards.Guard(
                name="lifted_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="""
                    IF OLD.lifted_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN
                        RAISE EXCEPTION 'this stop was lifted' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(),
        ]

    def __str__(self) -> str:
        return f"Stop of {self.of}"

    @property
    def of(self) -> str:
        """What it keeps from being used."""
        if self.workflow is not None:
            return self.workflow.name
        return self.model.title if self.model is not None else "everything"

    @property
    def team_id(self) -> UUID | None:
        """The team of its workflow or model; what stops everything belongs to the organisation."""
        held = self.workflow or self.model
        return held.team_id if held is not None else None
