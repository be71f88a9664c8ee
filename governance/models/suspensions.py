"""Suspensions: an admission whose condition broke, from that moment until it is attested anew."""

from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q

from governance.models import guards
from governance.models.contents import Content
from governance.models.ids import Identified


class SuspensionQuerySet(models.QuerySet["Suspension"]):
    """Suspensions by what they hold."""

    def holding(self) -> Self:
        """Those of admissions that would be live but for them."""
        heads = models.F("content__pk")
        return self.filter(content__head__content=heads)


class Suspension(Identified):
    """What broke of the conditions of one admission: the limit, the figure that was measured, and where it stands.

    It is of a content, so another one, attested by a change, is not suspended by it.
    """

    class Condition(models.TextChoices):
        """Which condition."""

        VALID_UNTIL = "valid_until", "Its time is over"
        SCORE = "score", "It scores too low"
        COST = "cost", "It costs too much"
        SERVED_AS = "served_as", "Another model answers"
        LICENCE = "licence", "Its licence is another"

    content = models.OneToOneField(Content, on_delete=models.PROTECT, related_name="suspension")
    condition = models.CharField(max_length=20, choices=Condition.choices)
    limit = models.CharField("what was agreed", max_length=200)
    figure = models.CharField("what was found", max_length=400)
    evidence = models.CharField("the page that shows it", max_length=300, blank=True)

    objects = SuspensionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(condition__in=["valid_until", "score", "cost", "served_as", "licence"]),
                name="suspension_condition_known",
                violation_error_message="Name one of the conditions.",
            ),
            models.CheckConstraint(
                condition=~Q(figure="") & ~Q(limit=""),
                name="suspension_says_what",
                violation_error_message="Say what was agreed and what was found.",
            ),
        ]
        triggers = [*guards.append_only(), guards.audited()]

    def __str__(self) -> str:
        return f"{self.get_condition_display()}: {self.figure}"

    @property
    def team_id(self) -> UUID | None:
        """The team of the model."""
        return self.content.team_id

    @property
    def said(self) -> str:
        """What broke, as a sentence without its full stop."""
        return f"{self.get_condition_display().lower()}: {self.figure}, where {self.limit} was agreed"
