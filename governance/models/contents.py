"""Contents: immutable documents of what is governed besides policies, and the head that says which one is live."""

from typing import TYPE_CHECKING

import pgtrigger
from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.accounts import SHA256, User
from governance.models.ids import Identified

if TYPE_CHECKING:
    from governance.models.changes import Change


class ContentKind(models.TextChoices):
    """What a content is the document of."""

    APPROVAL_RULES = "approval_rules", "Approval rules"


class Content(Identified):
    """One immutable document of the organisation's approval rules."""

    kind = models.CharField(max_length=20, choices=ContentKind.choices)
    number = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField("sha256 of the canonical document", max_length=64)
    note = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "number"],
                name="content_number_once",
                violation_error_message="There is a version of that number already.",
            ),
            models.CheckConstraint(
                condition=Q(number__gt=0),
                name="content_number_positive",
                violation_error_message="Versions count from 1.",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=ContentKind.values),
                name="content_kind_known",
                violation_error_message="Choose a kind.",
            ),
            models.CheckConstraint(
                condition=Q(digest__regex=SHA256),
                name="content_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.audited(
                within={"change": "SELECT change_id::text FROM governance_revision WHERE content_id = NEW.id"}
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, version {self.number}"

    @property
    def team_id(self) -> None:
        """Contents belong to the organisation."""
        return None


class ContentHead(Identified):
    """Which content of a kind is live. Its row is there from the first migration on, so that it can be locked.

    Whoever activates anything holds it too: no rule moves between the count of votes and what they let through.
    """

    kind = models.CharField(max_length=20, choices=ContentKind.choices, unique=True)
    content = models.ForeignKey(Content, on_delete=models.PROTECT, null=True, related_name="+")
    change: "models.OneToOneField[Change | None, Change | None]" = models.OneToOneField(
        "governance.Change", on_delete=models.PROTECT, null=True, related_name="content_head"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(content=None, change=None) | Q(content__isnull=False, change__isnull=False),
                name="contenthead_moved_by_a_change",
                violation_error_message="What is live became so by a change.",
            )
        ]
        triggers = [
            *guards.kept(fixed=["id", "kind"]),
            guards.Guard(
                name="moves_by_votes",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=[("change", "governance_change%ROWTYPE"), ("revision", "governance_revision%ROWTYPE")],
                func="""
                    IF TG_OP = 'INSERT' THEN
                        RAISE EXCEPTION 'a content head is there already, and moves by a change'
                            USING ERRCODE = 'check_violation';
                    END IF;
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    IF NOT FOUND OR change.state <> 'applied' OR change.kind <> NEW.kind THEN
                        RAISE EXCEPTION 'a content head moves only to the content of an applied change of its kind'
                            USING ERRCODE = 'check_violation';
                    END IF;
                    SELECT * INTO revision FROM governance_revision
                        WHERE change_id = change.id ORDER BY number DESC LIMIT 1;
                    IF NOT FOUND OR revision.id <> change.revision_id
                        OR revision.content_id IS DISTINCT FROM NEW.content_id
                    THEN
                        RAISE EXCEPTION 'change % does not lead to this content', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    IF revision.base_content_id IS DISTINCT FROM OLD.content_id THEN
                        RAISE EXCEPTION 'change % starts from another content than the live one', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    PERFORM governance_refuse_unapproved(change.id);
                    RETURN NEW;
                """,
            ),
            guards.audited(within={"change": "NEW.change_id::text"}),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, live"

    @property
    def team_id(self) -> None:
        """Contents belong to the organisation."""
        return None
