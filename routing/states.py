"""The state feed: which keys are let in and what is stopped, signed apart from bundles and waiting for nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import models, transaction

from governance import canonical
from governance.models import ApiKey, Endpoint, Environment, Model, Stop, Workflow
from routing import keys, stamps
from routing.bundles import next_serial
from routing.keys import Keys
from routing.models import StateFeed
from smallfirst.documents import FORMAT, StateKey, StatePayload, Stops
from smallfirst.engine.facts import KeyPurpose
from smallfirst.seal import sign_envelope

LIFE = timedelta(hours=1)
REISSUE_AFTER = timedelta(seconds=30)
# As many as a stored decision holds. What was stopped longest ago left the bundles longest ago.
MOST_STOPS = 1000
TABLES: dict[type[models.Model], str] = {
    ApiKey: "",
    Workflow: "",
    Model: "",
    Endpoint: "",
    Stop: "lifted_at IS NULL",
}


def current(environment: Environment, *, now: datetime) -> StateFeed:
    """Return the state that gateways should have now, signing it anew if it changed or is older than half a minute.

    Two queries while nothing changed. Raises what `issue` raises.
    """
    newest = StateFeed.objects.of(environment)
    if newest is not None and _holds(newest, now) and newest.stamp == _stamp(_keys(), now):
        return newest
    return issue(environment, now=now)


@transaction.atomic
def issue(environment: Environment, *, now: datetime) -> StateFeed:
    """Sign the state of an environment, unless the newest says just that and is young enough; return the newest.

    It is no governed act: what it says was written, and audited, by others. Raises KeysMissingError and UnsettledError.
    """
    environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk)
    signing = _keys()
    content, stamp = stamps.settled(lambda: _content(environment), lambda: _stamp(signing, now))
    digest = canonical.digest([FORMAT, msgspec.to_builtins(content), signing.certificate.text])
    newest = StateFeed.objects.of(environment)
    if newest is not None and _holds(newest, now) and newest.digest == digest:
        if newest.stamp != stamp:
            newest.stamp = stamp
            newest.save(update_fields=["stamp"])
        return newest
    keys_in_force, stops = content
    payload = StatePayload(
        serial=next_serial(newest.serial if newest else None, now),
        issued_at=now,
        expires_at=now + LIFE,
        environment=str(environment.pk),
        keys=keys_in_force,
        stops=stops,
    )
    envelope = sign_envelope(
        msgspec.json.encode(payload).decode(),
        purpose="state",
        certificate=signing.certificate,
        signing_secret=signing.signing_secret,
    )
    state, _ = StateFeed.objects.update_or_create(
        environment=environment,
        defaults={
            "serial": payload.serial,
            "digest": digest,
            "stamp": stamp,
            "envelope": envelope.decode(),
            "issued_at": payload.issued_at,
            "expires_at": payload.expires_at,
        },
    )
    return state


def sent(state: StateFeed) -> bytes:
    """The envelope as gateways get it."""
    return state.envelope.encode()


def _content(environment: Environment) -> tuple[tuple[StateKey, ...], Stops]:
    stopped: list[tuple[UUID | None, UUID | None]] = [
        (stop.workflow_id, stop.model_id) for stop in Stop.objects.holding().order_by("-id")
    ]
    usable = ApiKey.objects.usable().filter(environment=environment).order_by("id")
    return (
        tuple(
            StateKey(
                id=str(key.id),
                sha256=key.sha256,
                workflow=str(key.workflow_id),
                purpose=msgspec.convert(key.purpose, KeyPurpose),
            )
            for key in usable.only("id", "sha256", "workflow_id", "purpose")
        ),
        Stops(
            models=_ids([model for _, model in stopped], Model.objects.filter(state=Model.State.RETIRED)),
            endpoints=_ids([], Endpoint.objects.filter(environment=environment, active=False)),
            workflows=_ids([workflow for workflow, _ in stopped], Workflow.objects.exclude(retired_at=None)),
            everything=(None, None) in stopped,
        ),
    )


def _ids(stopped: Sequence[UUID | None], ended: Any) -> tuple[str, ...]:
    """What somebody stopped, then what ended for good, each once; of the latter the newest that fit."""
    newest = ended.order_by("-id").values_list("id", flat=True)[:MOST_STOPS]
    found = dict.fromkeys(str(each) for each in (*stopped, *newest) if each is not None)
    return tuple(found)[:MOST_STOPS]


def _holds(state: StateFeed, now: datetime) -> bool:
    return state.issued_at > now - REISSUE_AFTER


def _keys() -> Keys:
    return keys.load(Path(settings.KEYS))


def _stamp(signing: Keys, now: datetime) -> str:
    return canonical.digest([FORMAT, signing.certificate.text, stamps.read(TABLES, now=now)])
