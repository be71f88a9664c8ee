"""Coordination, measured: how long changes take to become live, on whom they wait, what has no owner, what repeats."""

import json
import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F, Q

from governance.models import Change, Model, PolicyHead, User, Workflow
from governance.models.changes import ChangeQuerySet
from governance.models.registry import ModelQuerySet
from governance.models.workflows import WorkflowQuerySet
from governance.votes import VOTABLE


@dataclass(frozen=True)
class Pace:
    """How long changes took from being proposed to being live: how many there were, their median and 90th percentile.

    Where they fall between two that occurred they are interpolated (statistics.quantiles, inclusive); None of none.
    Changes that have no environment are told by their `kind`.
    """

    environment: str
    kind: str
    count: int
    median: timedelta | None
    p90: timedelta | None

    @property
    def where(self) -> str:
        """The environment, or what has none; empty for all together."""
        return Change.Kind(self.kind).label if self.kind else self.environment


@dataclass(frozen=True)
class Waiting:
    """An open change, and on whom it waits: people who may vote on it and have not, or in words on what else."""

    change: Change
    voters: tuple[str, ...]
    otherwise: str


@dataclass(frozen=True)
class Ownerless:
    """A workflow or model whose owner may no longer sign in, and neither may a deputy."""

    thing: Workflow | Model
    owner: User


@dataclass(frozen=True)
class Repeated:
    """The same guards, written into the live policies of several workflows of one environment."""

    guards: dict[str, object]
    environment: str
    workflows: tuple[tuple[str, str], ...]


def pace(changes: ChangeQuerySet, *, since: datetime) -> list[Pace]:
    """Return how long the changes that became live since a moment took, together first, then by environment; one query.

    Together is named "" as its environment and as its kind, what has no environment by its kind. Roll-backs and
    emergencies, which wait for nobody, are not counted.
    """
    applied = changes.by_road("proposed").filter(applied_at__gte=since).order_by("environment__position")
    took: dict[tuple[str, str], list[float]] = {("", ""): []}
    told = applied.values_list("environment__name", "kind", "created_at", "applied_at")
    for environment, kind, proposed, live in told:
        for place in (("", ""), (environment, "") if environment else ("", kind)):
            took.setdefault(place, []).append((live - proposed).total_seconds() if live else 0.0)
    return [_pace(*place, seconds) for place, seconds in took.items()]


def waiting(changes: ChangeQuerySet, *, most: int) -> list[Waiting]:
    """Return the open changes that wait longest, at most so many, and on whom; three queries."""
    found = list(
        changes.open().filter(Q(workflow=None) | Q(workflow__retired_at=None)).for_list().order_by("created_at")[:most]
    )
    voters = _voters([each.pk for each in found])
    return [Waiting(each, tuple(voters.get(each.pk, ())), _otherwise(each, voters)) for each in found]


def ownerless(workflows: WorkflowQuerySet, models: ModelQuerySet) -> list[Ownerless]:
    """Return those whose owner, and deputy where there is one, may no longer sign in; two queries."""
    left = workflows.filter(owner__is_active=False).exclude(deputy__is_active=True).select_related("owner")
    found = [Ownerless(workflow, workflow.owner) for workflow in left.order_by("name")]
    of_models = models.filter(owner__is_active=False).select_related("owner").order_by("name")
    return [*found, *(Ownerless(model, model.owner) for model in of_models)]


def repeated(user: User) -> list[Repeated]:
    """Return guards that stand alike in the live policies of two workflows or more that a person may read; one query.

    Guards that narrow nothing repeat nothing.
    """
    heads = PolicyHead.objects.visible_to(user).of_workflows_in_use().filter(environment__recorded=False)
    rows = heads.annotate(guards=F("version__document__guards")).values_list(
        "guards", "environment__name", "workflow__slug", "workflow__name"
    )
    alike: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for guards, environment, slug, name in rows.order_by("workflow__name"):
        narrowing = {key: value for key, value in (guards or {}).items() if value is not None}
        if narrowing:
            alike.setdefault((json.dumps(narrowing, sort_keys=True), environment), []).append((slug, name))
    return [
        Repeated(json.loads(guards), environment, tuple(workflows))
        for (guards, environment), workflows in alike.items()
        if len(workflows) > 1
    ]


def _pace(environment: str, kind: str, seconds: list[float]) -> Pace:
    if not seconds:
        return Pace(environment, kind, 0, None, None)
    # Of one value statistics.quantiles knows no part.
    p90 = statistics.quantiles(seconds, n=10, method="inclusive")[8] if len(seconds) > 1 else seconds[0]
    return Pace(environment, kind, len(seconds), timedelta(seconds=statistics.median(seconds)), timedelta(seconds=p90))


def _voters(changes: list[UUID]) -> dict[UUID, list[str]]:
    """The names of those who may vote on each change and have not voted on its present form; one query."""
    asked = """
        SELECT change.id, voter.name
        FROM governance_change change
        CROSS JOIN LATERAL governance_voters(change.id) may
        JOIN governance_user voter ON voter.id = may.user_id
        WHERE change.id = ANY(%s) AND change.state = ANY(%s) AND NOT EXISTS (
            SELECT FROM governance_vote vote WHERE vote.revision_id = change.revision_id AND vote.voter_id = voter.id
        )
        ORDER BY voter.name
    """
    found: dict[UUID, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(asked, [changes, [state.value for state in VOTABLE]])
        for change, name in cursor.fetchall():
            found.setdefault(change, []).append(name)
    return found


def _otherwise(change: Change, voters: dict[UUID, list[str]]) -> str:
    if change.state == Change.State.STALE:
        return f"on {change.proposed_by}, who has to revise it: another change became live before it"
    if change.state == Change.State.APPROVED:
        return "to be activated"
    if change.pk not in voters:
        return "on nobody: no one else may vote on it, or all have"
    return ""
