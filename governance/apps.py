"""The Django app of the nouns that everything else refers to."""

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    """Who, which model, which policy, what was decided."""

    name = "governance"
