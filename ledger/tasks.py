"""What the ledger does by itself; config/celery.py says how often."""

from datetime import UTC
from zoneinfo import ZoneInfo

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from governance.audit import Service
from ledger import partitions, prices, rollups


@shared_task
def fold() -> None:
    """Price and count what gateways reported."""
    # First, so that a model registered since the last fold has its price before its first attempt is charged.
    prices.seed_list_prices(now=timezone.now(), by=Service("list prices"))
    rollups.fold_all(zone=ZoneInfo(settings.REPORTING_TIME_ZONE))


@shared_task
def ensure_partitions() -> None:
    """Have partitions ready for the months to come."""
    partitions.ensure_ahead(today=timezone.now().astimezone(UTC).date())
