"""What the stories share: a state directory whose models need no fitting."""

import shutil
from pathlib import Path

import pytest
from django.conf import settings

from demo.classifiers import fitting


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with nothing but the demo's fitted models, which the session fits once: they never differ."""
    fitting.prepare(settings.STATE / "models", lambda _said: None)
    made = tmp_path_factory.mktemp("story")
    shutil.copytree(settings.STATE / "models", made / "models")
    return made
