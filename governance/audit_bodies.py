"""Audit bodies: the personal part of an entry, and the verb that erases it without breaking a proof."""

from datetime import datetime

from django.db import connection, transaction

from governance import audit
from governance.accounts import ORGANISATION, require
from governance.errors import InvalidInput
from governance.models import AuditBody, AuditEvent, User

_ERASE = "SELECT governance_erase_auditbody(%s, %s)"


@transaction.atomic
def erase(*, event: AuditEvent, reason: str, by: User, now: datetime) -> AuditBody:
    """Erase the personal part of an entry, its salt with it; the entry, its leaf and all proofs stay as they are.

    Nobody can find out afterwards what stood there, not by trying either. Raises NotPermitted, and InvalidInput without
    a reason, for an entry that has no personal part, and for one whose part was erased before.
    """
    require(by, "audit_bodies.erase", ORGANISATION)
    if not reason.strip():
        raise InvalidInput("reason: say who asked for it, and why", field="reason")
    held = AuditBody.objects.filter(pk=event.pk).first()
    if held is None:
        raise InvalidInput("This entry has no personal part.")
    with connection.cursor() as cursor:
        cursor.execute(_ERASE, [event.pk, now])
        (erased,) = cursor.fetchone()
    if not erased:
        raise InvalidInput("Its personal part was erased already.")
    held.refresh_from_db()
    audit.record(
        action="audit_bodies.erase",
        actor=by,
        object=event,
        # What the entry is about may be called by a name: that stays out.
        summary=f"Erased the personal part of an entry ({event.action})",
        before={"erased_at": None},
        after={"erased_at": held.erased_at},
        reason=reason,
    )
    return held
