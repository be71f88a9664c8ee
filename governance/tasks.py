"""What governance does by itself; config/celery.py says how often."""

import contextlib
from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from governance import (
    anchors,
    appointments,
    brakes,
    changes,
    deliveries,
    emergencies,
    reminders,
    reviews,
    seals,
    verifications,
)
from governance.audit_lines import NoLogError


@shared_task
def expire_reviews() -> None:
    """End the reviews whose time is over."""
    reviews.expire_due(now=timezone.now())


@shared_task
def erase_reviews() -> None:
    """Erase what cases said that their workflow keeps no longer."""
    reviews.erase_due(now=timezone.now())


@shared_task
def seal_audit() -> None:
    """Bring what was written into the Merkle log, and sign it when that is due."""
    seals.seal(keys=Path(settings.KEYS), now=timezone.now())


@shared_task
def forget_brakes() -> None:
    """Delete tries of passwords that count no more."""
    brakes.forget(now=timezone.now())


@shared_task
def expire_changes() -> None:
    """End the changes that waited longer than their rule lets them."""
    changes.expire_due(now=timezone.now())


@shared_task
def keep_appointments() -> None:
    """Make the changes live whose moment has come."""
    appointments.keep_due(now=timezone.now())


@shared_task
def end_emergencies() -> None:
    """Take back what is live by an emergency whose time is over."""
    emergencies.end_due(now=timezone.now())


@shared_task
def deliver_notifications() -> None:
    """Tell people and webhooks what is due."""
    deliveries.deliver_due(clock=timezone.now)


@shared_task
def remind() -> None:
    """Tell once more what waits for longer than it should."""
    reminders.remind_due(now=timezone.now())


@shared_task
def forget_notifications() -> None:
    """Delete notifications that nobody looks back to any more."""
    deliveries.forget(now=timezone.now())


@shared_task
def anchor_audit() -> None:
    """Give checkpoints to the places that hold them too."""
    anchors.hold(places=settings.AUDIT_ANCHORS, clock=timezone.now)


@shared_task
def verify_audit() -> None:
    """Compare the whole audit log with itself, and with what its anchors on this machine hold."""
    places = [settings.AUDIT_ANCHORS[kind] for kind in ("file", "git") if settings.AUDIT_ANCHORS[kind]]
    with contextlib.suppress(NoLogError):
        verifications.run(keys=Path(settings.KEYS), places=places, now=timezone.now())
