"""Whether this process lives, and whether it can do its work."""

from http import HTTPStatus
from typing import Any

import redis
import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)


@never_cache
@require_safe
@login_not_required
def healthz(_request: HttpRequest) -> JsonResponse:
    """The process answers. Touches nothing else, so that a database failure restarts no web process."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
@login_not_required
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when database and broker are reachable, else 503 that names which is not."""
    missing = [name for name, check in (("database", _database), ("broker", _broker)) if not check()]
    if missing:
        log.warning("health.not_ready", missing=missing)
        return JsonResponse({"status": "not ready", "missing": missing}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return JsonResponse({"status": "ready"})


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _broker() -> bool:
    try:
        with Connection(settings.BROKER_URL, connect_timeout=2, transport_options={"socket_timeout": 2}) as broker:
            broker.ensure_connection(max_retries=1, timeout=2, errback=None)
            channel: Any = broker.default_channel
            # Redis connects with the first word said; RabbitMQ has connected by now.
            if broker.transport.driver_type == "redis":
                channel.client.ping()
    except (OSError, OperationalError, redis.RedisError):
        return False
    return True
