"""Checks: what was found out about a revision of a change before people vote on it, by the digest of what was found."""

from typing import TYPE_CHECKING

import pgtrigger
from django.db import models
from django.db.models import F, Q

from governance.models import guards
from governance.models.accounts import SHA256
from governance.models.ids import Identified
from governance.models.policies import PolicyVersion

if TYPE_CHECKING:
    from governance.models.changes import Revision

# On votes: one names the newest simulation of what it is on. Named to come after the guard that holds the change,
# so that no check comes in between.
SAW_THE_NEWEST = guards.Guard(
    name="voter_saw_the_newest",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    func="""
        IF NEW.simulation_id IS DISTINCT FROM (
            SELECT id FROM governance_check WHERE revision_id = NEW.revision_id AND kind = 'simulation'
                ORDER BY number DESC LIMIT 1
        ) THEN
            RAISE EXCEPTION 'a vote names the newest simulation of what it is on' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    """,
)


class Check(Identified):
    """What something found out about one revision, written once. What it found is kept by whoever found it.

    `digest` is the SHA-256 of that in its canonical form, `base` the version it was compared with, `valid_until` when
    it is too old to go by. The newest of a kind counts; whether it still holds, governance_check_standing says.
    """

    class Kind(models.TextChoices):
        """What was done to find out."""

        SIMULATION = "simulation", "Simulation"

    class Verdict(models.TextChoices):
        """Whether the change may go on, as far as this can tell."""

        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"

    revision: "models.ForeignKey[Revision, Revision]" = models.ForeignKey(
        "governance.Revision", on_delete=models.PROTECT, related_name="checks"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    number = models.PositiveIntegerField("which of this kind of this revision")
    digest = models.CharField("sha256 of what was found", max_length=64)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    base = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    valid_until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["revision", "kind", "number"],
                name="check_number_once",
                violation_error_message="This revision has a check of that number already.",
            ),
            models.CheckConstraint(
                condition=Q(kind="simulation"),
                name="check_kind_known",
                violation_error_message="Choose one of the kinds of checks.",
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=["passed", "failed"]),
                name="check_verdict_known",
                violation_error_message="A check has passed or failed.",
            ),
            models.CheckConstraint(
                condition=Q(digest__regex=SHA256),
                name="check_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(number__gt=0, valid_until__gt=F("created_at")),
                name="check_holds_a_while",
                violation_error_message="Checks count from 1, and hold for a while.",
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.Guard(
                name="of_present_form",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("revision", "governance_revision%ROWTYPE"), ("change", "governance_change%ROWTYPE")],
                func="""
                    SELECT * INTO revision FROM governance_revision WHERE id = NEW.revision_id;
                    SELECT * INTO change FROM governance_change WHERE id = revision.change_id FOR UPDATE;
                    IF change.revision_id <> revision.id OR change.state NOT IN ('in_review', 'approved', 'stale') THEN
                        RAISE EXCEPTION 'change % has another content by now, or has ended', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    IF NEW.base_id IS DISTINCT FROM revision.base_version_id THEN
                        RAISE EXCEPTION 'change % starts from another version than was compared', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(
                within={"change": "SELECT change_id::text FROM governance_revision WHERE id = NEW.revision_id"}
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.number} of {self.revision}"
