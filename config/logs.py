"""Logs as one JSON object a line, for Django, Celery and our own events alike; no bodies, no secrets."""

import logging
from typing import Any

import structlog
from structlog.types import EventDict, WrappedLogger

# Values under these names never reach a log, wherever they come from.
PRIVATE = {
    *("answer", "api_key", "authorization", "body", "content", "cookie", "credential", "headers", "messages"),
    *("password", "prompt", "secret", "session", "text", "token"),
}

# How Celery begins the lines of a task's ordinary course.
ROUTINE = ("Scheduler: Sending due task", "Task %(name)s[%(id)s] received", "Task %(name)s[%(id)s] succeeded")


def hide_private(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what stands under a private name, at any depth."""
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: str, value: Any) -> Any:
    if name.lower() in PRIVATE:
        return "(hidden)"
    if isinstance(value, dict):
        return {str(inner): _hidden(str(inner), held) for inner, held in value.items()}
    return value


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of Celery's says more than that a task was sent, came or went well: some do so twice a second."""
    return record.levelno > logging.INFO or not str(record.msg).startswith(ROUTINE)


def configure(level: str) -> dict[str, Any]:
    """Set structlog up and return Django's LOGGING for the same lines. Tracebacks carry no local variables."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        hide_private,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(sort_keys=True),
                ],
            }
        },
        "filters": {"news": {"()": lambda: is_news}},
        "handlers": {"standard_error": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["news"]}},
        "root": {"handlers": ["standard_error"], "level": level},
        "loggers": {
            # Django's own handlers are replaced by the root's.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
            # Each SQL statement with its parameters would be a body.
            "django.db.backends": {"level": "INFO"},
        },
    }
