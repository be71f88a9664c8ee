"""Gateways, the processes near the applications that fetch bundles and report usage, and their credentials."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.accounts import SHA256, ApiKey, User, holding
from governance.models.ids import Identified
from governance.models.registry import Environment


class GatewayQuerySet(models.QuerySet["Gateway"]):
    """Gateways by use and by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Gateways are the organisation's: whoever reads the register sees them all."""
        return holding(self, user, "registry.view")

    def with_scope(self) -> Self:
        """With all that a list of gateways shows."""
        return self.select_related("environment", "key__workflow", "created_by", "revoked_by").order_by("-id")

    def usable(self) -> Self:
        """Those whose credential is accepted; one of an application's key ends with it and its workflow."""
        held = Q(key__purpose=ApiKey.Purpose.APPLICATION, key__revoked_at=None, key__workflow__retired_at=None)
        return self.filter(Q(key=None) | held, revoked_at=None)


class Gateway(Identified):
    """A gateway of one environment, or several that share a credential. Of the credential only its hash is kept.

    One with a `key` is no process of its own: it stands for the applications that decide in process with that key.
    """

    name = models.CharField(max_length=120, unique=True)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="gateways")
    sha256 = models.CharField(max_length=64, unique=True)
    key = models.OneToOneField(ApiKey, on_delete=models.PROTECT, null=True, blank=True, related_name="gateway")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    last_seen_at = models.DateTimeField(null=True, blank=True)

    objects = GatewayQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex=SHA256),
                name="gateway_sha256_form",
                violation_error_message="A credential’s hash is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=~Q(name=""), name="gateway_name_given", violation_error_message="Give the gateway a name."
            ),
            models.CheckConstraint(
                condition=Q(revoked_by=None) | Q(revoked_at__isnull=False),
                name="gateway_revoked_by_and_at",
                violation_error_message="Who revoked a gateway stands only with the time.",
            ),
        ]
        triggers = [
            *guards.kept(fixed=["id", "name", "environment_id", "sha256", "key_id", "created_by_id"]),
            # That a gateway was seen is no governed act.
            guards.audited("revoked_at", "revoked_by_id"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def team_id(self) -> None:
        """Gateways belong to the organisation."""
        return None
