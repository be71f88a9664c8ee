"""`manage.py demo_traffic`: the demo's own applications, which ask the gateway something every few seconds."""

import logging
import time
from collections.abc import Iterable
from random import Random
from typing import Any
from uuid import UUID

import httpx2
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections

from config import state as places
from demo.organisation import APPLICATIONS
from demo.traffic import Applications, Desk, Texts
from governance.models import Review


class Command(BaseCommand):
    """Runs until it is stopped, or until its keys are revoked; `up` runs it beside what serves."""

    help = "Ask the gateway over the demo’s live workflows, a request every few seconds, until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Ask on. Raises CommandError where the demo was not made."""
        # Which requests it sent, the gateway knows.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        try:
            keys = {slug: places.read_secret(settings.STATE / file) for slug, (_name, file) in APPLICATIONS.items()}
            asked = Texts.read(settings.STATE / "models")
        except FileNotFoundError as error:
            raise CommandError(f"{error.filename} is missing: start the demo with ./run up first") from error
        with httpx2.Client(base_url=settings.GATEWAY_URL, trust_env=False) as client:
            applications = Applications(
                client,
                keys=keys,
                asked=asked,
                desk=Desk(waiting, unfetched),
                draw=Random(),  # noqa: S311 (chooses texts, guards nothing)
                pause=_pause,
            )
            self.stdout.write(f"asking {settings.GATEWAY_URL}")
            applications.run()
        self.stdout.write("no key of the demo is taken any more: its applications ask nothing now")


def waiting(slug: str, step: str) -> int:
    """How many cases of a workflow's step wait for a person."""
    return Review.objects.waiting().filter(workflow__slug=slug, step=step).count()


def unfetched(slug: str) -> Iterable[UUID]:
    """What was decided about requests of a workflow's application and has not been fetched, the oldest first."""
    ended = Review.objects.filter(workflow__slug=slug, key__name=APPLICATIONS[slug][0], status__in=Review.ENDED)
    return ended.filter(delivered_at=None).order_by("ended_at").values_list("pk", flat=True)[:10]


def _pause(seconds: float) -> None:
    close_old_connections()
    time.sleep(seconds)
