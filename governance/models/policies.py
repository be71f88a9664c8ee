"""Policy versions, and the head that says which one is live in an environment."""

from typing import TYPE_CHECKING, Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, Func, OuterRef, Q

from governance.models import guards
from governance.models.accounts import SHA256, User, in_scope
from governance.models.ids import Identified
from governance.models.registry import Environment
from governance.models.workflows import Workflow

if TYPE_CHECKING:
    from governance.models.changes import Change


class Mode(models.TextChoices):
    """What a live policy does with requests."""

    OBSERVE = "observe", "Observes"
    ENFORCE = "enforce", "Enforces"


class PolicyVersionQuerySet(models.QuerySet["PolicyVersion"]):
    """Versions by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of workflows the user may see."""
        return in_scope(self, user, "workflows.view", "workflow__team")


class PolicyVersion(Identified):
    """One immutable policy document of a workflow."""

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="policy_versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField("sha256 of the canonical document", max_length=64)
    note = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    objects = PolicyVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "number"],
                name="policyversion_number_once",
                violation_error_message="This workflow has a policy version of that number already.",
            ),
            models.CheckConstraint(
                condition=Q(number__gt=0),
                name="policyversion_number_positive",
                violation_error_message="Policy versions count from 1.",
            ),
            models.CheckConstraint(
                condition=Q(digest__regex=SHA256),
                name="policyversion_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.audited(
                within={"change": "SELECT change_id::text FROM governance_revision WHERE version_id = NEW.id"}
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow.name}, version {self.number}"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.workflow.team_id


# What a head may be moved by: an applied change of the same place, whose newest revision starts from the old version
# and has what its rule asks for (governance_refuse_unapproved): the votes it needs, on exactly its
# content, from active people who may vote there and had no hand in it. Or, of a roll-back, what its votes once let
# through (governance_refuse_rollback). Or, for hours, an emergency, and the way back from it
# (governance_refuse_emergency). Written in SQL because a permission check in Python is passed by
# anyone with a shell.
_HEAD_MOVES_BY_VOTES = """
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.id, NEW.workflow_id, NEW.environment_id) IS DISTINCT FROM (OLD.id, OLD.workflow_id, OLD.environment_id)
        THEN
            RAISE EXCEPTION 'a policy head stays with its workflow and environment'
                USING ERRCODE = 'check_violation';
        END IF;
        live := OLD.version_id;
    END IF;
    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;
    IF NOT FOUND OR change.state <> 'applied' THEN
        RAISE EXCEPTION 'a policy head moves only to the version of an applied change'
            USING ERRCODE = 'check_violation';
    END IF;
    IF (change.workflow_id, change.environment_id) IS DISTINCT FROM (NEW.workflow_id, NEW.environment_id) THEN
        RAISE EXCEPTION 'change % belongs to another workflow or environment', change.number
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO revision FROM governance_revision WHERE change_id = change.id ORDER BY number DESC LIMIT 1;
    IF NOT FOUND OR revision.id <> change.revision_id OR revision.version_id <> NEW.version_id
        OR revision.mode <> NEW.mode
    THEN
        RAISE EXCEPTION 'change % does not lead to this version and mode', change.number
            USING ERRCODE = 'check_violation';
    END IF;
    IF revision.base_version_id IS DISTINCT FROM live THEN
        RAISE EXCEPTION 'change % starts from another version than the live one', change.number
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM governance_rollback WHERE change_id = change.id) THEN
        PERFORM governance_refuse_rollback(change.id);
    ELSIF EXISTS (SELECT FROM governance_emergency WHERE change.id IN (change_id, back_id)) THEN
        PERFORM governance_refuse_emergency(change.id);
    ELSE
        PERFORM governance_refuse_unapproved(change.id);
    END IF;
    RETURN NEW;
"""


class ModelsOfLadders(Func):
    """The models on a document's ladders, a row each."""

    template = "jsonb_path_query(%(expressions)s, '$.steps[*].ladder[*].model')"
    output_field = models.JSONField()


class PolicyHeadQuerySet(models.QuerySet["PolicyHead"]):
    """Heads by place and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of workflows the user may see."""
        return in_scope(self, user, "workflows.view", "workflow__team")

    def naming(self, model: str) -> Self:
        """Those whose policy has the model of this name on a ladder."""
        return self.filter(version__document__contains={"steps": [{"ladder": [{"model": model}]}]})

    def of_workflows_in_use(self) -> Self:
        """Those that still decide: a retired workflow keeps its heads."""
        return self.filter(workflow__retired_at=None)

    def models_named(self, user: User | AnonymousUser) -> "models.QuerySet[PolicyHead, tuple[str, UUID, bool]]":
        """Each name of a model on one of the ladders, with the workflow's key and whether the user may see it, once."""
        visible = Exists(Workflow.objects.visible_to(user).filter(pk=OuterRef("workflow")))
        named = self.annotate(named=ModelsOfLadders("version__document"), seen=visible)
        return named.values_list("named", "workflow", "seen").distinct()

    def rungs(self) -> "models.QuerySet[PolicyHead, tuple[str, UUID]]":
        """Each name of a model on one of the ladders, with the key of the environment, once."""
        named = self.order_by().annotate(named=ModelsOfLadders("version__document"))
        return named.values_list("named", "environment").distinct()

    def live_in(self, environment: Environment) -> Self:
        """What is live in an environment, with workflow and version, in the order of slugs; one query."""
        return (
            self.filter(environment=environment, workflow__retired_at=None)
            .select_related("workflow", "version")
            .order_by("workflow__slug")
        )


class PolicyHead(Identified):
    """The policy version that is live for a workflow in an environment. There is none before the first activation."""

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="heads")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="heads")
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    mode = models.CharField(max_length=10, choices=Mode.choices)
    change: "models.OneToOneField[Change, Change]" = models.OneToOneField(
        "governance.Change", on_delete=models.PROTECT, related_name="head"
    )

    objects = PolicyHeadQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "environment"],
                name="policyhead_one_per_place",
                violation_error_message="A workflow has one live policy in an environment.",
            ),
            models.CheckConstraint(
                condition=Q(mode__in=Mode.values),
                name="policyhead_mode_known",
                violation_error_message="A live policy observes or enforces.",
            ),
        ]
        triggers = [
            *guards.kept(),
            guards.Guard(
                name="moves_by_votes",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=[
                    ("live", "uuid"),
                    ("change", "governance_change%ROWTYPE"),
                    ("revision", "governance_revision%ROWTYPE"),
                ],
                func=_HEAD_MOVES_BY_VOTES,
            ),
            # Whatever becomes live instead, by whatever road, ends an emergency.
            guards.Guard(
                name="ends_emergencies",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                func="""
                    UPDATE governance_emergency SET ended_at = clock_timestamp(), outcome = 'replaced'
                    WHERE change_id = OLD.change_id AND OLD.change_id <> NEW.change_id AND outcome = '';
                    RETURN NULL;
                """,
            ),
            guards.audited(within={"change": "NEW.change_id::text"}),
        ]

    def __str__(self) -> str:
        return f"{self.version} in {self.environment}"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.workflow.team_id
