"""Roll-backs: what lets a change become live at once and without new votes: the same was live there before."""

from datetime import timedelta

import pgtrigger
from django.db import models
from django.db.models import F, Q

from governance.models import guards
from governance.models.accounts import User
from governance.models.changes import Change
from governance.models.ids import Identified

# For so long after a password was given it stands for the person who acts.
CONFIRMED_FOR = timedelta(minutes=5)


class Rollback(Identified):
    """What lets a change become live without votes of its own: those of `to`, which made the same live there before.

    `confirmed_at` is when `by` had given the password again. Written once, with its change.
    """

    change = models.OneToOneField(Change, on_delete=models.PROTECT, related_name="rollback")
    to = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(max_length=2000)
    confirmed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(reason=""), name="rollback_reason_given", violation_error_message="Say why you go back."
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at__lte=F("created_at"), confirmed_at__gte=F("created_at") - CONFIRMED_FOR),
                name="rollback_confirmed",
                violation_error_message="Give your password again: five minutes at most before you go back.",
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.Guard(
                name="of_a_new_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("change", "governance_change%ROWTYPE")],
                func="""
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    IF change.state <> 'approved' OR change.proposed_by_id <> NEW.by_id
                        OR EXISTS (
                            SELECT FROM governance_vote vote
                            JOIN governance_revision revision ON revision.id = vote.revision_id
                            WHERE revision.change_id = change.id
                        )
                    THEN
                        RAISE EXCEPTION 'change % is no new one of who goes back', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(within={"change": "NEW.change_id::text"}),
        ]

    def __str__(self) -> str:
        return f"Change {self.change.number} goes back to change {self.to.number}"
