"""Setting up: what an installation needs before its first request is answered, and what of it is done."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, TextField, Value

from governance.models import (
    ApiKey,
    Change,
    Endpoint,
    Grant,
    PolicyHead,
    Provider,
    Team,
    Workflow,
)
from governance.permissions import roles_with
from ledger import prices
from ledger.models import Decision


@dataclass(frozen=True)
class Step:
    """One thing to set up: what it is, why, where (the name of a page), and whether it is done.

    `noun` is whose `.view` act opens the page. `lacking` are the endpoints that keep it from being done.
    """

    title: str
    text: str
    page: str
    noun: str
    done: bool
    lacking: tuple[Endpoint, ...] = ()


COSTS = "What it costs"
VOTERS = "A second person who may vote"
# Title, why, page and noun of each, in the order in which one thing needs the other.
TOLD = (
    ("A team", "Workflows and models belong to one.", "teams", "accounts"),
    ("A provider", "Whose machines, or whose account, run the models.", "providers", "registry"),
    (
        "A model and where it is served",
        "Its endpoint is tried at once, with a clear result; then it is admitted there, as an environment’s votes ask.",
        "models",
        "registry",
    ),
    (
        COSTS,
        "List prices come by themselves for known providers; own ones stand on the model’s page. Each endpoint that"
        " policies name needs one; until there is a policy, each endpoint.",
        "models",
        "registry",
    ),
    ("A workflow", "A business process with an owner, a risk and a data class.", "workflow_new", "workflows"),
    (
        "A live policy",
        "Which models, in which order, and when an answer is good enough. Development needs nobody’s vote.",
        "workflows",
        "workflows",
    ),
    ("A key", "What the application shows; it belongs to one workflow and one environment.", "keys", "workflows"),
    (
        "The first request",
        "Change the application’s base_url; the page of the key shows the line to send.",
        "keys",
        "workflows",
    ),
    (
        VOTERS,
        "Until then your production changes pass marked single-handed, and are ratified later.",
        "people",
        "accounts",
    ),
)


def steps(now: datetime) -> list[Step]:
    """Return what there is to set up, in order; six queries. A price that begins with the next minute is one."""
    used = list(_used())
    priced = prices.current(used, now + timedelta(minutes=1))
    lacking = tuple(endpoint for endpoint in used if endpoint.pk not in priced)
    done = _begun() | ({COSTS} if used and not lacking else set())
    return [Step(*told, told[0] in done, lacking if told[0] == COSTS else ()) for told in TOLD]


def _begun() -> set[str]:
    """The titles of the steps that are done as soon as there is one of something; two queries."""
    any_of: dict[str, QuerySet[Any]] = {
        "A team": Team.objects.all(),
        "A provider": Provider.objects.all(),
        "A model and where it is served": _serving(),
        "A workflow": Workflow.objects.in_use(),
        "A live policy": PolicyHead.objects.all(),
        "A key": ApiKey.objects.usable().filter(purpose=ApiKey.Purpose.APPLICATION),
        "The first request": Decision.objects.all(),
    }
    first, *others = (
        found.order_by().values_list(Value(title, output_field=TextField()))[:1] for title, found in any_of.items()
    )
    begun = {title for (title,) in first.union(*others)}
    voters = Grant.objects.in_force().filter(role__in=roles_with("changes.vote"), user__is_active=True)
    return begun | ({VOTERS} if voters.values("user").distinct().count() > 1 else set())


def _serving() -> QuerySet[Endpoint]:
    """The endpoints that requests may be sent to."""
    return Endpoint.objects.open().admitted().filter(environment__recorded=False)


def _used() -> QuerySet[Endpoint]:
    """The endpoints that live and proposed policies name, each in its environment; all while there is no policy."""
    live = PolicyHead.objects.of_workflows_in_use().rungs()
    proposed = Change.objects.open().filter(kind=Change.Kind.POLICY, workflow__retired_at=None).rungs()
    named: dict[UUID, list[str]] = {}
    for name, environment in live.union(proposed):
        named.setdefault(environment, []).append(name)
    used = Q()
    for environment, names in named.items():
        used |= Q(environment=environment, version__model__name__in=names)
    found = _serving().filter(used).select_related("provider", "environment", "version__model")
    return found.order_by("version__model__title", "environment__name", "position", "id")
