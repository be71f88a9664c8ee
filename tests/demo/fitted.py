"""The demo's models for tests: fitted once for all workers of a session, for they never differ."""

import os
import shutil
from pathlib import Path

import pytest
from django.conf import settings

from demo.classifiers import fitting


def models_of(session: pytest.TempPathFactory) -> Path:
    """The texts and the fitted numbers below this worker's state, made by whichever worker needs them first."""
    own = session.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "models"
    fitting.prepare(shared, lambda _said: None)
    below: Path = settings.STATE / "models"
    # What was copied once may be in use.
    return below if below.exists() else Path(shutil.copytree(shared, below))
