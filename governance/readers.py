"""Whose figures and requests a person may read: found once for a page, then asked of every list on it."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Self
from uuid import UUID

from django.db.models import QuerySet

from governance import accounts
from governance.models import User, Workflow
from governance.models.accounts import reach


@dataclass(frozen=True)
class Reader:
    """Whose workflows a person may read in one respect: those of these teams; None is all teams."""

    teams: frozenset[UUID] | None

    @classmethod
    def of(cls, user: User, act: str) -> Self:
        """Return whose workflows a person may read by an act; one query. Raises NotPermitted if they are nobody's."""
        teams = reach(user, act)
        if teams is not None and not teams:
            accounts.require(user, act)
        return cls(teams)

    @property
    def readable(self) -> QuerySet[Workflow]:
        """The workflows, in no order."""
        return Workflow.objects.all() if self.teams is None else Workflow.objects.filter(team__in=self.teams)

    @cached_property
    def workflows(self) -> list[Workflow]:
        """The workflows, by name, with little more of each; one query, when they are first asked for."""
        return list(self.readable.order_by("name").only("slug", "name", "risk", "data_class"))

    @property
    def keys(self) -> Collection[UUID] | None:
        """The keys of the workflows, None where all may be read.

        Named one by one: the database then knows how many they are, and how to find the newest among them.
        """
        return None if self.teams is None else [each.pk for each in self.workflows]

    def workflow(self, slug: str) -> Workflow | None:
        """The workflow of this slug, where it may be read."""
        return next((each for each in self.workflows if each.slug == slug), None) if slug else None
