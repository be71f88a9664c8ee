"""The demo's real models and texts, made ready once per session below its state."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.classifiers.models import Classifiers
from tests.demo.fitted import models_of
from tests.demo.servers import Server, started


@pytest.fixture(scope="session")
def models_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session keeps the texts and the fitted numbers."""
    return models_of(tmp_path_factory)


@pytest.fixture(scope="session")
def classifiers(models_directory: Path) -> Classifiers:
    """The real models, fitted to the real texts."""
    loaded = Classifiers.load(models_directory)
    assert loaded
    return loaded


@pytest.fixture(scope="session")
def server(models_directory: Path, free_port: Callable[[], int]) -> Iterator[Server]:
    """The classifiers' server, ready."""
    with started("demo.classifiers", free_port(), models_directory.parent) as running:
        running.wait()
        yield running
