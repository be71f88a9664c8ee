"""Labelled samples of a workflow's step, in sets that never change."""

from typing import Self
from uuid import UUID

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery

from governance.models import Step, User, guards
from governance.models.accounts import SHA256, in_scope
from governance.models.ids import Identified

MOST_SAMPLES = 10_000
MOST_LABELS = 50


class SampleSetQuerySet(models.QuerySet["SampleSet"]):
    """Sets by reader and version."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the teams whose evaluations the user may see."""
        return in_scope(self, user, "evaluations.view", "step__workflow__team")

    def for_list(self) -> Self:
        """With all that a list of sets shows."""
        return self.select_related("step__workflow", "created_by")

    def newest_versions(self) -> Self:
        """Of each name of a step the newest version alone."""
        newest = SampleSet.objects.filter(step=OuterRef("step"), name=OuterRef("name")).order_by("-version")
        return self.filter(pk=Subquery(newest.values("pk")[:1]))


class SampleSet(Identified):
    """A version of a sample set for one step. Whatever is uploaded again under its name is the next version.

    `digest` is the SHA-256 over its samples' texts, labels and clusters, in their order. `erased_at` says that the
    texts are gone; labels and results stay.
    """

    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="sample_sets")
    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField()
    description = models.TextField("what it is made of", blank=True, default="")
    source = models.CharField("where its texts come from", max_length=200)
    licence = models.CharField("on which terms they are used", max_length=120)
    labels = ArrayField(models.CharField(max_length=200))
    size = models.PositiveIntegerField("number of samples")
    digest = models.CharField("sha256 over its samples", max_length=64)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    erased_at = models.DateTimeField(null=True, blank=True)

    objects = SampleSetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["step", "name", "version"],
                name="sampleset_version_once",
                violation_error_message="This step has that version of the set already.",
            ),
            models.CheckConstraint(
                condition=~Q(name="") & ~Q(source="") & ~Q(licence=""),
                name="sampleset_described",
                violation_error_message="Give the set a name, and say where its texts come from and on which terms.",
            ),
            models.CheckConstraint(
                condition=Q(version__gt=0),
                name="sampleset_version_positive",
                violation_error_message="Versions count from 1.",
            ),
            models.CheckConstraint(
                condition=Q(size__range=(1, MOST_SAMPLES)),
                name="sampleset_size_range",
                violation_error_message="A set has between 1 and 10,000 samples.",
            ),
            models.CheckConstraint(
                condition=Q(labels__len__range=(1, MOST_LABELS)),
                name="sampleset_labels_range",
                violation_error_message="A set has between 1 and 50 labels.",
            ),
            models.CheckConstraint(
                condition=Q(digest__regex=SHA256),
                name="sampleset_digest_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "created_at", "step_id", "name", "version", "description", "source", "licence", "labels"),
                    *("size", "digest", "created_by_id"),
                ]
            ),
            guards.audited(),
        ]

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.step.workflow.team_id

    def label_counts(self) -> list[tuple[str, int]]:
        """How many samples have each label, in the labels' order; one query."""
        counted = self.samples.order_by().values_list("label").annotate(n=Count("pk"))
        found: dict[str, int] = dict(counted)
        return [(label, found.get(label, 0)) for label in self.labels]

    def cluster_count(self) -> int:
        """How many clusters the samples come from; 0 where none says so."""
        return self.samples.exclude(cluster=None).values("cluster").distinct().count()


class Sample(models.Model):
    """One labelled request of a set.

    `sealed` holds its messages as canonical JSON in a box that opens with the sample's id alone; it can only be
    emptied. `signals` are the engine's numbers of them, so that policies can be replayed without the text. Samples of
    one `cluster` (a customer, a document) are not independent of each other.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    sample_set = models.ForeignKey(SampleSet, on_delete=models.PROTECT, related_name="samples", db_index=False)
    position = models.PositiveIntegerField()
    sealed = models.BinaryField(null=True)
    signals = models.JSONField()
    label = models.CharField("the right answer", max_length=200)
    cluster = models.CharField(max_length=200, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sample_set", "position"],
                name="sample_position_once",
                violation_error_message="Another sample of this set has that position.",
            ),
            models.CheckConstraint(
                condition=Q(position__gt=0),
                name="sample_position_positive",
                violation_error_message="Positions count from 1.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "sample_set_id", "position", "signals", "label", "cluster"]),
            guards.Guard(
                name="belongs",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                # Positions are unique and rows stay, so a set that has its samples gets no further one.
                func=f"""
                    IF NOT EXISTS (
                        SELECT FROM routing_sampleset s
                        WHERE s.id = NEW.sample_set_id AND NEW.position <= s.size AND NEW.label = ANY (s.labels)
                    ) THEN
                        RAISE EXCEPTION 'a sample is one of its set, with one of its labels'{guards.REFUSED}
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.Guard(
                name="only_emptied",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func=f"""
                    IF NEW.sealed IS NOT NULL AND NEW.sealed IS DISTINCT FROM OLD.sealed THEN
                        RAISE EXCEPTION 'a sample keeps its text, or loses it'{guards.REFUSED}
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.audited(within={"sampleset": "NEW.sample_set_id::text"}),
        ]

    def __str__(self) -> str:
        return f"Sample {self.position} of {self.sample_set}"

    @property
    def team_id(self) -> UUID:
        """The team of its workflow."""
        return self.sample_set.team_id

    @property
    def short(self) -> str:
        """What it is called among its own."""
        return f"sample {self.position}"
