"""What governance does by itself; config/celery.py says how often."""

from celery import shared_task
from django.utils import timezone

from governance import reviews


@shared_task
def expire_reviews() -> None:
    """End the reviews whose time is over."""
    reviews.expire_due(now=timezone.now())


@shared_task
def erase_reviews() -> None:
    """Erase what cases said that their workflow keeps no longer."""
    reviews.erase_due(now=timezone.now())
