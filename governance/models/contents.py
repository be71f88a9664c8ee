"""Contents: immutable documents of what is governed besides policies, and the heads that say which ones are live.

A content is of one kind and about one thing: that is its place, which has one head. What kinds there are and what each
is about stands in OF_PLACE; what may be done with them in governance/kinds.py.
"""

from typing import TYPE_CHECKING
from uuid import UUID

import pgtrigger
from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.accounts import SHA256, Team, User
from governance.models.ids import Identified
from governance.models.registry import Environment, ModelVersion
from governance.models.workflows import Workflow

if TYPE_CHECKING:
    from governance.models.changes import Change


class ContentKind(models.TextChoices):
    """What a content is the document of."""

    APPROVAL_RULES = "approval_rules", "Approval rules"
    WORKFLOW = "workflow", "Workflow entry"
    MODEL = "model", "Model admission"
    STANDARD = "standard", "Standard"
    EXCEPTION = "exception", "Exception"


# What contents of each kind are about: the organisation, one workflow, a version of a model in an environment, or a
# team there; a standard of no team is the organisation's.
OF_PLACE = (
    Q(kind="approval_rules", workflow=None, model_version=None, for_team=None, environment=None)
    | Q(kind="workflow", workflow__isnull=False, model_version=None, for_team=None, environment=None)
    | Q(kind="model", workflow=None, model_version__isnull=False, for_team=None, environment__isnull=False)
    | Q(kind="standard", workflow=None, model_version=None, environment__isnull=False)
    | Q(kind="exception", workflow__isnull=False, model_version=None, for_team=None, environment__isnull=False)
)
OF_PLACE_WORDS = (
    "An entry is that of a workflow, an admission that of a model’s version in an environment, a standard that of the "
    "organisation or of a team in an environment, an exception that of a workflow in an environment."
)
# The same for a policy, which has tables of its own.
OF_POLICY = Q(kind="policy", workflow__isnull=False, model_version=None, for_team=None, environment__isnull=False)
PLACE = ("kind", "workflow", "model_version", "for_team", "environment")


def same_place(one: str, other: str) -> str:
    """Return the SQL condition that two rows are about the same place."""
    columns = ("kind", *(f"{name}_id" for name in PLACE[1:]))
    named = [", ".join(f"{row}.{column}" for column in columns) for row in (one, other)]
    return f"({named[0]}) IS NOT DISTINCT FROM ({named[1]})"


# A head moves only to the content of an applied change of its place, which starts from what was live and has what its
# rule asks for. It begins with nothing; of a workflow with its entry as it is, which moves nothing; of a model with
# what Smallfirst itself sets up, while no policy is live in that environment and nothing is asked there.
_HEAD_MOVES_BY_VOTES = f"""
                    IF NEW.change_id IS NULL THEN
                        SELECT * INTO content FROM governance_content WHERE id = NEW.content_id;
                        IF TG_OP = 'INSERT' AND NEW.content_id IS NULL THEN
                            RETURN NEW;
                        ELSIF {same_place("content", "NEW")} THEN
                            IF NEW.kind = 'workflow' AND TG_OP = 'INSERT' AND content.number = 1 THEN
                                RETURN NEW;
                            ELSIF NEW.kind = 'model' AND (TG_OP = 'INSERT' OR OLD.change_id IS NULL) AND NOT EXISTS (
                                SELECT FROM governance_policyhead WHERE environment_id = NEW.environment_id
                            ) THEN
                                RETURN NEW;
                            END IF;
                        END IF;
                        RAISE EXCEPTION 'a content head moves by a change' USING ERRCODE = 'check_violation';
                    END IF;
                    IF TG_OP = 'UPDATE' THEN
                        live := OLD.content_id;
                    END IF;
                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
                    IF NOT FOUND OR change.state <> 'applied'
                        OR NOT {same_place("change", "NEW")}
                    THEN
                        RAISE EXCEPTION 'a content head moves only to the content of an applied change of its place'
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
                    IF revision.base_content_id IS DISTINCT FROM live THEN
                        RAISE EXCEPTION 'change % starts from another content than the live one', change.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    PERFORM governance_refuse_unapproved(change.id);
                    RETURN NEW;
                """  # noqa: S608 - of names of columns alone


class Content(Identified):
    """One immutable document of its place. Who wrote it; nobody for what stood in the register before any change."""

    kind = models.CharField(max_length=20, choices=ContentKind.choices)
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, null=True, blank=True, related_name="contents")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="contents"
    )
    for_team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField("sha256 of the canonical document", max_length=64)
    note = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[*PLACE, "number"],
                nulls_distinct=False,
                name="content_number_once",
                violation_error_message="There is a version of that number already.",
            ),
            models.CheckConstraint(
                condition=Q(number__gt=0),
                name="content_number_positive",
                violation_error_message="Versions count from 1.",
            ),
            models.CheckConstraint(
                condition=OF_PLACE,
                name="content_of_its_place",
                violation_error_message=OF_PLACE_WORDS,
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
                within={
                    "change": "SELECT change_id::text FROM governance_revision"
                    " WHERE content_id = NEW.id OR base_content_id = NEW.id",
                    "endpoint": "SELECT id::text FROM governance_endpoint"
                    " WHERE version_id = NEW.model_version_id AND environment_id = NEW.environment_id",
                }
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, version {self.number}"

    @property
    def team_id(self) -> UUID | None:
        """The team of what it is about; what is about nothing less belongs to the organisation."""
        held = self.workflow or self.model_version
        return held.team_id if held else self.for_team_id


class ContentHead(Identified):
    """Which content of a place is live. Its row is there before the first change is proposed, so that it can be locked.

    That of the approval rules is held by whoever activates anything: no rule moves between the count of votes and what
    they let through.
    """

    kind = models.CharField(max_length=20, choices=ContentKind.choices)
    workflow = models.ForeignKey(
        Workflow, on_delete=models.PROTECT, null=True, blank=True, related_name="content_heads"
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="content_heads"
    )
    for_team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="content_heads")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="content_heads"
    )
    content = models.ForeignKey(Content, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    change: "models.OneToOneField[Change | None, Change | None]" = models.OneToOneField(
        "governance.Change", on_delete=models.PROTECT, null=True, blank=True, related_name="content_head"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[*PLACE],
                nulls_distinct=False,
                name="contenthead_one_per_place",
                violation_error_message="A place has one head.",
            ),
            models.CheckConstraint(
                condition=OF_PLACE,
                name="contenthead_of_its_place",
                violation_error_message=OF_PLACE_WORDS,
            ),
            models.CheckConstraint(
                condition=Q(change=None) | Q(content__isnull=False),
                name="contenthead_moved_by_a_change",
                violation_error_message="A change makes something live.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "kind", "workflow_id", "model_version_id", "for_team_id", "environment_id"]),
            guards.Guard(
                name="moves_by_votes",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=[
                    ("live", "uuid"),
                    ("change", "governance_change%ROWTYPE"),
                    ("revision", "governance_revision%ROWTYPE"),
                    ("content", "governance_content%ROWTYPE"),
                ],
                func=_HEAD_MOVES_BY_VOTES,
            ),
            guards.Guard(
                name="rows_say_the_same",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update,
                timing=pgtrigger.Deferred,
                func="""
                    IF NEW.kind = 'workflow' THEN
                        PERFORM governance_refuse_other_entry(NEW.workflow_id);
                    ELSIF NEW.kind = 'model' THEN
                        PERFORM governance_refuse_other_endpoints(NEW.model_version_id, NEW.environment_id);
                    END IF;
                    RETURN NULL;
                """,
            ),
            guards.audited(
                within={
                    "change": "SELECT id::text FROM governance_change change WHERE "  # noqa: S608 - of names of columns alone
                    + same_place("change", "NEW"),
                    "endpoint": "SELECT id::text FROM governance_endpoint"
                    " WHERE version_id = NEW.model_version_id AND environment_id = NEW.environment_id",
                }
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, live"

    @property
    def team_id(self) -> UUID | None:
        """The team of what it is about; what is about nothing less belongs to the organisation."""
        held = self.workflow or self.model_version
        return held.team_id if held else self.for_team_id
