"""Changes: what is proposed, its revisions, who had a hand in it, and the votes on exactly that content."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import BigIntegerField, F, Func, Prefetch, Q, Value
from django.db.models.functions import Coalesce, Least

from governance.models import change_rules, guards
from governance.models.accounts import SHA256, Grant, Team, User, in_scope
from governance.models.checks import SAW_THE_NEWEST
from governance.models.contents import OF_PLACE, OF_PLACE_WORDS, OF_POLICY, Content
from governance.models.ids import Identified
from governance.models.policies import Mode, ModelsOfLadders, PolicyVersion
from governance.models.registry import Environment, ModelVersion
from governance.models.workflows import Workflow

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

    from governance.models.emergencies import Emergency
    from governance.models.ratifications import Ratification
    from governance.models.rollbacks import Rollback


class ChangeQuerySet(models.QuerySet["Change"]):
    """Changes by state and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of teams whose changes the user may read, and of the organisation's standards, which bind all."""
        reads = Grant.objects.allowing(user, "changes.view")
        ours = Q(kind=Change.Kind.STANDARD, for_team=None) & models.Exists(reads)
        held = reads.filter(Q(team=None) | Q(team=models.OuterRef("team")))
        return self.of_team().filter(models.Exists(held) | ours)

    def of_team(self) -> Self:
        """With `team`, that of what each is about, to scope them by."""
        return self.alias(team=Coalesce("workflow__team", "model_version__model__team", "for_team"))

    def open(self) -> Self:
        """Those that may still become live."""
        return self.filter(state__in=Change.OPEN)

    def rungs(self) -> "models.QuerySet[Change, tuple[str, UUID]]":
        """Each name of a model on a ladder that is proposed, with the key of the environment, once."""
        named = self.order_by().annotate(named=ModelsOfLadders("revision__version__document"))
        return named.values_list("named", "environment").distinct()

    def expired(self, now: datetime) -> Self:
        """Those that wait for longer than their rule lets them; it may let them wait for ever, which is null."""
        return self.open().annotate(ends=change_rules.ENDS).filter(ends__lte=now)

    def with_times(self) -> Self:
        """Each with `due`, when votes on it are due, and `ends`, when it expires; null where no rule says so."""
        return self.annotate(due=change_rules.DUE, ends=change_rules.ENDS)

    def by_road(self, road: str) -> Self:
        """Those that became live as proposed, single-handed among them, by roll-back or emergency; KeyError else."""
        emergency = Q(emergency__isnull=False) | Q(reverts__isnull=False)
        roads = {
            "proposed": Q(rollback=None) & ~emergency,
            "emergency": emergency,
            "single_handed": Q(single_handed=True),
            "rollback": Q(rollback__isnull=False),
        }
        return self.filter(roads[road], state=Change.State.APPLIED)

    def terms(self) -> "models.QuerySet[Any]":
        """Those that made a policy live, each with `until`: when its term ended, None while it lasts.

        A term ends when another policy takes its place, or the workflow is retired.
        """
        place = {field: models.OuterRef(field) for field in ("workflow", "environment")}
        applied = Change.objects.filter(state=Change.State.APPLIED, kind=Change.Kind.POLICY, **place)
        others = applied.filter(applied_at__gt=models.OuterRef("applied_at"))
        replaced = models.Subquery(others.order_by("applied_at").values("applied_at")[:1])
        return self.filter(state=Change.State.APPLIED, kind=Change.Kind.POLICY).annotate(
            until=Least(replaced, "workflow__retired_at")
        )

    def unratified(self) -> Self:
        """Those that became live single-handed and that nobody else has looked at since."""
        return self.filter(single_handed=True, ratification=None)

    def to_ratify_by(self, user: User | AnonymousUser) -> Self:
        """Those that became live single-handed and that this person may ratify now: he had no hand in them.

        None of a retired workflow: nothing of it is live any more.
        """
        if not isinstance(user, User):
            return self.none()
        hand = Contributor.objects.filter(user=user, change=models.OuterRef("pk"))
        scoped = in_scope(self.unratified().of_team(), user, "changes.vote", "team", environment="environment")
        return scoped.filter(~models.Exists(hand), workflow__retired_at=None)

    def rolled_back_for(self, user: User) -> Self:
        """Roll-backs by others that are live, of workflows that this person answers for or from what he proposed."""
        left = Change.objects.filter(
            state="applied", proposed_by=user, revision__version=models.OuterRef("revision__base_version")
        )
        concerned = Q(workflow__owner=user) | Q(workflow__deputy=user) | models.Exists(left)
        live = self.filter(head__isnull=False, rollback__isnull=False, workflow__retired_at=None)
        return live.filter(concerned).exclude(rollback__by=user)

    def in_review(self) -> Self:
        """Those that wait for votes; none of a retired workflow, where no vote changes anything."""
        return self.filter(state=Change.State.IN_REVIEW, workflow__retired_at=None)

    def awaiting(self, user: User | AnonymousUser) -> Self:
        """Those in review that the user may vote on, did not write, and has not voted on in their present form."""
        if not isinstance(user, User):
            return self.none()
        mine = Vote.objects.filter(voter=user, revision=models.OuterRef("revision"))
        hand = Contributor.objects.filter(user=user, change=models.OuterRef("pk"))
        scoped = in_scope(self.in_review().of_team(), user, "changes.vote", "team", environment="environment")
        may = Func(F("pk"), Value(user.pk), function="governance_may_vote", output_field=models.BooleanField())
        return scoped.filter(~Q(kind=Change.Kind.EXCEPTION) | Q(may), ~models.Exists(mine), ~models.Exists(hand))

    def sent_back(self) -> Self:
        """Those in whose present form somebody's newest vote asks for changes."""
        same = {field: models.OuterRef(field) for field in ("revision", "voter")}
        newer = models.Exists(Vote.objects.filter(**same, number__gt=models.OuterRef("number")))
        return self.filter(revision__in=Vote.objects.filter(~newer, choice="request_changes").values("revision"))

    def for_list(self) -> Self:
        """With all that a list of changes shows, in one query; newest first."""
        versions = ("version", "base_version", "content", "base_content")
        return self.select_related(
            *("workflow__team", "model_version__model__team", "for_team", "environment", "proposed_by"),
            *("rollback", "emergency", "reverts"),
            *(f"revision__{each}" for each in versions),
        ).order_by("-number")

    def for_page(self) -> Self:
        """With revisions and votes too, in four queries."""
        votes = Vote.objects.select_related("voter").order_by("number", "id")
        revisions = (
            Revision.objects.select_related("version", "base_version", "content", "base_content", "created_by")
            .prefetch_related(Prefetch("votes", queryset=votes))
            .order_by("number")
        )
        return (
            self.for_list()
            .select_related(
                *("applied_by", "ratification__by", "revision__base_version__revision"),
                *("rollback__by", "rollback__to__revision__version"),
                *("emergency__by", "emergency__hindsight__by", "emergency__back", "reverts__change"),
            )
            .prefetch_related(Prefetch("revisions", queryset=revisions), "contributors__user")
        )


class Change(Identified):
    """A proposal to make something else live: a policy of a workflow in an environment, or other content.

    Kind, workflow and environment are its place: of the changes of one place each starts from what is live there.
    """

    class Kind(models.TextChoices):
        """What would change."""

        POLICY = "policy", "Policy"
        APPROVAL_RULES = "approval_rules", "Approval rules"
        WORKFLOW = "workflow", "Workflow entry"
        MODEL = "model", "Model admission"
        STANDARD = "standard", "Standard"
        EXCEPTION = "exception", "Exception"

    class State(models.TextChoices):
        """Where it stands."""

        IN_REVIEW = "in_review", "In review"
        APPROVED = "approved", "Approved"
        APPLIED = "applied", "Applied"
        REJECTED = "rejected", "Rejected"
        WITHDRAWN = "withdrawn", "Withdrawn"
        STALE = "stale", "Stale"
        EXPIRED = "expired", "Expired"

    OPEN = (State.IN_REVIEW, State.APPROVED, State.STALE)

    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.POLICY)
    number = models.BigIntegerField(
        unique=True,
        editable=False,
        db_default=Func(Value("governance_change_number"), function="nextval", output_field=BigIntegerField()),
    )
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, null=True, blank=True, related_name="changes")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="changes"
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="changes"
    )
    for_team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="changes")
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=20, choices=State.choices)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="proposed_changes")
    revision: "models.OneToOneField[Revision, Revision]" = models.OneToOneField(
        "governance.Revision", on_delete=models.PROTECT, related_name="+"
    )
    applied_at = models.DateTimeField(null=True, blank=True)
    applied_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    single_handed = models.BooleanField("became live while nobody else could vote", default=False)

    objects = ChangeQuerySet.as_manager()
    if TYPE_CHECKING:
        revisions: RelatedManager["Revision"]
        contributors: RelatedManager["Contributor"]
        ratification: Ratification
        rollback: Rollback
        emergency: Emergency
        reverts: Emergency
        # Of ChangeQuerySet.with_times alone.
        due: datetime | None
        ends: datetime | None

    class Meta:
        indexes = [
            models.Index(
                fields=["workflow", "environment"],
                condition=Q(state__in=["in_review", "approved", "stale"]),
                name="change_open",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=OF_POLICY | OF_PLACE,
                name="change_kind_known",
                violation_error_message=f"A policy is that of a workflow in an environment. {OF_PLACE_WORDS}",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=["in_review", "approved", "applied", "rejected", "withdrawn", "stale", "expired"]
                ),
                name="change_state_known",
                violation_error_message="Choose one of the states that a change can be in.",
            ),
            models.CheckConstraint(
                condition=~Q(title=""), name="change_title_given", violation_error_message="Give the change a title."
            ),
            models.CheckConstraint(
                condition=Q(state="applied", applied_at__isnull=False, applied_by__isnull=False)
                | (~Q(state="applied") & Q(applied_at=None, applied_by=None)),
                name="change_applied_when_and_by",
                violation_error_message="An applied change says when and by whom, another one does not.",
            ),
            models.CheckConstraint(
                condition=Q(single_handed=False) | Q(state="applied"),
                name="change_single_handed_is_applied",
                violation_error_message="Only a change that became live can have become so single-handed.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "kind", "number", "workflow_id", "environment_id", "model_version_id", "for_team_id"),
                    *("proposed_by_id", "created_at"),
                ]
            ),
            guards.Guard(
                name="state_moves",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func=change_rules.STATE_MOVES,
            ),
            guards.Guard(
                name="applied_is_live",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                timing=pgtrigger.Deferred,
                declare=[("leads_to", "uuid")],
                func=change_rules.APPLIED_IS_LIVE,
            ),
            # An appointment is for one content of an open change: it ends in the same statement as that.
            guards.Guard(
                name="ends_appointments",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                func=guards.ENDS_APPOINTMENTS,
            ),
            guards.audited(),
        ]

    def __str__(self) -> str:
        return f"Change {self.number}: {self.title}"

    @property
    def team_id(self) -> UUID | None:
        """The team of what it is about; what is about nothing less belongs to the organisation."""
        held = self.workflow or self.model_version
        return held.team_id if held else self.for_team_id

    @property
    def about(self) -> str:
        """What it is about, by name."""
        if self.model_version:
            return self.model_version.model.title
        if self.kind == Change.Kind.STANDARD:
            return str(self.for_team or "The organisation")
        return self.workflow.name if self.workflow else "Approval rules"

    @property
    def place(self) -> str:
        """What it changes, and where."""
        if self.kind == Change.Kind.STANDARD and self.environment:
            whose = f"the standard of {self.for_team.name}" if self.for_team else "the organisation’s standard"
            return f"{whose} in {self.environment.name}"
        if self.kind == Change.Kind.EXCEPTION and self.workflow and self.environment:
            return f"the exceptions of {self.workflow.name} in {self.environment.name}"
        if self.workflow and self.environment:
            return f"{self.workflow.name} in {self.environment.name}"
        if self.model_version and self.environment:
            return f"{self.model_version.model.title} {self.model_version.version} in {self.environment.name}"
        return f"the entry of {self.workflow.name}" if self.workflow else "the approval rules"


class Revision(Identified):
    """One immutable form of a change: from which live version it starts, to which it leads, under which rule.

    `rule` is what the approval rules asked for as they stood: {"name", "votes_needed", "groups": [{"group", "votes"}],
    "cool_off_minutes", "due_hours", "expires_days", "checks"}. At activation the stricter of that and what they ask now
    holds (governance_requirement in the database).
    """

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    base_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    version = models.OneToOneField(
        PolicyVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="revision"
    )
    base_content = models.ForeignKey(Content, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    content = models.OneToOneField(Content, on_delete=models.PROTECT, null=True, blank=True, related_name="revision")
    mode = models.CharField(max_length=10, choices=Mode.choices, blank=True, default="")
    payload_digest = models.CharField("sha256 of what is voted on", max_length=64)
    rule = models.JSONField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    if TYPE_CHECKING:
        votes: RelatedManager["Vote"]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["change", "number"],
                name="revision_number_once",
                violation_error_message="This change has a revision of that number already.",
            ),
            models.CheckConstraint(
                condition=Q(number__gt=0),
                name="revision_number_positive",
                violation_error_message="Revisions count from 1.",
            ),
            models.CheckConstraint(
                condition=Q(version__isnull=False, content=None, base_content=None, mode__in=Mode.values)
                | Q(version=None, base_version=None, content__isnull=False, mode=""),
                name="revision_leads_to_one",
                violation_error_message="A revision leads to a policy that observes or enforces, or to other content.",
            ),
            models.CheckConstraint(
                condition=Q(payload_digest__regex=SHA256),
                name="revision_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(rule__votes_needed__gte=0),
                name="revision_rule_form",
                violation_error_message="A rule says how many votes are needed.",
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.Guard(
                name="belongs_together",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("change", "governance_change%ROWTYPE")],
                func=change_rules.BELONGS_TOGETHER,
            ),
            guards.audited(within={"change": "NEW.change_id::text"}),
        ]

    def __str__(self) -> str:
        return f"Revision {self.number} of change {self.change.number}"

    @property
    def policy(self) -> PolicyVersion:
        """The policy version it leads to. Raises LookupError for one that leads to other content."""
        if self.version is None:
            raise LookupError("this revision leads to no policy")
        return self.version

    @property
    def leads_to(self) -> PolicyVersion | Content:
        """What would be live."""
        made = self.version or self.content
        if made is None:
            raise LookupError("a revision leads somewhere")
        return made

    @property
    def starts_from(self) -> PolicyVersion | Content | None:
        """What was live when it was written, None where nothing was."""
        return self.base_version or self.base_content


class Contributor(Identified):
    """A person who had a hand in a change, in any of its revisions, and therefore cannot vote on it."""

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="contributors")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["change", "user"],
                name="contributor_once",
                violation_error_message="This person is named as a contributor already.",
            )
        ]
        triggers = [*guards.append_only(), guards.audited(within={"change": "NEW.change_id::text"})]

    def __str__(self) -> str:
        return f"{self.user} on change {self.change.number}"


class Vote(Identified):
    """What a person said to one revision, bound to the digest of what he saw. His newest one counts.

    `simulation` is the newest one of that revision as he voted, None where there was none. By a `delegation` it is the
    vote of who gave that.
    """

    class Choice(models.TextChoices):
        """What he said; withdraw takes the vote before it back."""

        APPROVE = "approve", "Approved"
        REQUEST_CHANGES = "request_changes", "Asked for changes"
        REJECT = "reject", "Rejected"
        ABSTAIN = "abstain", "Abstained"
        WITHDRAW = "withdraw", "Took the vote back"

    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="votes")
    digest = models.CharField("sha256 of what the voter saw", max_length=64)
    voter = models.ForeignKey(User, on_delete=models.PROTECT, related_name="votes")
    number = models.PositiveSmallIntegerField("which of this person’s votes on this revision")
    simulation = models.ForeignKey(
        "governance.Check", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    delegation = models.ForeignKey(
        "governance.Delegation", on_delete=models.PROTECT, null=True, blank=True, related_name="votes"
    )
    choice = models.CharField(max_length=20, choices=Choice.choices)
    reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["revision", "voter", "number"],
                name="vote_number_once",
                violation_error_message="This person has a vote of that number on this revision already.",
            ),
            models.CheckConstraint(
                condition=Q(choice__in=["approve", "request_changes", "reject", "abstain", "withdraw"]),
                name="vote_choice_known",
                violation_error_message="Approve, ask for changes, reject, abstain or withdraw.",
            ),
            models.CheckConstraint(
                condition=~Q(choice__in=["request_changes", "reject"]) | ~Q(reason=""),
                name="vote_against_has_reason",
                violation_error_message="Say why, so that the author knows what to change.",
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.Guard(
                name="voter_is_another",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("revision", "governance_revision%ROWTYPE"), ("change", "governance_change%ROWTYPE")],
                func=change_rules.VOTER_IS_ANOTHER,
            ),
            SAW_THE_NEWEST,
            guards.Guard(
                name="by_delegation",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=change_rules.BY_DELEGATION,
            ),
            guards.audited(
                within={"change": "SELECT change_id::text FROM governance_revision WHERE id = NEW.revision_id"}
            ),
        ]

    def __str__(self) -> str:
        return f"{self.voter}: {self.get_choice_display()}"
