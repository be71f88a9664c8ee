"""The key every governance row carries: unique everywhere, and ordered by the time it was made."""

from uuid import UUID

import uuid_utils.compat
from django.db import models
from django.utils import timezone


def new_id() -> UUID:
    """Return a fresh UUIDv7."""
    return uuid_utils.compat.uuid7()


class Identified(models.Model):
    """A row with a key that travels and the moment it was written (UTC)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True
