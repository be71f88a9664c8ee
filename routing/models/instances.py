"""Instances: the processes behind gateways' credentials and API keys, and what each runs, as they say themselves."""

from typing import Any

from django.db import models
from django.db.models import Case, F, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce

from governance.models import Gateway
from governance.models.ids import Identified
from routing.models.feeds import Bundle
from smallfirst.instances import MOST_HOST


class InstanceQuerySet(models.QuerySet["Instance"]):
    """Instances with what a list of them shows."""

    def with_standing(self) -> "models.QuerySet[Any]":
        """With `newest` (the last serial there), `bundle` and `issued_at` of the one that it holds, and `standing`.

        Standing: `newest`, `older`, or `none` for one that holds nothing yet.
        """
        issued = Bundle.objects.filter(environment=OuterRef("gateway__environment"))
        return self.annotate(
            newest=Subquery(issued.order_by("-serial").values("serial")[:1]),
            bundle=Subquery(issued.filter(serial=OuterRef("held")).values("pk")[:1]),
            issued_at=Subquery(issued.filter(serial=OuterRef("held")).values("issued_at")[:1]),
            standing=Case(
                When(held=None, then=Value("none")),
                When(held__gte=Coalesce(F("newest"), 0), then=Value("newest")),
                default=Value("older"),
            ),
        )


class Instance(Identified):
    """One process that asks for documents. No governed act: it is written when it says something else, else each half
    minute, and forgotten.

    `name` is its own (empty where it gives none), `held` the serial of the bundle it has, `proof` what that bundle's
    proof came to (empty where it checks none), `refused` why it will not take a newer one, if so.
    """

    gateway = models.ForeignKey(Gateway, on_delete=models.PROTECT, related_name="instances")
    name = models.CharField(max_length=36, blank=True, default="")
    host = models.CharField(max_length=MOST_HOST, blank=True, default="")
    program = models.CharField(max_length=60, blank=True, default="")
    version = models.CharField(max_length=40, blank=True, default="")
    held = models.PositiveBigIntegerField("serial of the bundle it has", null=True, blank=True)
    proof = models.CharField(max_length=40, blank=True, default="")
    refused = models.CharField(max_length=40, blank=True, default="")
    last_seen_at = models.DateTimeField()

    objects = InstanceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["gateway", "name"],
                name="instance_name_once",
                violation_error_message="This gateway has an instance of that name already.",
            ),
        ]
        indexes = [models.Index(fields=["last_seen_at"], name="instance_seen")]

    def __str__(self) -> str:
        return self.host or self.name or "unnamed"

    @property
    def short_name(self) -> str:
        """The end of its name, by which people tell two of one host apart."""
        return self.name[-6:]
