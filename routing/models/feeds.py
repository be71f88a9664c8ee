"""What gateways were sent: snapshots by digest, signed bundles by serial, and the state feed of each environment."""

import pgtrigger
from django.db import models
from django.utils import timezone

from governance.models import Environment, guards
from governance.models.accounts import SHA256
from governance.models.ids import Identified


class Snapshot(models.Model):
    """All that decisions depend on, as one canonical JSON text. Kept as long as a decision may name it: for good."""

    digest = models.CharField("sha256 of the text", primary_key=True, max_length=64)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="snapshot_digest_form",
                condition=models.Q(digest__regex=SHA256),
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return self.digest


class BundleQuerySet(models.QuerySet["Bundle"]):
    """Bundles by environment and age."""

    def newest(self, environment: Environment) -> "Bundle | None":
        """Return the last one issued, its envelope not yet read from the database."""
        return self.filter(environment=environment).defer("envelope").order_by("-serial").first()


class Bundle(Identified):
    """One signed snapshot as gateways of an environment got it.

    `digest` covers all that the envelope says but its serial and times; `stamp` is the state of the rows in which this
    content was last found to be theirs. `proof` shows that the audit log holds the entry of the issue (JSON of
    smallfirst.seal.Proof); empty until that is sealed.
    """

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="bundles")
    serial = models.PositiveBigIntegerField()
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="bundles")
    digest = models.CharField(max_length=64)
    stamp = models.CharField(max_length=64)
    envelope = models.TextField()
    proof = models.TextField(blank=True, default="", db_default="")
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects = BundleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "serial"],
                name="bundle_serial_once",
                violation_error_message="This environment has a bundle of that serial already.",
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("issued_at")),
                name="bundle_expires_after_issue",
                violation_error_message="A bundle expires after it is issued.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=[
                    *("id", "created_at", "environment_id", "serial", "snapshot_id", "digest", "envelope"),
                    *("issued_at", "expires_at"),
                ]
            ),
            guards.audited("serial"),
            guards.Guard(
                name="proved_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="IF OLD.proof <> '' AND NEW.proof <> OLD.proof THEN "
                f"RAISE EXCEPTION 'a bundle keeps its proof'{guards.REFUSED} END IF; RETURN NEW;",
            ),
        ]

    def __str__(self) -> str:
        return f"Bundle {self.serial} for {self.environment}"

    @property
    def team_id(self) -> None:
        """Bundles belong to the organisation."""
        return None


class StateFeedQuerySet(models.QuerySet["StateFeed"]):
    """State feeds by environment."""

    def of(self, environment: Environment) -> "StateFeed | None":
        """Return the environment's, its envelope not yet read from the database."""
        return self.filter(environment=environment).defer("envelope").first()


class StateFeed(models.Model):
    """What gateways of an environment are told at once: keys and stops, signed anew every half minute.

    Only the newest is kept: it says nothing that the audit does not. `digest` and `stamp` are as in a bundle.
    """

    environment = models.OneToOneField(
        Environment, on_delete=models.PROTECT, primary_key=True, related_name="state_feed"
    )
    serial = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64)
    stamp = models.CharField(max_length=64)
    envelope = models.TextField()
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects = StateFeedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("issued_at")),
                name="statefeed_expires_after_issue",
                violation_error_message="A state expires after it is issued.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["environment_id"]),
            guards.Guard(
                name="serial_rises",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func=f"""
                    IF NEW.serial < OLD.serial OR (NEW.serial = OLD.serial AND NEW.envelope <> OLD.envelope) THEN
                        RAISE EXCEPTION 'the serial of a state rises with every issue'{guards.REFUSED}
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"State {self.serial} for {self.environment}"
