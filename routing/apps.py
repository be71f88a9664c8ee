"""Registers the app."""

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    """Bundles and state feeds for gateways."""

    name = "routing"
    default_auto_field = "django.db.models.BigAutoField"
