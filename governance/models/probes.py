"""Probes: what came of trying an endpoint from the control plane."""

from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.accounts import User
from governance.models.ids import Identified
from governance.models.registry import Endpoint


class ProbeQuerySet(models.QuerySet["Probe"]):
    """Probes by endpoint and time."""

    def newest(self) -> Self:
        """The last one of each endpoint, with who tried it."""
        return self.select_related("tried_by").order_by("endpoint", "-created_at", "-id").distinct("endpoint")


class Probe(Identified):
    """One try of an endpoint and what came of it, in a word and in a sentence. Neither key nor answer is kept."""

    class Outcome(models.TextChoices):
        """What came of it."""

        LISTED = "listed", "Lists the model"
        ANSWERED = "answered", "The model answered"
        NOT_LISTED = "not_listed", "Does not list the model"
        KEY_MISSING = "key_missing", "Asks for a key"
        KEY_REFUSED = "key_refused", "Refused the key"
        NOT_FOUND = "not_found", "Nothing at this address"
        REFUSED = "refused", "Refused the connection"
        UNKNOWN_HOST = "unknown_host", "No such host"
        TIMEOUT = "timeout", "No answer in time"
        TLS = "tls", "Not secure"
        FORBIDDEN = "forbidden", "Never asked"
        FAILED = "failed", "Failed"

    REACHED = (Outcome.LISTED, Outcome.ANSWERED)

    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="probes")
    url = models.CharField("its address at that time", max_length=400)
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    text = models.TextField("what came of it, in words")
    tried_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    objects = ProbeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    outcome__in=[
                        *("listed", "answered", "not_listed", "key_missing", "key_refused", "not_found", "refused"),
                        *("unknown_host", "timeout", "tls", "forbidden", "failed"),
                    ]
                ),
                name="probe_outcome_known",
                violation_error_message="Choose one of the outcomes.",
            )
        ]
        indexes = [models.Index(fields=["endpoint", "-created_at"], name="probe_newest")]
        triggers = [*guards.append_only(), guards.audited()]

    def __str__(self) -> str:
        return f"Try of {self.url}"

    @property
    def team_id(self) -> UUID:
        """The team of the endpoint's model."""
        return self.endpoint.version.model.team_id

    @property
    def level(self) -> str:
        """How it is shown: good where a request would get through, warn where something is missing, else bad."""
        if self.outcome in self.REACHED:
            return "good"
        return "warn" if self.outcome in (self.Outcome.NOT_LISTED, self.Outcome.KEY_MISSING) else "bad"
