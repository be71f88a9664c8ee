"""What the guards say to a model and its endpoints; every level is asked, none can allow what another forbids."""

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import NamedTuple

from smallfirst.engine.decision import Output
from smallfirst.engine.policy import DATA_CLASS_RANK, Guards
from smallfirst.engine.snapshot import Endpoint, Model

# Money is never rounded here: twenty digits of price times ten of tokens fit, whatever the caller's own context is.
EXACT = Context(prec=100)


class Source(Output, frozen=True):
    """Guards with the words for where they come from, such as ``the organisation`` or ``rule “x”``."""

    name: str
    guards: Guards


class Barrier(NamedTuple):
    """What keeps a model or an endpoint out: the clause and that in words."""

    clause: str
    text: str


def model_barrier(model: Model, sources: Iterable[Source]) -> Barrier | None:
    """Return what keeps the model out, wherever it is served; None when nothing does."""
    for source in sources:
        guards = source.guards
        if guards.models is not None and model.name not in guards.models:
            return Barrier("models", f"{source.name} does not allow this model")
        if guards.licences is not None and model.licence not in guards.licences:
            return Barrier("licence", f"{source.name} does not allow licence {model.licence}")
        if guards.hosting is not None and model.hosting not in guards.hosting:
            return Barrier("hosting", f"{source.name} does not allow {_hosted(model.hosting)} models")
    return None


def endpoint_barrier(endpoint: Endpoint, model: Model, sources: Iterable[Source]) -> Barrier | None:
    """Return what keeps the model out at this endpoint; None when nothing does."""
    if endpoint.region not in model.regions:
        return Barrier("region", f"region {endpoint.region} is not one where this model may run")
    for source in sources:
        guards = source.guards
        if guards.hosting is not None and endpoint.hosting not in guards.hosting:
            return Barrier("hosting", f"{source.name} does not allow {_hosted(endpoint.hosting)} endpoints")
        if guards.regions is not None and endpoint.region not in guards.regions:
            return Barrier("region", f"{source.name} does not allow region {endpoint.region}")
    return None


def clearance_rank(model: Model) -> int:
    """Return the rank of the highest data class that the model may see; -1 when it may see none."""
    return max((DATA_CLASS_RANK[name] for name in model.data_classes), default=-1)


def least_clearance(sources: Iterable[Source]) -> int:
    """Return the rank of the gravest data class that some guards ask clearance for; 0 when none does."""
    return max((DATA_CLASS_RANK[source.guards.data_class] for source in sources if source.guards.data_class), default=0)


def least_cost(sources: Iterable[Source]) -> Decimal | None:
    """Return the narrowest cost ceiling, USD per request; None when there is none."""
    return min((Decimal(source.guards.max_cost) for source in sources if source.guards.max_cost), default=None)


def least_latency(sources: Iterable[Source]) -> int | None:
    """Return the narrowest latency ceiling, milliseconds per request; None when there is none."""
    return min((source.guards.max_latency_ms for source in sources if source.guards.max_latency_ms), default=None)


def _hosted(hosting: str) -> str:
    return "self-hosted" if hosting == "self" else "hosted"
