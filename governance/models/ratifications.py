"""Ratifications: another person's word, later, on changes that became live single-handed."""

import pgtrigger
from django.db import models

from governance.models import guards
from governance.models.accounts import User
from governance.models.changes import Change
from governance.models.ids import Identified


class Ratification(Identified):
    """Another person's word, later, that a change which became live single-handed may stay. Written once."""

    change = models.OneToOneField(Change, on_delete=models.PROTECT, related_name="ratification")
    digest = models.CharField("sha256 of what was ratified", max_length=64)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True, default="")

    class Meta:
        triggers = [
            *guards.append_only(),
            guards.Guard(
                name="by_another",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("change", "governance_change%ROWTYPE"), ("revision", "governance_revision%ROWTYPE")],
                func="""
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    SELECT * INTO revision FROM governance_revision WHERE id = change.revision_id;
                    IF NOT change.single_handed OR NEW.digest <> revision.payload_digest THEN
                        RAISE EXCEPTION 'change % is not one to ratify with this content', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    IF NEW.by_id = change.proposed_by_id OR EXISTS (
                        SELECT FROM governance_contributor WHERE change_id = change.id AND user_id = NEW.by_id
                    ) THEN
                        RAISE EXCEPTION 'nobody ratifies change % who had a hand in it', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(within={"change": "NEW.change_id::text"}),
        ]

    def __str__(self) -> str:
        return f"{self.by} ratified change {self.change.number}"
