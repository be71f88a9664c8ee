"""What /healthz tells: whether this gateway can decide, under what, how old that is, and what waits to be uploaded."""

import time
from datetime import UTC, datetime
from typing import Any

from smallfirst.gateway.feed import Bundle, Feed, GatewayState, Held
from smallfirst.gateway.reviews import Reviews
from smallfirst.gateway.upload import Uploader
from smallfirst.spool import Spool


def health(*, feed: Feed, spool: Spool, uploader: Uploader, reviews: Reviews) -> tuple[int, dict[str, Any]]:
    """The status code (200 once a bundle and a state are loaded, else 503) and the body."""
    now = datetime.now(UTC)
    missing = [held.purpose for held in (feed.bundle, feed.state) if held.value is None]
    status = "ok"
    if missing:
        status = "starting"
    elif "expired" in (feed.bundle.age(now), feed.state.age(now)):
        status = "expired"
    body: dict[str, Any] = {
        "status": status,
        "reason": f"no {' and no '.join(missing)} yet" if missing else None,
        "bundle": _document(feed.bundle, now) | {"proof": feed.proof() or None},
        "state": _document(feed.state, now),
        "spool": {"waiting_bytes": spool.backlog(), "refused_records": spool.refused()},
        "upload": {
            "problem": uploader.silence,
            "last_success_seconds_ago": _ago(uploader.last_success),
        },
        "open_reviews": len(reviews),
    }
    return (503 if missing else 200), body


def _document(held: Held[Bundle] | Held[GatewayState], now: datetime) -> dict[str, Any]:
    payload = held.value.payload if held.value else None
    return {
        "age": held.age(now),
        "serial": payload.serial if payload else None,
        "issued_at": payload.issued_at if payload else None,
        "expires_at": payload.expires_at if payload else None,
        "confirmed_seconds_ago": _ago(held.confirmed),
        "problem": held.silence,
        "refused": held.refusal.cause if held.refusal else None,
    }


def _ago(moment: float | None) -> int | None:
    return None if moment is None else round(time.monotonic() - moment)
