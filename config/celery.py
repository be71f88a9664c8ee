"""The Celery application and everything that happens by itself, on one screen."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("smallfirst", set_as_current=True)
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    # Tasks are idempotent: one that a dying worker had in hand is done again, by another.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    task_time_limit=300,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_default_queue="smallfirst",
    timezone="UTC",
    worker_hijack_root_logger=False,
    beat_schedule_filename=str(settings.STATE / "beat-schedule"),
)
if settings.BROKER_URL.startswith(("redis", "valkey")):
    # RabbitMQ gives a dead worker's messages back at once. Here they wait for the visibility timeout, in seconds, which
    # is longer than any task; looking for them every 10 s and not every tenth time halves the wait.
    app.conf.broker_transport_options = {"visibility_timeout": 330, "unacked_restore_throttle": 1}
app.autodiscover_tasks()

# What happens by itself, and how often, in seconds. A message that nobody took by the next turn is dropped.
EVERY: dict[str, float] = {
    "governance.tasks.expire_reviews": 5,
    "governance.tasks.erase_reviews": 60,
    "governance.tasks.seal_audit": 0.5,
    "governance.tasks.anchor_audit": 10,
    "governance.tasks.verify_audit": 3600,
    "governance.tasks.forget_brakes": 3600,
    "governance.tasks.expire_changes": 60,
    "governance.tasks.keep_appointments": 5,
    "governance.tasks.end_emergencies": 5,
    "governance.tasks.deliver_notifications": 2,
    "governance.tasks.remind": 60,
    "governance.tasks.forget_notifications": 3600,
    "ledger.tasks.fold": 2,
    "ledger.tasks.ensure_partitions": 3600,
    "routing.tasks.start_due_evaluations": 30,
    "routing.tasks.evaluate": 5,
    "routing.tasks.simulate": 2,
    "routing.tasks.hold_conditions": 60,
    "routing.tasks.forget_instances": 300,
}
app.conf.beat_schedule = {
    task: {"task": task, "schedule": seconds, "options": {"expires": seconds}} for task, seconds in EVERY.items()
}
