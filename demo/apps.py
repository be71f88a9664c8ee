"""The demo as a Django application, for its command."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Installed only where SMALLFIRST_DEMO is 1."""

    name = "demo"
