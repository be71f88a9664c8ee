"""Access tokens: what a person's own programs show to read changes and to propose them in his name."""

from datetime import datetime, timedelta
from typing import Self

import pgtrigger
from django.db import models
from django.db.models import F, Q

from governance.models import guards
from governance.models.accounts import SHA256, User
from governance.models.ids import Identified

LONGEST = timedelta(days=366)


class AccessTokenQuerySet(models.QuerySet["AccessToken"]):
    """Tokens by use."""

    def usable(self, now: datetime) -> Self:
        """Those that open something: not revoked, not over, of somebody who may sign in."""
        return self.filter(revoked_at=None, expires_at__gt=now, person__is_active=True)

    def held(self, now: datetime) -> Self:
        """Those that are neither revoked nor over, the newest first."""
        return self.filter(revoked_at=None, expires_at__gt=now).order_by("-created_at")


class AccessToken(Identified):
    """A person's own token, until a moment. Of the token itself only its hash is kept.

    It gives no right: by it its person may do what his roles let him, as far as `scope` goes, and never decide.
    """

    class Scope(models.TextChoices):
        """How far it reaches."""

        READ = "read", "Read changes, policies and simulations"
        PROPOSE = "propose", "Read, propose and simulate changes"

    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="access_tokens")
    name = models.CharField(max_length=120)
    scope = models.CharField(max_length=10, choices=Scope.choices)
    prefix = models.CharField("first letters", max_length=8, unique=True)
    sha256 = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = AccessTokenQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex=SHA256),
                name="accesstoken_sha256_form",
                violation_error_message="A token’s hash is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(prefix__regex=r"^[A-Za-z0-9]{8}$"),
                name="accesstoken_prefix_form",
                violation_error_message="A token’s first letters are eight letters or digits.",
            ),
            models.CheckConstraint(
                condition=~Q(name=""), name="accesstoken_name_given", violation_error_message="Give the token a name."
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["read", "propose"]),
                name="accesstoken_scope_known",
                violation_error_message="A token reads, or reads and proposes.",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at"), expires_at__lte=F("created_at") + LONGEST),
                name="accesstoken_within_a_year",
                violation_error_message="Choose an end within a year.",
            ),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_by=None) | Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="accesstoken_revoked_by_and_at",
                violation_error_message="A revoked token says when and by whom.",
            ),
        ]
        triggers = [
            *guards.kept(
                fixed=["id", "created_at", "person_id", "name", "scope", "prefix", "sha256", "expires_at"],
            ),
            guards.Guard(
                name="revoked_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="""
                    IF OLD.revoked_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN
                        RAISE EXCEPTION 'this access token was revoked' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            # That a token was used is no governed act.
            guards.audited("revoked_at", "revoked_by_id"),
        ]

    def __str__(self) -> str:
        return f"{self.name} (sfp_{self.prefix}…)"

    @property
    def team_id(self) -> None:
        """It is its person's, and people belong to the organisation."""
        return None
