"""Simulations as tests begin and end them, and how each of their verbs is played for the audit."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from governance import checks
from governance.models import Change, Check
from routing import simulating, simulations
from routing.models import Simulation
from tests.cast import Cast, make_change, make_document, make_live

Act = Callable[[], object]


def simulate(change: Change, **given: Any) -> Simulation:
    """A simulation of a change, begun by who proposed it and brought to its end."""
    facts: dict[str, Any] = {"by": change.proposed_by, "now": timezone.now()}
    made = simulations.begin(change=change, **(facts | given))
    assert simulating.work()
    made.refresh_from_db()
    return made


def scenes(cast: Cast) -> dict[str, Callable[[], Act]]:
    """How each verb is played: the preparation, which returns the act itself."""

    def change() -> Change:
        make_live(cast)
        return make_change(cast, 0.7)

    def begin() -> Act:
        proposed = change()
        return lambda: simulations.begin(change=proposed, by=cast.integrator, now=timezone.now())

    def cancel() -> Act:
        made = simulations.begin(change=change(), by=cast.integrator, now=timezone.now())
        return lambda: simulations.cancel(simulation=made, by=cast.owner, now=timezone.now())

    def record() -> Act:
        revision = change().revision
        found: dict[str, Any] = {"kind": "simulation", "digest": "a" * 64, "verdict": Check.Verdict.PASSED}
        found |= {"base": revision.base_version, "valid_until": timezone.now() + timedelta(days=1)}
        return lambda: checks.record(revision=revision, by=simulations.SERVICE, **found)

    def ask() -> Act:
        place: dict[str, Any] = {"workflow": change().workflow, "environment": cast.production, "mode": "enforce"}
        return lambda: simulations.ask(document=make_document(0.6), by=cast.lead, now=timezone.now(), **place)

    return {"simulations.ask": ask, "simulations.begin": begin, "simulations.cancel": cancel, "checks.record": record}
