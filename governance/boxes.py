"""The box that only this installation opens: reviews' texts, tokens that the control plane uses, webhooks' secrets."""

from pathlib import Path

from django.conf import settings

from smallfirst.seal import box_public_key, open_box, read_key_file, seal_box

REVIEW_KEY = "review.key"


def close(content: bytes, context: bytes) -> bytes:
    """Seal content so that it opens only with the same context. Raises FileNotFoundError without the review key."""
    return seal_box(box_public_key(_key()), content, context)


def open(sealed: bytes | memoryview, context: bytes) -> bytes:  # noqa: A001 (the counterpart of close)
    """Return what was sealed. Raises SealError for another key or context, FileNotFoundError without the key."""
    return open_box(_key(), bytes(sealed), context)


def _key() -> bytes:
    return read_key_file(Path(settings.KEYS) / REVIEW_KEY)
