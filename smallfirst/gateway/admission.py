"""Who is asking, and under which bundle and state: settled once at the start of a request."""

from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from smallfirst.documents import StateKey
from smallfirst.engine.compiled import CompiledWorkflow
from smallfirst.engine.facts import State
from smallfirst.gateway.exchange import Exchange
from smallfirst.gateway.feed import Bundle, Feed
from smallfirst.gateway.settings import WhenExpired
from smallfirst.gateway.wire import ApiError

RETRY_SECONDS = 5


class Admitted(msgspec.Struct, frozen=True):
    """A known key and what is in force `at` this moment; `workflow` is None while the bundle does not hold it."""

    key: StateKey
    bundle: Bundle
    state: State
    workflow: CompiledWorkflow | None
    at: datetime


def admit(exchange: Exchange, feed: Feed, *, when_expired: WhenExpired) -> Admitted:
    """Return who is asking; raise an ApiError: 401 for an unknown key, 503 while nothing may be decided."""
    bundle, state = feed.bundle.value, feed.state.value
    if bundle is None or state is None:
        raise _not_now("This gateway has no policies and keys yet.")
    now = datetime.now(UTC)
    if when_expired == "refuse" and "expired" in (feed.bundle.age(now), feed.state.age(now)):
        raise _not_now("This gateway has not heard from the control plane for too long.")
    scheme, _, token = exchange.header(b"authorization").partition(" ")
    key = state.keys.get(sha256(token.strip().encode("latin-1")).hexdigest()) if scheme.lower() == "bearer" else None
    if key is None:
        raise ApiError(
            401,
            "invalid_api_key",
            "Unknown or revoked API key. Send a key of this environment as `Authorization: Bearer sf_…`.",
        )
    workflow = bundle.snapshot.workflows.get(key.workflow)
    return Admitted(key, bundle, feed.engine_state(key.workflow, now), workflow, now)


def _not_now(message: str) -> ApiError:
    return ApiError(503, "no_model_available", f"{message} Try again in a moment.", retry_after=RETRY_SECONDS)
