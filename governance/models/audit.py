"""Audit events: who did what to what, when and why, written once; and their bodies, which can be erased."""

from typing import TYPE_CHECKING, Any, Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func, Q

from governance.models import guards
from governance.models.accounts import SHA256, User, in_scope
from governance.models.ids import new_id

if TYPE_CHECKING:
    _Whole = models.BigIntegerField[int, int]
else:
    _Whole = models.BigIntegerField


class TransactionIdField(_Whole):
    """PostgreSQL's xid8, the number of the transaction that wrote the row; comparable within one cluster only."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """The column's type."""
        return "xid8"

    def from_db_value(self, value: str | None, *_: Any) -> int | None:
        """The driver knows no xid8 and hands over text."""
        return None if value is None else int(value)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Text, which the server reads as an xid8; it would not compare one with a bigint."""
        return str(value) if isinstance(value, int) else value


class CurrentTransaction(Func):
    """The number of the transaction that is writing."""

    function = "pg_current_xact_id"
    template = "%(function)s()"
    output_field = TransactionIdField()


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Events by object, person and reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of teams whose audit the user may read; those of no team need a grant for the organisation."""
        return in_scope(self, user, "audit.view", "team")

    def about(self, row: models.Model) -> Self:
        """Those of one object."""
        return self.filter(object_type=row._meta.model_name, object_id=str(row.pk))

    def newest_first(self) -> Self:
        """In the order of a list."""
        return self.order_by("-at", "-id")


class AuditEvent(models.Model):
    """One governed act. Stands alone: it refers to nothing by foreign key, so nothing can take it along.

    `entry_hash` is the SHA-256 of the event's canonical bytes (governance.audit.canonical_bytes); `xid` is a cursor for
    whoever reads on in commit order, and no part of them.
    """

    class ActorKind(models.TextChoices):
        """What kind of actor it was."""

        PERSON = "person", "Person"
        SERVICE = "service", "Service"

    class Outcome(models.TextChoices):
        """Whether the act came about."""

        DONE = "done", "Done"
        REFUSED = "refused", "Refused"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    xid = TransactionIdField(db_default=CurrentTransaction(), editable=False)
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    actor_id = models.CharField(max_length=80)
    actor_name = models.CharField(max_length=120)
    on_behalf_of = models.CharField(max_length=80, null=True)
    auth_method = models.CharField(max_length=40, null=True)
    # Text: PostgreSQL would write an inet its own way, and the hash is of the text.
    ip = models.CharField(max_length=45, null=True)
    request_id = models.CharField(max_length=120, null=True)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=80)
    object_name = models.CharField(max_length=250)
    object_version = models.CharField(max_length=80, null=True)
    team = models.UUIDField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    summary = models.TextField()
    reason = models.TextField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    body_digest = models.CharField("sha256 of salt and body", max_length=64, null=True)
    schema = models.PositiveSmallIntegerField()
    entry_hash = models.CharField(max_length=64)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["xid", "object_id"], name="auditevent_written"),
            models.Index(fields=["-at", "-id"], name="auditevent_at"),
            models.Index(fields=["object_type", "object_id", "-at"], name="auditevent_object"),
            models.Index(fields=["actor_id", "-at"], name="auditevent_actor"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(actor_kind__in=["person", "service"]),
                name="auditevent_actor_kind_known",
                violation_error_message="An actor is a person or a service.",
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["done", "refused"]),
                name="auditevent_outcome_known",
                violation_error_message="An act is done or refused.",
            ),
            models.CheckConstraint(
                condition=Q(entry_hash__regex=SHA256) & (Q(body_digest=None) | Q(body_digest__regex=SHA256)),
                name="auditevent_digests_form",
                violation_error_message="A digest is 64 hexadecimal digits.",
            ),
            models.CheckConstraint(
                condition=Q(action__regex=r"^[a-z_]+\.[a-z_]+$") & ~Q(summary="") & ~Q(actor_id="") & ~Q(object_id=""),
                name="auditevent_says_what",
                violation_error_message="An event names actor, object and act, and says in a sentence what was done.",
            ),
        ]
        triggers = guards.append_only()

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.summary}"


class AuditBody(models.Model):
    """Personal data of an event. The event commits to SHA-256(salt + canonical body), so it can go without a trace left
    open: with the salt gone too, nobody can guess what stood here.

    It is written once and erased at most once, whole, and only together with an event that says so. The application has
    no right to change the table: it calls `governance_erase_auditbody`, which does nothing else (migration 0003).
    """

    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, primary_key=True, related_name="body")
    salt = models.BinaryField(null=True)
    content = models.JSONField(null=True)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(erased_at=None, salt__isnull=False, content__isnull=False)
                | Q(erased_at__isnull=False, salt=None, content=None),
                name="auditbody_there_or_erased",
                violation_error_message="A body is there, or it is erased whole and says when.",
            )
        ]
        triggers = [
            *guards.kept(fixed=("event_id",)),
            guards.Guard(
                name="erased_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func="""
                    IF OLD.erased_at IS NOT NULL OR NEW.erased_at IS NULL THEN
                        RAISE EXCEPTION '% rows are never changed, only erased, and once', TG_TABLE_NAME
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            guards.Guard(
                name="erasure_told",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                timing=pgtrigger.Deferred,
                func="""
                    IF NOT EXISTS (
                        SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()
                            AND object_id = NEW.event_id::text AND object_type || '' = 'auditevent'
                            AND action = 'audit_bodies.erase'
                    ) THEN
                        RAISE EXCEPTION 'a body was erased without an audit event in the same transaction'
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NULL;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"Body of {self.event_id}"
