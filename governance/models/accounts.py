"""People, teams, what a person was granted and for how long, and the API keys of applications."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q, Value
from django.db.models.functions import Coalesce, Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from governance.models import guards
from governance.models.ids import Identified
from governance.permissions import Role, roles_with

if TYPE_CHECKING:
    from governance.models.registry import Environment
    from governance.models.workflows import Workflow

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
# Stands for "everywhere" where SQL would take two nulls for two different values.
NOWHERE = UUID(int=0)
SHA256 = r"^[0-9a-f]{64}$"

Q_ = TypeVar("Q_", bound="models.QuerySet[Any]")


class UserManager(BaseUserManager["User"]):
    """Finds a person by the address he signs in with, however it is written."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the person with this address. Raises User.DoesNotExist."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, Identified):
    """A person. Never deleted: votes and records name him. What he may do stands in his grants alone."""

    email = models.EmailField("e-mail address", unique=True)
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, default="UTC")
    is_active = models.BooleanField("may sign in", default=True)
    session_round = models.PositiveIntegerField("how often all sessions were ended", default=0)

    objects = UserManager()
    # What is done for him at most, whatever his roles carry, where a program came by his access token; None is all.
    acts: frozenset[str] | None = None

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(email=Lower("email")),
                name="user_email_lower_case",
                violation_error_message="Write the e-mail address in lower case.",
            ),
            models.CheckConstraint(
                condition=~Q(name=""), name="user_name_given", violation_error_message="Give the person a name."
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "created_at"]),
            guards.audited("email", "name", "time_zone", "is_active", "session_round"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> None:
        """People belong to the organisation, not to a team."""
        return None

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What every session of this person carries: it changes, and ends them, with the password or the round."""
        said = f"{self.session_round}:{self.password}"
        return salted_hmac("governance.session", said, secret=secret, algorithm="sha256").hexdigest()

    def get_full_name(self) -> str:
        """The name, for Django's templates and mails."""
        return self.name


class Team(Identified):
    """A part of the organisation that owns workflows and models."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(slug__regex=SLUG),
                name="team_slug_form",
                violation_error_message="Write the slug in lower case letters, digits and single hyphens.",
            ),
            models.CheckConstraint(
                condition=~Q(name=""), name="team_name_given", violation_error_message="Give the team a name."
            ),
        ]
        triggers = [*guards.kept(fixed=["id", "slug"]), guards.audited()]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> UUID:
        """The scope in which rights over this team are held: itself."""
        return self.id


class TsTzRange(Func):
    """The time between two columns, its start included."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class GrantQuerySet(models.QuerySet["Grant"]):
    """Grants by time and by what they allow."""

    def in_force(self, at: datetime | None = None) -> Self:
        """Those that hold at a moment, now unless said."""
        moment = at or timezone.now()
        return self.filter(Q(valid_until=None) | Q(valid_until__gt=moment), valid_from__lte=moment)

    def allowing(self, user: User | AnonymousUser, act: str) -> Self:
        """The user's grants in force whose role carries an act; none for someone who may not sign in."""
        if not isinstance(user, User) or not user.is_active or (user.acts is not None and act not in user.acts):
            return self.none()
        return self.in_force().filter(user=user, user__is_active=True, role__in=roles_with(act))

    def with_people(self) -> Self:
        """With all that a list of grants shows."""
        return self.select_related("user", "team", "environment", "granted_by")


class Grant(Identified):
    """A role a person holds, in one team or everywhere, in one environment or all, from and until a moment."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="grants")
    role = models.CharField(max_length=20, choices=Role.choices)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, blank=True, related_name="grants")
    environment: "models.ForeignKey[Environment | None, Environment | None]" = models.ForeignKey(
        "governance.Environment", on_delete=models.PROTECT, null=True, blank=True, related_name="grants"
    )
    valid_from = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField(null=True, blank=True)
    granted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=Role.values),
                name="grant_role_known",
                violation_error_message="Choose one of the roles.",
            ),
            models.CheckConstraint(
                condition=~Q(role=Role.ADMIN) | Q(team=None, environment=None),
                name="grant_admin_everywhere",
                violation_error_message="Administrators administer everything: leave team and environment out.",
            ),
            models.CheckConstraint(
                condition=Q(valid_until=None) | Q(valid_until__gte=F("valid_from")),
                name="grant_ends_after_start",
                violation_error_message="A grant ends after it begins.",
            ),
            models.CheckConstraint(
                condition=Q(granted_by=None) | ~Q(granted_by=F("user")),
                name="grant_not_to_oneself",
                violation_error_message="Nobody grants himself a role: ask another administrator.",
            ),
            ExclusionConstraint(
                name="grant_once_at_a_time",
                expressions=[
                    ("user", RangeOperators.EQUAL),
                    ("role", RangeOperators.EQUAL),
                    (Coalesce("team", Value(NOWHERE)), RangeOperators.EQUAL),
                    (Coalesce("environment", Value(NOWHERE)), RangeOperators.EQUAL),
                    (TsTzRange("valid_from", "valid_until", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                violation_error_message="This person holds this role in this scope at that time already.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "user_id", "role", "team_id", "environment_id", "valid_from", "granted_by_id"]),
            guards.audited(),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} in {self.team or 'the organisation'}"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Keys by use and by reader."""

    def usable(self) -> Self:
        """Those a gateway accepts."""
        return self.filter(revoked_at=None, workflow__retired_at=None)

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of workflows the user may see."""
        return in_scope(self, user, "workflows.view", "workflow__team")

    def with_scope(self) -> Self:
        """With all that a list of keys shows."""
        return self.select_related("workflow", "environment", "created_by", "revoked_by").order_by("-id")


class ApiKey(Identified):
    """What an application shows at the gateway. Of the token only its hash is kept.

    Keys that the control plane itself uses, to try a request or to evaluate models, also keep their token, in a box
    that only the installation's review key opens.
    """

    class Purpose(models.TextChoices):
        """Who uses it, and for what."""

        APPLICATION = "application", "Application"
        TRIAL = "trial", "Trying requests here"
        EVALUATION = "evaluation", "Evaluating models"

    name = models.CharField(max_length=120)
    purpose = models.CharField(max_length=12, choices=Purpose.choices, default=Purpose.APPLICATION)
    workflow: "models.ForeignKey[Workflow, Workflow]" = models.ForeignKey(
        "governance.Workflow", on_delete=models.PROTECT, related_name="keys"
    )
    environment: "models.ForeignKey[Environment, Environment]" = models.ForeignKey(
        "governance.Environment", on_delete=models.PROTECT, related_name="keys"
    )
    prefix = models.CharField("first letters", max_length=8, unique=True)
    sha256 = models.CharField(max_length=64, unique=True)
    sealed_token = models.BinaryField("the token, sealed", null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex=SHA256),
                name="apikey_sha256_form",
                violation_error_message="A key’s hash is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(prefix__regex=r"^[A-Za-z0-9]{8}$"),
                name="apikey_prefix_form",
                violation_error_message="A key’s first letters are eight letters or digits.",
            ),
            models.CheckConstraint(
                condition=~Q(name=""), name="apikey_name_given", violation_error_message="Give the key a name."
            ),
            models.CheckConstraint(
                condition=Q(purpose="application", sealed_token=None)
                | Q(purpose__in=["trial", "evaluation"], sealed_token__isnull=False),
                name="apikey_token_kept_for_own_use",
                violation_error_message="Only keys for trying and evaluating keep their token.",
            ),
            models.UniqueConstraint(
                fields=["workflow", "environment", "purpose"],
                condition=Q(purpose__in=["trial", "evaluation"], revoked_at=None),
                name="apikey_one_for_own_use",
                violation_error_message="There is a key for this purpose already.",
            ),
            models.CheckConstraint(
                condition=Q(revoked_by=None) | Q(revoked_at__isnull=False),
                name="apikey_revoked_by_and_at",
                violation_error_message="Who revoked a key stands only with the time.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "workflow_id", "environment_id", "purpose", "prefix", "sha256", "created_by_id"]),
            guards.audited(),
        ]

    def __str__(self) -> str:
        return f"{self.name} (sf_{self.prefix}…)"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.workflow.team_id


def in_scope(rows: Q_, user: User | AnonymousUser, act: str, team: str, environment: str | None = None) -> Q_:
    """Keep the rows whose team (a lookup path) lies in a grant of the user that carries the act.

    With an environment (a lookup path too) the grant must also hold there; reading does not ask for it.
    """
    held = Grant.objects.allowing(user, act).filter(Q(team=None) | Q(team=OuterRef(team)))
    if environment:
        held = held.filter(Q(environment=None) | Q(environment=OuterRef(environment)))
    return rows.filter(Exists(held))


def reach(user: User | AnonymousUser, act: str) -> frozenset[UUID] | None:
    """Return the teams in which the user has the act, None when it is everywhere; one query, at once.

    For lists so long that the database must be told plainly which rows count: `in_scope` hides it in a subquery.
    """
    teams = frozenset(Grant.objects.allowing(user, act).values_list("team", flat=True))
    return None if None in teams else teams


def holding(rows: Q_, user: User | AnonymousUser, act: str) -> Q_:
    """Keep all rows if the user has the act in any scope, else none: for rows that belong to the organisation."""
    return rows.filter(Exists(Grant.objects.allowing(user, act)))
