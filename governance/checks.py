"""Checks: what was found out about a revision of a change, stored for those who vote on it.

Whoever finds something out writes it here; governance only keeps it and reads it. Whether a check still holds is said
by the database alone (`governance_check_standing`), to pages and to whatever refuses by it. See
docs/decisions/0022-kept-simulations.md.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from governance import audit
from governance.accounts import NotPermitted, can
from governance.audit import Actor, Service
from governance.errors import store
from governance.models import Change, Check, PolicyVersion, Revision

Kind = Check.Kind
State = Literal["missing", "revised", "moved", "old", "failed", "fresh"]


@dataclass(frozen=True)
class CheckStanding:
    """How the newest check of a kind stands to its change now.

    `missing`: none was ever made. `revised`: it is of an earlier revision. `moved`: another version became live than
    the one it compares with. `old`: its time is over. `failed`: it speaks against the change. `fresh`: it holds.
    `number` is that of the revision it is of.
    """

    state: State
    id: UUID | None = None
    digest: str = ""
    number: int = 0
    made_at: datetime | None = None
    valid_until: datetime | None = None

    @property
    def seen(self) -> str:
        """The digest that a vote on the present revision binds to; empty where there is none of it."""
        return "" if self.state == "revised" else self.digest

    def why_not(self, revision: int) -> str:
        """Say why a simulation does not hold for a revision, and what to do; empty where it does."""
        match self.state:
            case "missing":
                return "It has not been simulated yet: simulate it first."
            case "revised":
                return f"The simulation is of revision {self.number}: simulate revision {revision}."
            case "moved":
                return "Another version became live since it was simulated: revise the change, then simulate it anew."
            case "old":
                return f"The simulation held until {_said(self.valid_until)} and is too old by now: simulate it anew."
            case "failed":
                return "The simulation speaks against it."
            case _:
                return ""


@transaction.atomic
def record(
    *,
    revision: Revision,
    kind: str,
    digest: str,
    verdict: str,
    base: PolicyVersion | None,
    valid_until: datetime,
    by: Actor,
) -> Check:
    """Keep what was found out about the present revision of an open change, as the newest check of its kind.

    `digest` is the SHA-256 of the canonical form of what was found, against `base`. Raises NotPermitted for everyone
    but the parts of Smallfirst that find something out, and InvalidInput for a revision that is no longer the present
    one or an ended change.
    """
    if not isinstance(by, Service) or not can(by, "checks.record"):
        raise NotPermitted("A check is written by what finds it out, never by hand.")
    change = Change.objects.select_for_update().get(pk=revision.change_id)
    last = Check.objects.filter(revision=revision, kind=kind).aggregate(last=Max("number"))["last"] or 0
    found: dict[str, Any] = {"kind": kind, "digest": digest, "verdict": verdict}
    made = store(Check(revision=revision, number=last + 1, base=base, valid_until=valid_until, **found))
    audit.record(
        action="checks.record",
        actor=by,
        object=change,
        summary=f"{made.get_kind_display()} {made.number} of change {change.number}, revision {revision.number}",
        version=str(revision.number),
        after={**found, "base": base.number if base else None, "valid_until": valid_until},
    )
    return made


def newest(revision: Revision, kind: str) -> Check | None:
    """Return the newest check of a kind of a revision; one query."""
    return Check.objects.filter(revision=revision, kind=kind).order_by("-number").first()


def standing(change: Change, kind: str) -> CheckStanding:
    """Return how the newest check of a kind stands to a change now; one query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT governance_check_standing(%s, %s)", [change.pk, kind])
        (said,) = cursor.fetchone() or ('{"state": "missing"}',)
    return read(said)


def read(said: str) -> CheckStanding:
    """Return what governance_check_standing said."""
    found: dict[str, Any] = json.loads(said)
    if found["state"] == "missing":
        return CheckStanding("missing")
    return CheckStanding(
        state=found["state"],
        id=UUID(found["id"]),
        digest=found["digest"],
        number=found["number"],
        made_at=datetime.fromisoformat(found["made_at"]),
        valid_until=datetime.fromisoformat(found["valid_until"]),
    )


def _said(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%-d %B %Y %H:%M} UTC" if moment else "a moment ago"
