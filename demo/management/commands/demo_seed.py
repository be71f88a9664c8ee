"""`manage.py demo_seed`: the demo's organisation, made once; later starts only follow the model servers' addresses."""

import os
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from demo import organisation, removal
from demo.register import Servers


class Command(BaseCommand):
    """Idempotent; `up` runs it at every start."""

    help = "Make Harbour & Vale, the demo’s organisation, or bring it up to date."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Make an installation's first rows, seed, then write what `up` prints.

        Raises CommandError where the demo was removed.
        """
        if (settings.STATE / removal.MARK).exists():
            raise CommandError("The demo was removed from here: start it elsewhere, with --state DIR.")
        call_command("bootstrap", stdout=self.stdout)
        servers = Servers(
            classifiers=os.environ.get("SMALLFIRST_DEMO_CLASSIFIERS_URL", "http://127.0.0.1:8011/v1"),
            smollm2=os.environ.get("SMALLFIRST_DEMO_SMOLLM2_URL", "http://127.0.0.1:8012/v1"),
        )
        organisation.seed(state=settings.STATE, servers=servers, gateway_url=settings.GATEWAY_URL, now=timezone.now())
