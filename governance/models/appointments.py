"""Appointments: the moment at which an approved change is to become live by itself, and what came of it."""

from typing import Self

import pgtrigger
from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from governance.models import guards
from governance.models.accounts import Team, User
from governance.models.changes import Change, Revision
from governance.models.contents import PLACE, same_place
from governance.models.ids import Identified
from governance.models.registry import Environment, ModelVersion
from governance.models.workflows import Workflow


class AppointmentQuerySet(models.QuerySet["Appointment"]):
    """Appointments by what they still mean."""

    def waiting(self) -> Self:
        """Those that are still to come."""
        return self.filter(state=Appointment.State.WAITING)

    def telling(self) -> Self:
        """The newest of each open change, where it waits or was suspended, for the content that the change has now."""
        newer = Appointment.objects.filter(change=OuterRef("change"), created_at__gt=OuterRef("created_at"))
        told = [Appointment.State.WAITING, Appointment.State.SUSPENDED]
        same = self.filter(state__in=told, change__state__in=Change.OPEN, revision=F("change__revision"))
        return same.filter(~Exists(newer)).select_related("by")

    def suspended_for(self, user: User) -> Self:
        """Those suspended of changes that this person proposed or made the appointment for, the newest first."""
        mine = self.telling().filter(Q(by=user) | Q(change__proposed_by=user), change__workflow__retired_at=None)
        return (
            mine.filter(state=Appointment.State.SUSPENDED)
            .select_related(
                "change__workflow", "change__environment", "change__model_version__model", "change__for_team"
            )
            .order_by("-ended_at")
        )


class Appointment(Identified):
    """When one revision of an approved change is to become live by itself. Of a place one waits at most.

    `why` says why it was suspended. What it is about is what its change is about, for the constraint.
    """

    class State(models.TextChoices):
        """What came of it."""

        WAITING = "waiting", "Waiting"
        KEPT = "kept", "Kept"
        SUSPENDED = "suspended", "Suspended"
        CANCELLED = "cancelled", "Cancelled"

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="appointments")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20, choices=Change.Kind.choices, default=Change.Kind.POLICY)
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    for_team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    at = models.DateTimeField()
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    why = models.TextField(blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = AppointmentQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["at"], condition=Q(state="waiting"), name="appointment_waiting")]
        constraints = [
            models.UniqueConstraint(
                fields=[*PLACE],
                condition=Q(state="waiting"),
                nulls_distinct=False,
                name="appointment_one_waits",
                violation_error_message="Another change is to become live there by itself already.",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "kept", "suspended", "cancelled"]),
                name="appointment_state_known",
                violation_error_message="An appointment waits, is kept, suspended or cancelled.",
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", ended_at=None) | (~Q(state="waiting") & Q(ended_at__isnull=False)),
                name="appointment_ended_when",
                violation_error_message="An appointment that waits no longer says since when.",
            ),
            models.CheckConstraint(
                condition=(Q(state="suspended") & ~Q(why="")) | (~Q(state="suspended") & Q(why="")),
                name="appointment_suspended_why",
                violation_error_message="An appointment that was suspended says why, another one does not.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "change_id", "revision_id", "kind", "workflow_id", "environment_id", "model_version_id"),
                    *("for_team_id", "at", "by_id", "created_at"),
                ]
            ),
            guards.Guard(
                name="of_approved",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=[("change", "governance_change%ROWTYPE")],
                func=f"""
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    IF TG_OP = 'INSERT' THEN
                        IF NEW.state <> 'waiting' OR NEW.at <= clock_timestamp() THEN
                            RAISE EXCEPTION 'an appointment begins before its moment'
                                USING ERRCODE = 'check_violation';
                        END IF;
                        IF change.state <> 'approved' OR change.revision_id <> NEW.revision_id
                            OR NOT {same_place("change", "NEW")}
                        THEN
                            RAISE EXCEPTION 'change % is not approved with this content for this place', change.number
                                USING ERRCODE = 'check_violation';
                        END IF;
                    ELSIF OLD.state <> 'waiting' THEN
                        RAISE EXCEPTION 'this appointment has ended' USING ERRCODE = 'check_violation';
                    ELSIF NEW.state = 'kept'
                        AND (change.state <> 'applied' OR change.revision_id <> NEW.revision_id)
                    THEN
                        RAISE EXCEPTION 'change % did not become live', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,  # noqa: S608 - of names of columns alone
            ),
            guards.audited(within={"change": "NEW.change_id::text"}),
        ]

    def __str__(self) -> str:
        return f"{self.change} at {self.at:%-d %B %Y %H:%M} UTC"
