"""What routing does by itself; config/celery.py says how often."""

from celery import shared_task
from django.utils import timezone

from routing import evaluations, instances, measuring, simulating


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
def forget_instances() -> None:
    """Delete the instances that were not heard for long."""
    instances.forget(now=timezone.now())
