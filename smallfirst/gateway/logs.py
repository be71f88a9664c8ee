"""Logs of the gateway: one JSON object a line on stderr, made of codes, ids and figures; never a text, never a key."""

import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import msgspec

_encoder = msgspec.json.Encoder(enc_hook=str)
_logger = logging.getLogger("smallfirst.gateway")


def log(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one line: what happened, as `noun.verb`, with ids and figures."""
    if _logger.isEnabledFor(level):
        _logger.log(level, event, extra={"fields": fields})


def log_failure(event: str, error: BaseException, **fields: object) -> None:
    """Write one line about an exception: its type and where it was raised. Its message may quote a request."""
    log(event, level=logging.ERROR, error=type(error).__name__, where=places(error), **fields)


def places(error: BaseException) -> list[str]:
    """The innermost frames of an exception's traceback, as `file:line`."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]


class JsonLines(logging.Formatter):
    """Formats records of ours and of the libraries: time, level, logger, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON; of an exception only its type and places."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
        }
        if record.name != _logger.name:
            line["logger"] = record.name
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line.update(error=type(record.exc_info[1]).__name__, where=places(record.exc_info[1]))
        return _encoder.encode(line).decode()


def write_logs(level: str = "INFO") -> None:
    """Send all logs of this process to stderr as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # The event loop's complaints quote the coroutines' arguments at debug level; uvicorn's lines name client addresses.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
