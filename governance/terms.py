"""Terms: when which version of a policy was live, read from the changes that made it so, which are kept for good."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from governance.models import Change, Stop, User

# A bar this long, in thousandths of its line, has room for three digits.
ROOM = 80
# What a row of terms shows.
_SHOWN = (
    *("workflow", "environment", "revision__version", "applied_by", "rollback", "emergency", "reverts"),
    "workflow__team",
)


def of(user: User) -> "QuerySet[Any]":
    """All terms that a person may read of, the newest first: changes with `until`, None for one that lasts."""
    terms = Change.objects.visible_to(user).terms().select_related(*_SHOWN)
    return terms.order_by("-applied_at", "-number")


def at(terms: "QuerySet[Any]", moment: datetime) -> "QuerySet[Any]":
    """Those of these terms that lasted at a moment."""
    return terms.filter(Q(until=None) | Q(until__gt=moment), applied_at__lte=moment)


@dataclass(frozen=True)
class Stopped:
    """What was stopped at a moment: each of these stops held."""

    stops: tuple[Stop, ...]

    def of(self, term: Any) -> Stop | None:
        """The stop that kept a term's policy, or a model on its ladders, from being used; that of everything first."""
        models = models_of(term)
        for stop in self.stops:
            everything = stop.workflow_id is None and stop.model_id is None
            if everything or stop.workflow_id == term.workflow_id or (stop.model and stop.model.name in models):
                return stop
        return None


def stopped(moment: datetime) -> Stopped:
    """What was stopped at a moment. One query."""
    held = Stop.objects.filter(Q(lifted_at=None) | Q(lifted_at__gt=moment), created_at__lte=moment)
    stops = held.select_related("model", "workflow").order_by("created_at")
    return Stopped(tuple(sorted(stops, key=lambda each: (each.workflow_id or each.model_id) is not None)))


def models_of(term: Any) -> list[str]:
    """The models on the ladders of a term's policy, each once, in the order of the ladders."""
    steps = term.revision.version.document.get("steps", [])
    return list(dict.fromkeys(rung["model"] for step in steps for rung in step.get("ladder", [])))


@dataclass(frozen=True)
class Bar:
    """A term as a timeline draws it: where it begins and how long it is, in thousandths of the line."""

    term: Any
    x: int
    width: int

    @property
    def begins(self) -> str:
        """Where it begins, as a drawing takes it."""
        return f"{self.x / 10:.1f}%"

    @property
    def lasts(self) -> str:
        """How long it is, as a drawing takes it."""
        return f"{self.width / 10:.1f}%"

    @property
    def middle(self) -> str:
        """Where its version stands, as a drawing takes it."""
        return f"{self.x / 10 + self.width / 20:.1f}%"

    @property
    def has_room(self) -> bool:
        """Whether its version can stand in it, also on a narrow screen."""
        return self.width >= ROOM


def timeline(terms: Collection[Any], *, now: datetime) -> tuple[datetime, list[tuple[str, list[Bar]]]]:
    """Return when the line begins, and for each environment its terms on the line, the oldest first.

    The line runs from the oldest of the terms to now. Raises ValueError without any.
    """
    if not terms:
        raise ValueError("there is no line without a term")
    begin = min(term.applied_at for term in terms)
    whole = max(now - begin, timedelta(seconds=1))
    lines: dict[str, list[Bar]] = {}
    for term in sorted(terms, key=lambda each: each.applied_at):
        x = round((term.applied_at - begin) / whole * 1000)
        end = round(((term.until or now) - begin) / whole * 1000)
        # One that lasted for a moment is still seen.
        lines.setdefault(term.environment.name, []).append(Bar(term, x, max(2, end - x)))
    return begin, sorted(lines.items())
