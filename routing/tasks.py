"""What routing does by itself; config/celery.py says how often."""

from zoneinfo import ZoneInfo

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from routing import conditions, evaluations, instances, measuring, simulating


@shared_task
def start_due_evaluations() -> None:
    """Start the evaluations that schedules say are due."""
    evaluations.start_due(now=timezone.now())


@shared_task
def evaluate() -> None:
    """Work on one chunk of an evaluation, if one waits, and ring for the next."""
    if measuring.work():
        evaluate.delay()


@shared_task
def simulate() -> None:
    """Work on one simulation, if one waits, and ring for the next."""
    if simulating.work():
        simulate.delay()


@shared_task
def hold_conditions() -> None:
    """Suspend the models of whose admission a condition broke."""
    now = timezone.now()
    conditions.hold(now=now, today=now.astimezone(ZoneInfo(settings.REPORTING_TIME_ZONE)).date())


@shared_task
def forget_instances() -> None:
    """Delete the instances that were not heard for long."""
    instances.forget(now=timezone.now())
