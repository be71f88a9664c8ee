"""How the verbs are played of roads beside the votes: for the test that each leaves its entry."""

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from governance import access_tokens, appointments, changes, comments, delegations, emergencies, reminders, rollbacks
from governance.models import AccessToken, Comment, Delegation, Notification
from tests.cast import (
    Cast,
    approve,
    make_admission,
    make_change,
    make_entry,
    make_exceptions,
    make_live,
    make_standard,
)

Act = Callable[[], object]


def beside_the_votes(cast: Cast) -> dict[str, Callable[[], Act]]:
    """How each is played: the preparation, which returns the act itself."""

    def appoint() -> Act:
        change = approve(make_change(cast), cast.owner)
        said: dict[str, Any] = {"digest": change.revision.payload_digest, "at": timezone.now() + timedelta(days=1)}
        return lambda: appointments.appoint(change=change, by=cast.lead, **said)

    def cancel() -> Act:
        change = approve(make_change(cast), cast.owner)
        moment = timezone.now() + timedelta(days=1)
        appointments.appoint(change=change, digest=change.revision.payload_digest, at=moment, by=cast.lead)
        return lambda: appointments.cancel(change=change, by=cast.lead)

    def go_back() -> Act:
        first, live = make_live(cast, 0.8).change, make_live(cast, 0.6)
        place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production, "seen": live.version_id}
        said: dict[str, Any] = {"to": first.pk, "reason": "It misroutes", "confirmed_at": timezone.now()}
        return lambda: rollbacks.go_back(by=cast.lead, **place, **said)

    def broken(act: Callable[..., object]) -> Callable[[], Act]:
        def prepare() -> Act:
            make_live(cast, 0.8)
            change = make_change(cast, 0.6)
            said: dict[str, Any] = {"reason": "It misroutes", "hours": 4, "confirmed_at": timezone.now()}
            digest = change.revision.payload_digest
            begin = functools.partial(emergencies.begin, change=change, digest=digest, by=cast.owner, **said)
            if act is emergencies.begin:
                return begin
            begin()
            more = {"opinion": "right"} if act is emergencies.look_back else {}
            return lambda: act(change=change, reason="Over", by=cast.lead, **more)

        return prepare

    return {
        **_said_and_delegated(cast),
        **{f"emergencies.{each.__name__}": broken(each) for each in (emergencies.begin, emergencies.end)},
        "emergencies.look_back": broken(emergencies.look_back),
        "appointments.appoint": appoint,
        "appointments.cancel": cancel,
        "rollbacks.go_back": go_back,
    }


def _said_and_delegated(cast: Cast) -> dict[str, Callable[[], Act]]:
    def comment() -> Comment:
        change = make_change(cast)
        said = {"digest": change.revision.payload_digest, "path": "/steps/0/gate", "text": "Why so low?"}
        return comments.add(change=change, by=cast.owner, **said)

    def resolve() -> Act:
        made = comment()
        return lambda: comments.resolve(comment=made, by=cast.owner)

    def delegate() -> Delegation:
        now = timezone.now()
        said: dict[str, Any] = {"starts_at": now, "ends_at": now + timedelta(days=9), "reason": "Away"}
        return delegations.delegate(to=cast.owner, by=cast.lead, **said)

    def revoke() -> Act:
        made = delegate()
        return lambda: delegations.revoke(delegation=made, by=cast.lead)

    def token() -> AccessToken:
        said: dict[str, Any] = {"name": "Job", "scope": "read", "days": 30, "confirmed_at": timezone.now()}
        return access_tokens.create(by=cast.lead, **said)[0]

    def end() -> Act:
        made = token()
        return lambda: access_tokens.revoke(token=made, by=cast.lead)

    def nudged() -> Act:
        change = make_change(cast)
        Notification.objects.update(created_at=timezone.now() - timedelta(hours=5))
        return lambda: reminders.nudge(change=change, by=cast.integrator)

    return {
        "reminders.nudge": nudged,
        "access_tokens.create": lambda: token,
        "access_tokens.revoke": end,
        "comments.add": lambda: comment,
        "comments.resolve": resolve,
        "delegations.delegate": lambda: delegate,
        "delegations.revoke": revoke,
    }


def of_proposals(cast: Cast) -> dict[str, Callable[[], Act]]:
    """How changes of each kind begin."""

    def propose_entry() -> Act:
        make_live(cast)
        return lambda: make_entry(cast, risk="high")

    def propose_exceptions() -> Act:
        make_standard(cast, guards={"regions": ["eu"]})
        return lambda: make_exceptions(cast, "guards.regions")

    rules: dict[str, Any] = {"document": {"rules": [{"name": "All"}]}, "title": "One rule", "note": ""}
    return {
        "changes.propose": lambda: lambda: make_change(cast),
        "changes.propose_admission": lambda: lambda: make_admission(cast, cast.models[0], cost="5"),
        "changes.propose_approval_rules": lambda: lambda: changes.propose_approval_rules(by=cast.lead, **rules),
        "changes.propose_entry": propose_entry,
        "changes.propose_exceptions": propose_exceptions,
        "changes.propose_standard": lambda: lambda: make_standard(cast, guards={"regions": ["eu"]}),
    }
