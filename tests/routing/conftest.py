"""Keys for the tests of this folder: what bootstrap makes, once."""

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from routing import keys


@pytest.fixture(scope="session")
def installation_keys() -> Path:
    """The directory of the installation's keys, with the signing key certified."""
    directory = Path(settings.KEYS)
    keys.ensure(directory, now=timezone.now())
    return directory
