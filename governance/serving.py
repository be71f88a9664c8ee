"""What holds above the policy of a workflow, and whether a policy can serve under it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from governance import exceptions, standards
from governance.models import Environment, Workflow
from governance.standards import Live
from smallfirst import engine
from smallfirst.engine import Held, Policy, Problem, Registry
from smallfirst.engine.policy import DataClass, Guards, Risk


@dataclass(frozen=True)
class Above:
    """Risk and class that a workflow declares, its regions as guards, the standards and what it is held to of them."""

    data_class: DataClass
    risk: Risk
    guards: Guards | None
    standards: tuple[engine.StandardVersion, ...]
    held: tuple[Held, ...]

    def problems(self, policy: Policy, registry: Registry) -> list[Problem]:
        """Return every problem that a policy has under all of this."""
        return engine.validate(
            policy,
            msgspec.structs.replace(registry, standards=self.standards),
            data_class=self.data_class,
            risk=self.risk,
            guards=self.guards,
            standards=self.held,
        )


@dataclass(frozen=True)
class Inherited:
    """The standards that are live in an environment, and from which parts workflows are excepted there by key."""

    standards: list[Live]
    exceptions: Mapping[UUID, Mapping[str, set[str]]]

    def held(self, workflow: Workflow) -> tuple[Held, ...]:
        """Return what a workflow is held to."""
        return standards.holding(workflow, self.standards, self.exceptions.get(workflow.pk, {}))

    def above(self, workflow: Workflow, entry: Mapping[str, Any] | None = None) -> Above:
        """Return what holds above a workflow's policy, as its row says or as another entry would."""
        said = entry or {name: getattr(workflow, name) for name in ("risk", "data_class", "regions")}
        held = self.held(workflow)
        known = {each.standard for each in held}
        return Above(
            data_class=msgspec.convert(str(said["data_class"]), DataClass),
            risk=msgspec.convert(str(said["risk"]), Risk),
            guards=Guards(regions=tuple(said["regions"])) if said["regions"] else None,
            standards=tuple(version for each in self.standards if (version := each.version).id in known),
            held=held,
        )


def inherited(environment: Environment, today: date | None = None) -> Inherited:
    """Return what the workflows of an environment inherit on a day, today if none is named; two queries."""
    found = exceptions.in_force(environment, today or exceptions.day_of(timezone.now()))
    return Inherited(standards.live_in(environment), found)


def newly(before: Iterable[Problem], after: Iterable[Problem]) -> list[Problem]:
    """Return the problems that are there only after; what could not serve before is not broken anew by other words."""
    known = {each.path for each in before}
    return [each for each in after if each.path not in known]
