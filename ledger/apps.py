"""Registers the app."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Usage, decisions, prices, charges and the spend pages."""

    name = "ledger"
    default_auto_field = "django.db.models.BigAutoField"
