"""How the verbs of webhooks and preferences are played, for the test that every verb must pass."""

from collections.abc import Callable
from typing import Any

from django.test import override_settings
from django.utils import timezone

from governance import preferences, webhooks
from governance.models import Delivery, Webhook
from tests.cast import Cast

Act = Callable[[], object]


def of_notifications(cast: Cast) -> dict[str, Callable[[], Act]]:
    """Each verb by its name: the preparation, which returns the act itself."""
    facts: dict[str, Any] = {"kinds": ["stop.begun"], "owner": cast.lead, "by": cast.admin}

    def add() -> Webhook:
        # No webhook leads here: a test says so and connects to nothing.
        with override_settings(WEBHOOK_ORIGINS={"http://127.0.0.1:9"}):
            return webhooks.add(name="Chat", form="signed", url="http://127.0.0.1:9/", **facts)[0]

    def of_webhook(verb: Callable[..., object], **given: Any) -> Callable[[], Act]:
        def prepare() -> Act:
            made = add()
            return lambda: verb(webhook=made, by=cast.lead, **given)

        return prepare

    def send_again() -> Act:
        made = webhooks.send_test(webhook=add(), by=cast.lead, clock=timezone.now)
        return lambda: webhooks.send_again(delivery=Delivery.objects.get(pk=made.pk), by=cast.lead, now=timezone.now())

    now = timezone.now()
    return {
        "preferences.choose": lambda: (
            lambda: preferences.choose(person=cast.owner, choices={"stop.begun": "daily"}, by=cast.owner)
        ),
        "webhooks.add": lambda: add,
        "webhooks.edit": of_webhook(webhooks.edit, name="Other", url="", kinds=["stop.lifted"], owner=cast.owner),
        "webhooks.renew_secret": of_webhook(webhooks.renew_secret, now=now),
        "webhooks.send_test": of_webhook(webhooks.send_test, clock=timezone.now),
        "webhooks.send_again": send_again,
        "webhooks.close": of_webhook(webhooks.close, reason="unused", now=now),
    }
