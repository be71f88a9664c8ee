"""The Merkle log over the audit events: in which order they were sealed, what was signed, and who holds that too."""

from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.accounts import SHA256
from governance.models.audit import TransactionIdField

# The height of a stored node is a multiple of this: each stands for 256 of the row below.
HEIGHTS = 8


class AuditEpoch(models.Model):
    """The time in which one PostgreSQL cluster has held the log: its transaction ids compare, those of others do not.

    A new epoch begins by sealing whatever waits, whoever wrote it; from leaf `size` on, leaves follow (xid, id) from
    `first_xid` on. Its beginning is an audit event, so that what stands here is sealed as well.
    """

    number = models.PositiveIntegerField(primary_key=True)
    origin = models.CharField("name of the log", max_length=80)
    system_identifier = models.CharField(max_length=20)
    first_xid = TransactionIdField()
    size = models.PositiveBigIntegerField("leaves when its own began")
    began_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(number__gte=1) & Q(system_identifier__regex=r"^[0-9]+$"),
                name="auditepoch_numbered",
                violation_error_message="Epochs count from 1, and name their cluster by its number.",
            )
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"Epoch {self.number} of {self.origin}"


class AuditLeaf(models.Model):
    """The place of one event in the log. `hash` is RFC 9162's, over the event's entry hash and xid.

    Refers to its event by id alone: an event that is gone leaves its leaf, and so its gap, behind.
    """

    index = models.PositiveBigIntegerField(primary_key=True)
    event_id = models.UUIDField(unique=True)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(hash__regex=SHA256),
                name="auditleaf_hash_form",
                violation_error_message="A hash is 64 hexadecimal digits.",
            )
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"Leaf {self.index}"


class AuditNode(models.Model):
    """The root of a complete subtree: at level 1 over 256 leaves, at level 2 over 256 of those, and so on.

    What lies between is computed from these, so a proof reads a few rows whatever the log's size.
    """

    pk = models.CompositePrimaryKey("level", "index")
    level = models.PositiveSmallIntegerField()
    index = models.PositiveBigIntegerField()
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(hash__regex=SHA256) & Q(level__gte=1),
                name="auditnode_form",
                violation_error_message="A node stands above the leaves; its hash is 64 hexadecimal digits.",
            )
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"Node {self.index} of level {self.level}"


class AuditCheckpoint(models.Model):
    """What was signed about the log at one size: `note` is the signed text, the other columns repeat it for queries."""

    number = models.PositiveBigIntegerField(primary_key=True)
    size = models.PositiveBigIntegerField()
    root = models.CharField(max_length=64)
    at = models.DateTimeField()
    note = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(root__regex=SHA256) & Q(number__gte=1) & Q(size__gte=1),
                name="auditcheckpoint_form",
                violation_error_message="A checkpoint speaks of at least one leaf; its root is 64 hexadecimal digits.",
            )
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"Checkpoint {self.number} at {self.size}"


class Anchor(models.Model):
    """A place that is given every checkpoint to hold, and how far it is. What proves something is what lies there."""

    class Kind(models.TextChoices):
        """What kind of place."""

        FILE = "file", "File"
        GIT = "git", "Git repository"
        WEBHOOK = "webhook", "Webhook"

    # Those whose owner may be somebody else than this machine's.
    APART = (Kind.GIT, Kind.WEBHOOK)

    kind = models.CharField(max_length=10, choices=Kind.choices, primary_key=True)
    place = models.CharField(max_length=400)
    held = models.PositiveBigIntegerField("number of the last checkpoint it took", default=0)
    held_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failure = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["file", "git", "webhook"]),
                name="anchor_kind_known",
                violation_error_message="An anchor is a file, a git repository or a webhook.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.place}"
