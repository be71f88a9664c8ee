"""The demo's real models and texts, made ready once per session below its state."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from demo.classifiers import fitting
from demo.classifiers.models import Classifiers
from tests.demo.servers import Server, started


@pytest.fixture(scope="session")
def models_directory() -> Path:
    """Where the session keeps the texts and the fitted numbers."""
    directory: Path = settings.STATE / "models"
    fitting.prepare(directory, lambda _said: None)
    return directory


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
