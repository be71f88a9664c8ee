"""The one byte form of a JSON value (RFC 8785), so that equal content has an equal digest wherever it is computed."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import rfc8785


def encode(value: Any) -> bytes:
    """Return the canonical bytes. Raises rfc8785.CanonicalizationError for what JSON cannot say exactly."""
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(encode(value)).hexdigest()


def moment(at: datetime) -> str:
    """A time as it stands in canonical bytes: UTC with six digits of microseconds and a Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
