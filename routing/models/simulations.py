"""Simulations: past requests decided again under two policies, how far that is, and what came out."""

from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q

from governance.models import Environment, Mode, PolicyVersion, Revision, User, Workflow, guards
from governance.models.accounts import SHA256, in_scope
from governance.models.ids import Identified
from routing.models.feeds import Snapshot

ACTIVE = Q(state__in=["queued", "running"])


class SimulationQuerySet(models.QuerySet["Simulation"]):
    """Simulations by reader, state and what they are of."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the teams whose requests the user may read."""
        return in_scope(self, user, "requests.view", "workflow__team")

    def active(self) -> Self:
        """Those that have not ended."""
        return self.filter(ACTIVE)

    def for_list(self) -> Self:
        """With all that a list shows, in one query; but for what was found, which is long."""
        related = ("workflow__team", "environment", "revision__change", "base_version", "started_by", "ended_by")
        return self.select_related(*related).defer("so_far", "result")


class Simulation(Identified):
    """The requests of some days decided again, under what was live and under another policy, each over `snapshot`.

    `document` and `mode` are those of the other policy; `revision` is the change's form that it stands in, None where
    somebody only asks what would be. `requests` is how many there are, `told` how many are done, up to and with the
    one `after`; `so_far` holds what they add up to (routing.tallies.Tally as JSON). Whoever works on it has it by
    `token` until `leased_until`; `tries` counts how often it was taken and got no further. `result` is what was found
    (routing.tallies.Result) as canonical JSON, `digest` its SHA-256. `trouble` says why it failed.
    """

    class State(models.TextChoices):
        """How it stands."""

        QUEUED = "queued", "Waits for its turn"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Broke off"

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    revision = models.ForeignKey(
        Revision, on_delete=models.PROTECT, null=True, blank=True, related_name="simulations", db_index=False
    )
    base_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    base_mode = models.CharField(max_length=10, choices=Mode.choices)
    document = models.JSONField()
    mode = models.CharField(max_length=10, choices=Mode.choices)
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    days = models.PositiveSmallIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    requests = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    told = models.PositiveIntegerField(default=0)
    after = models.UUIDField(null=True, blank=True)
    so_far = models.TextField(blank=True, default="")
    token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField("first taken", null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    trouble = models.TextField(blank=True, default="")
    result = models.TextField(blank=True, default="")
    digest = models.CharField("sha256 of the result", max_length=64, blank=True, default="")

    objects = SimulationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["revision", "-created_at"], name="simulation_of_revision"),
            models.Index(fields=["-created_at", "-id"], name="simulation_listed"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["revision"],
                condition=ACTIVE & Q(revision__isnull=False),
                name="simulation_one_at_a_time",
                violation_error_message="This revision is being simulated already.",
            ),
            models.UniqueConstraint(
                fields=["started_by", "workflow"],
                condition=ACTIVE & Q(revision=None),
                name="simulation_one_for_each",
                violation_error_message="A simulation of yours of this workflow is going on already.",
            ),
            models.CheckConstraint(
                condition=Q(days__range=(1, 90), since__lt=F("until")),
                name="simulation_of_some_days",
                violation_error_message="Simulate 1 to 90 days.",
            ),
            models.CheckConstraint(
                condition=Q(revision__isnull=False) | Q(started_by__isnull=False),
                name="simulation_asked_for",
                violation_error_message="A simulation is of a change, or somebody asked for it.",
            ),
            models.CheckConstraint(
                condition=Q(state="queued", started_at=None, ended_at=None)
                | Q(state="running", started_at__isnull=False, ended_at=None)
                | Q(state="done", started_at__isnull=False, ended_at__isnull=False)
                | Q(state__in=["cancelled", "failed"], ended_at__isnull=False),
                name="simulation_state_whole",
                violation_error_message="A state stands with its times.",
            ),
            models.CheckConstraint(
                condition=Q(state="done", digest__regex=SHA256) & ~Q(result="")
                | ~Q(state="done") & Q(result="", digest=""),
                name="simulation_done_found_something",
                violation_error_message="One that is done has a result with its digest, another one has none.",
            ),
            models.CheckConstraint(
                condition=Q(ended_by=None) | Q(state="cancelled"),
                name="simulation_ended_by_cancelling",
                violation_error_message="A person ends a simulation only by cancelling it.",
            ),
            models.CheckConstraint(
                condition=Q(state="failed") & ~Q(trouble="") | ~Q(state="failed") & Q(trouble=""),
                name="simulation_failed_why",
                violation_error_message="One that broke off says why.",
            ),
            models.CheckConstraint(
                condition=Q(token=None) | Q(leased_until__isnull=False) & ACTIVE,
                name="simulation_lease_whole",
                violation_error_message="Who has a simulation has it until a moment, and while it goes on.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "created_at", "workflow_id", "environment_id", "revision_id", "base_version_id"),
                    *("base_mode", "document", "mode", "snapshot_id", "days", "since", "until", "started_by_id"),
                ]
            ),
            guards.Guard(
                name="ends_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func=f"""
                    IF OLD.ended_at IS NOT NULL THEN
                        RAISE EXCEPTION 'simulation % has ended', OLD.id{guards.REFUSED}
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited("ended_at"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} in {self.environment}, {self.days} days"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.workflow.team_id

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in (self.State.QUEUED, self.State.RUNNING)
