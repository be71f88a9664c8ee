"""Comments: what people say of a place in a change's document, and whether it is settled."""

from typing import Self

import pgtrigger
from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.accounts import User
from governance.models.changes import Change, Revision
from governance.models.ids import Identified


class CommentQuerySet(models.QuerySet["Comment"]):
    """Comments by state."""

    def unresolved(self) -> Self:
        """Those that nobody settled."""
        return self.filter(resolved_at=None)

    def for_page(self) -> Self:
        """With all that a change's page shows, in the order in which they were written."""
        return self.select_related("by", "resolved_by", "revision").order_by("created_at")


class Comment(Identified):
    """What a person said of one revision: of a place in its document (`path`, a JSON pointer), or of all of it."""

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="comments")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="+")
    path = models.CharField("JSON pointer into the document", max_length=300, blank=True, default="")
    text = models.TextField(max_length=2000)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = CommentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(text=""), name="comment_says_something", violation_error_message="Say something."
            ),
            models.CheckConstraint(
                condition=Q(path="") | Q(path__startswith="/"),
                name="comment_path_form",
                violation_error_message="A place begins with a slash; none is the whole.",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at=None, resolved_by=None)
                | Q(resolved_at__isnull=False, resolved_by__isnull=False),
                name="comment_resolved_by_and_at",
                violation_error_message="Who resolved a comment stands with the time.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "created_at", "change_id", "revision_id", "path", "text", "by_id"]),
            guards.Guard(
                name="of_present_form",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=[("change", "governance_change%ROWTYPE")],
                func="""
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    IF TG_OP = 'UPDATE' THEN
                        IF OLD.resolved_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN
                            RAISE EXCEPTION 'this comment was resolved' USING ERRCODE = 'check_violation';
                        END IF;
                        IF NEW.resolved_by_id NOT IN (NEW.by_id, change.proposed_by_id) AND NOT EXISTS (
                            SELECT FROM governance_contributor
                            WHERE change_id = change.id AND user_id = NEW.resolved_by_id
                        ) THEN
                            RAISE EXCEPTION 'who wrote the comment or the change resolves it'
                                USING ERRCODE = 'check_violation';
                        END IF;
                    ELSIF NEW.resolved_at IS NOT NULL OR change.revision_id <> NEW.revision_id
                        OR change.state NOT IN ('in_review', 'approved', 'stale')
                    THEN
                        RAISE EXCEPTION 'change % has another content by now, or has ended', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(within={"change": "NEW.change_id::text"}),
        ]

    def __str__(self) -> str:
        return f"{self.by} on {self.path or 'the whole'}"
