"""Environments, providers, and the register of models: what they are, their versions, and where they are served."""

from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, Count, Exists, OuterRef, Prefetch, Q, Value, When
from django.db.models.expressions import RawSQL

from governance.models import guards
from governance.models.accounts import SHA256, SLUG, Grant, Team, User, holding
from governance.models.ids import Identified

# Parts between slashes, as in `supplier/model:edition`. None begins with a sign, so that an address of pages,
# /models/<name>/-/edit/, can be read in one way only.
MODEL_NAME = r"^[a-z0-9][a-z0-9._:-]*(/[a-z0-9][a-z0-9._:-]*)*$"

# The base of an API, and the environment variable in which a gateway finds a key.
ADDRESS = r"^https?://[^\s/?#]+(/[^\s?#]*)?$"
ADDRESS_WORDS = "Write an http or https address without query, such as https://host/v1."
REFERENCE = r"^env:[A-Z][A-Z0-9_]*$"
REFERENCE_WORDS = "Name the gateway’s environment variable, such as env:PROVIDER_KEY."


class Tier(models.TextChoices):
    """How large, and how dear, a model is."""

    SMALL = "small", "Small"
    MID = "mid", "Mid"
    FRONTIER = "frontier", "Frontier"


class Hosting(models.TextChoices):
    """Whose machines a model runs on."""

    SELF = "self", "Self-hosted"
    HOSTED = "hosted", "Hosted"


class DataClass(models.TextChoices):
    """How closely data is held, from open to closed."""

    PUBLIC = "public", "Public"
    INTERNAL = "internal", "Internal"
    CONFIDENTIAL = "confidential", "Confidential"
    RESTRICTED = "restricted", "Restricted"


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    """Environments by use and by right."""

    def serving(self) -> Self:
        """Those where requests are answered: not those of recordings."""
        return self.filter(recorded=False)

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Environments are the organisation's: whoever reads the register sees them all."""
        return holding(self, user, "registry.view")

    def allowing(self, user: User | AnonymousUser, act: str, team: UUID | None = None) -> Self:
        """Those where the user has the act, for a team if one is given, else for any."""
        held = Grant.objects.allowing(user, act).filter(Q(environment=None) | Q(environment=OuterRef("pk")))
        return self.filter(Exists(held.filter(Q(team=None) | Q(team=team)) if team else held))


class Environment(Identified):
    """Where a policy is live: development, production. Keys, heads and bundles belong to one.

    In a `recorded` one nothing is served: what stands in it was measured elsewhere and imported.
    """

    name = models.SlugField(max_length=40, unique=True)
    votes_needed = models.PositiveSmallIntegerField()
    position = models.PositiveSmallIntegerField(unique=True)
    recorded = models.BooleanField("holds recordings", default=False)
    gateway_url = models.CharField("where its gateway is reached", max_length=400, blank=True, default="")

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.CheckConstraint(
                condition=Q(name__regex=SLUG),
                name="environment_name_form",
                violation_error_message="Write the name in lower case letters, digits and single hyphens.",
            ),
            models.CheckConstraint(
                condition=Q(gateway_url="") | Q(gateway_url__regex=r"^https?://[^\s/?#]+$"),
                name="environment_gateway_url_form",
                violation_error_message="Write the address without a path, such as https://gateway.example.com.",
            ),
            models.CheckConstraint(
                condition=Q(gateway_url="") | Q(recorded=False),
                name="environment_recorded_has_no_gateway",
                violation_error_message="Where recordings are, nothing is served.",
            ),
        ]
        triggers = [*guards.kept(fixed=["id", "name", "votes_needed", "recorded"]), guards.audited()]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> None:
        """Environments belong to the organisation."""
        return None


class ProviderQuerySet(models.QuerySet["Provider"]):
    """Providers by state and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Providers are the organisation's: whoever reads the register sees them all."""
        return holding(self, user, "registry.view")

    def in_use(self) -> Self:
        """Those at which endpoints may be added."""
        return self.filter(closed_at=None)

    def with_counts(self) -> Self:
        """With `served`, how many models in use have their current version served there, and `places`, its endpoints.

        Only active endpoints count.
        """
        active = Q(endpoints__active=True)
        current = active & Q(endpoints__version__is_current=True, endpoints__version__model__state="active")
        return self.annotate(
            places=Count("endpoints", filter=active, distinct=True),
            served=Count("endpoints__version__model", filter=current, distinct=True),
        )


class Provider(Identified):
    """A company or service that runs models behind one account.

    `url` and `secret` are what endpoints are added with that bring none of their own; `region` is the only one where
    it runs anything, none given narrows nothing. At a closed one no endpoint can be added.
    """

    class Kind(models.TextChoices):
        """The wire it speaks."""

        OPENAI = "openai", "OpenAI-compatible"

    class Meter(models.TextChoices):
        """Who counts what this account is charged for; any other count only reconciles."""

        GATEWAY = "gateway", "Smallfirst gateway"

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.OPENAI)
    metered_by = models.CharField(max_length=20, choices=Meter.choices, default=Meter.GATEWAY)
    url = models.CharField("where its API is reached", max_length=400, blank=True, default="")
    secret = models.CharField("where gateways find its key", max_length=120, null=True, blank=True)
    region = models.CharField("where it runs everything", max_length=40, blank=True, default="")
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = ProviderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(name=""), name="provider_name_given", violation_error_message="Give the provider a name."
            ),
            models.CheckConstraint(
                condition=Q(url="") | Q(url__regex=ADDRESS),
                name="provider_url_form",
                violation_error_message=ADDRESS_WORDS,
            ),
            models.CheckConstraint(
                condition=Q(secret=None) | Q(("secret__regex", REFERENCE)),
                name="provider_secret_form",
                violation_error_message=REFERENCE_WORDS,
            ),
            models.CheckConstraint(
                condition=Q(slug__regex=SLUG),
                name="provider_slug_form",
                violation_error_message="Write the slug in lower case letters, digits and single hyphens.",
            ),
            models.CheckConstraint(
                condition=Q(kind="openai"),
                name="provider_kind_known",
                violation_error_message="Choose one of the kinds.",
            ),
            models.CheckConstraint(
                condition=Q(metered_by="gateway"),
                name="provider_meter_known",
                violation_error_message="Choose who meters the account.",
            ),
        ]
        triggers = [*guards.kept(fixed=["id", "slug"]), guards.audited()]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> None:
        """Providers belong to the organisation."""
        return None


class ModelQuerySet(models.QuerySet["Model"]):
    """Models by state and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The register is open to everyone who may read it anywhere: any workflow may use any model."""
        return holding(self, user, "registry.view")

    def in_use(self) -> Self:
        """Those a policy may name."""
        return self.filter(state=Model.State.ACTIVE)

    def by_size(self) -> Self:
        """With `size`, 0 for small models, 2 for frontier ones: tiers in the order of their letters mean nothing."""
        sizes = [When(tier=tier, then=Value(place)) for place, tier in enumerate(Tier.values)]
        return self.annotate(size=Case(*sizes, output_field=models.SmallIntegerField()))

    def with_current(self) -> Self:
        """With owner, team, current version and where it is served, in three queries whatever the length."""
        current = ModelVersion.objects.filter(is_current=True)
        served = Endpoint.objects.filter(active=True).select_related("environment")
        parts = (Prefetch("versions", current), Prefetch("versions__endpoints", served))
        return self.select_related("owner", "team").prefetch_related(*parts).order_by("name")

    def with_versions(self) -> Self:
        """With owner, team, versions and their endpoints, in five queries whatever the length."""
        parts = ("versions__endpoints__provider", "versions__endpoints__environment")
        return self.select_related("owner", "team").prefetch_related(*parts).order_by("name")


class Model(Identified):
    """A model under the name by which policies and requests call it."""

    class State(models.TextChoices):
        """Whether a policy may name it."""

        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"

    name = models.CharField(max_length=80, unique=True)
    title = models.CharField(max_length=120)
    tier = models.CharField(max_length=10, choices=Tier.choices)
    purpose = models.TextField()
    supplier = models.CharField(max_length=120)
    licence = models.CharField(max_length=80)
    hosting = models.CharField(max_length=10, choices=Hosting.choices)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="models")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    limitations = models.TextField("known limitations", blank=True, default="")
    forbidden_uses = models.TextField("what it is not for", blank=True, default="")
    documentation = models.URLField("where its supplier describes it", max_length=400, blank=True, default="")
    review_due = models.DateField("day on which its entry is looked at again", null=True, blank=True)

    objects = ModelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(name__regex=MODEL_NAME) & ~Q(name="auto"),
                name="model_name_form",
                violation_error_message="Write the name in lower case letters, digits and . _ : / -, each part "
                "beginning with a letter or digit; auto is taken.",
            ),
            models.CheckConstraint(
                condition=Q(tier__in=Tier.values),
                name="model_tier_known",
                violation_error_message="Choose small, mid or frontier.",
            ),
            models.CheckConstraint(
                condition=Q(hosting__in=Hosting.values),
                name="model_hosting_known",
                violation_error_message="Choose self or hosted.",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["active", "retired"]),
                name="model_state_known",
                violation_error_message="Choose active or retired.",
            ),
        ]
        triggers = [*guards.kept(fixed=["id", "name"]), guards.audited()]

    def __str__(self) -> str:
        return self.title


class ModelVersion(Identified):
    """One immutable edition of a model: its weights' digest if known, what it can take in, and what it may see."""

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    version = models.CharField(max_length=80)
    digest = models.CharField("sha256 of the weights", max_length=64, null=True, blank=True)
    context_tokens = models.PositiveIntegerField()
    data_classes = ArrayField(models.CharField(max_length=20, choices=DataClass.choices))
    regions = ArrayField(models.CharField(max_length=40))
    parameters = models.PositiveBigIntegerField("number of weights, where known", null=True, blank=True)
    training_data = models.TextField("what is said of its training data", blank=True, default="")
    is_current = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "version"],
                name="modelversion_once",
                violation_error_message="This model has a version of that name already.",
            ),
            models.UniqueConstraint(
                fields=["model"],
                condition=Q(is_current=True),
                name="modelversion_one_current",
                violation_error_message="A model has one current version.",
            ),
            models.CheckConstraint(
                condition=Q(digest=None) | Q(digest__regex=SHA256),
                name="modelversion_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(context_tokens__gt=0),
                name="modelversion_context_positive",
                violation_error_message="A model reads at least one token.",
            ),
            models.CheckConstraint(
                condition=Q(data_classes__contained_by=DataClass.values) & Q(data_classes__len__gt=0),
                name="modelversion_data_classes_known",
                violation_error_message="Name at least one data class: public, internal, confidential, restricted.",
            ),
            models.CheckConstraint(
                condition=Q(regions__len__gt=0),
                name="modelversion_regions_given",
                violation_error_message="Name at least one region.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "model_id", "version", "digest", "context_tokens", "data_classes", "regions"),
                    *("parameters", "training_data", "created_at"),
                ]
            ),
            guards.audited(within={"model": "NEW.model_id::text"}),
        ]

    def __str__(self) -> str:
        return f"{self.model.name} {self.version}"

    @property
    def clearance(self) -> str:
        """The most closely held data that it may see."""
        return max(self.data_classes, key=DataClass.values.index)

    @property
    def team_id(self) -> UUID:
        """The team of its model."""
        return self.model.team_id


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    """Endpoints as gateways are told of them."""

    def open(self) -> Self:
        """The active endpoints of current versions of active models."""
        return self.filter(active=True, version__is_current=True, version__model__state=Model.State.ACTIVE)

    def admitted(self) -> Self:
        """Those at which an admission lets their version be asked, as the database says."""
        return self.filter(pk__in=RawSQL("SELECT governance_admitted()", []))

    def served_in(self, environment: Environment) -> Self:
        """The open endpoints that may be asked in an environment, in the order they are tried."""
        return (
            self.open()
            .admitted()
            .filter(environment=environment)
            .select_related("version__model", "provider")
            .order_by("version__model__name", "position")
        )


class Endpoint(Identified):
    """An address where a version of a model is served, for one environment. Secrets are named, never held."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="endpoints")
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="endpoints")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="endpoints")
    url = models.CharField(max_length=400)
    upstream_model = models.CharField("name at the provider", max_length=200)
    region = models.CharField(max_length=40)
    hosting = models.CharField(max_length=10, choices=Hosting.choices)
    secret = models.CharField("where the gateway finds the secret", max_length=120, null=True, blank=True)
    logprobs = models.BooleanField("gives logprobs", default=False)
    timeout_ms = models.PositiveIntegerField(default=30_000)
    position = models.PositiveSmallIntegerField(default=1)
    active = models.BooleanField(default=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "environment", "position"],
                condition=Q(active=True),
                name="endpoint_one_per_position",
                violation_error_message="Another endpoint of this version has that position in this environment.",
            ),
            models.CheckConstraint(
                condition=Q(url__regex=ADDRESS),
                name="endpoint_url_form",
                violation_error_message=ADDRESS_WORDS,
            ),
            models.CheckConstraint(
                condition=Q(hosting__in=Hosting.values),
                name="endpoint_hosting_known",
                violation_error_message="Choose self or hosted.",
            ),
            models.CheckConstraint(
                condition=Q(secret=None) | Q(("secret__regex", REFERENCE)),
                name="endpoint_secret_form",
                violation_error_message=REFERENCE_WORDS,
            ),
            models.CheckConstraint(
                condition=Q(timeout_ms__gte=100) & Q(timeout_ms__lte=600_000),
                name="endpoint_timeout_range",
                violation_error_message="Choose a timeout between 100 and 600,000 ms.",
            ),
            models.CheckConstraint(
                condition=~Q(region="") & ~Q(upstream_model=""),
                name="endpoint_names_given",
                violation_error_message="Name the region and the model’s name at the provider.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "version_id", "provider_id", "environment_id", "created_at"]),
            # Where a version is asked is agreed with its admission, and stays so until another one is.
            guards.Guard(
                name="admission_is_live",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                timing=pgtrigger.Deferred,
                func="""
                    PERFORM governance_refuse_other_endpoints(NEW.version_id, NEW.environment_id);
                    RETURN NULL;
                """,
            ),
            guards.audited(
                within={
                    "change": "SELECT change_id::text FROM governance_contenthead WHERE kind = 'model'"
                    " AND model_version_id = NEW.version_id AND environment_id = NEW.environment_id"
                }
            ),
        ]

    def __str__(self) -> str:
        return f"{self.upstream_model} at {self.url}"

    @property
    def team_id(self) -> UUID:
        """The team of its model."""
        return self.version.model.team_id
