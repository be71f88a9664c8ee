"""What the stories share: a state directory whose models need no fitting."""

import shutil
from pathlib import Path

import pytest

from tests.demo.fitted import models_of


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with nothing but the demo's fitted models."""
    made = tmp_path_factory.mktemp("story")
    shutil.copytree(models_of(tmp_path_factory), made / "models")
    return made
