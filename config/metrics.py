"""What /metrics tells of the control plane, in Prometheus' text format: the requests of this process, and what waits.

Requests are counted in the memory of the process that answers them. One web process per address (as `up` runs it) makes
each scrape the same process's; who runs several gives each a port of its own and scrapes them one by one. What waits is
read from the database and the same whoever is asked.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    Counter,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config import api
from config.peers import is_local
from governance import seals
from governance.models import Change, Delivery, Review
from ledger.models import UsageQueue

GetResponse = Callable[[HttpRequest], HttpResponse]

PREFIX: Final = "smallfirst_control_"
# The queue is counted no further: reading on would cost most when there is least to spare.
MOST_QUEUED: Final = 10_000
STATEMENT_MILLISECONDS: Final = 2_000

disable_created_metrics()  # type: ignore[no-untyped-call]
REQUESTS: Final = Counter(PREFIX + "requests", "Requests that are over.", ["view", "status"], registry=None)
SECONDS: Final = Summary(PREFIX + "request_seconds", "Time until an answer was made.", ["view"], registry=None)


def counted(get_response: GetResponse) -> GetResponse:
    """Middleware, the outermost: count every request by the name of its view, `none` where no view was found."""

    def middleware(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = get_response(request)
        view = request.resolver_match.view_name if request.resolver_match else "none"
        REQUESTS.labels(view, str(response.status_code)).inc()
        SECONDS.labels(view).observe(time.perf_counter() - began)
        return response

    return middleware


@never_cache
@require_safe
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """With SMALLFIRST_METRICS_TOKEN as bearer; where none is set, for programs on this machine; else 401."""
    # What relays TCP to this machine looks like a program on it. Who runs such a thing sets a token.
    allowed = _has_token(request) if settings.METRICS_TOKEN else is_local(request)
    if not allowed:
        text = "Send SMALLFIRST_METRICS_TOKEN as `Authorization: Bearer …`; where none is set, ask from this machine."
        refusal = api.error(401, "invalid_api_key", text)
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal
    return HttpResponse(generate_latest(Exposition()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Exposition(Collector):
    """All metrics, read when they are asked for."""

    def collect(self) -> Iterator[Metric]:
        """Yield each family once. A database that does not answer is told as such, and takes nothing else away."""
        yield from REQUESTS.collect()
        yield from SECONDS.collect()
        try:
            waiting = _waiting()
        except DatabaseError:
            waiting = []
        yield _gauge("database_up", "1 when the database answers.", bool(waiting))
        yield from waiting
        yield from ProcessCollector(registry=None).collect()


def _waiting() -> list[Metric]:
    """What waits in the database, in a few queries that indexes bound; raises DatabaseError."""
    now = timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_MILLISECONDS)])
        queued, oldest = UsageQueue.objects.backlog(MOST_QUEUED)
        reviews, overdue = Review.objects.how_many_wait(now)
        changes = Change.objects.in_review().count()
        unsealed = seals.waiting_since()
        untold, given_up = Delivery.objects.backlog(now)
    return [
        _gauge("usage_queue_events", f"Events to be priced, counted up to {MOST_QUEUED}.", queued),
        _gauge(
            "usage_queue_oldest_seconds", "Since the oldest of these arrived; 0 when none waits.", _age(oldest, now)
        ),
        _gauge("reviews_open", "Reviews that have not ended.", reviews),
        _gauge("reviews_overdue", "Of these, those whose answer was wanted by now.", overdue),
        _gauge("changes_in_review", "Changes that wait for votes.", changes),
        _gauge("notifications_oldest_seconds", "Since the oldest that was to be delivered by now.", _age(untold, now)),
        _gauge("notifications_given_up", "Deliveries given up in the last day.", given_up),
        _gauge("audit_unsealed_oldest_seconds", "Since the oldest audit event not yet sealed.", _age(unsealed, now)),
    ]


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    token = settings.METRICS_TOKEN
    return bool(token) and scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), token.encode())
