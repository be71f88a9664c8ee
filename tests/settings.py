"""The product's settings in an environment of the tests' own: nothing of the developer's shell or state leaks in."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from config import state as places
from routing import keys

KEPT = ("SMALLFIRST_POSTGRES_BIN", "SMALLFIRST_VENV")
for name in list(os.environ):
    ours = name.startswith(("SMALLFIRST_", "PG")) and name not in KEPT
    if ours or name in ("DATABASE_URL", "MIGRATION_DATABASE_URL", "BROKER_URL"):
        del os.environ[name]

# Removed when the tests end (tests/conftest.py). Processes that a test starts find everything through these.
_STATE = Path(tempfile.mkdtemp(prefix="smallfirst-tests-"))
places.make_secrets(_STATE / "keys")
keys.ensure(_STATE / "keys", now=datetime.now(UTC))
os.environ |= {
    "SMALLFIRST_STATE": str(_STATE),
    "SMALLFIRST_DEMO": "1",
    "DATABASE_URL": places.database_url(_STATE, places.APP_ROLE, "smallfirst_test"),
    "MIGRATION_DATABASE_URL": places.database_url(_STATE, places.MIGRATOR_ROLE, "smallfirst_test"),
    "BROKER_URL": places.broker_url(_STATE),
}

from config.settings import *  # noqa: E402, F403 (the environment above comes first)
from config.settings import STATIC_ROOT, STORAGES  # noqa: E402

# Pages name their files plainly; `live_site` collects and serves them as production does.
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
STATIC_ROOT.mkdir()
# The slow hash is Django's, and tested there.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
