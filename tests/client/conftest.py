"""An application that decides in process, beside the control plane and the models of the gateway's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.shop import Shop
from tests.gateway.conftest import control as control
from tests.gateway.conftest import models as models
from tests.gateway.conftest import world as world
from tests.gateway.world import Control, World


@pytest.fixture
def shop(control: Control, world: World, tmp_path: Path) -> Iterator[Shop]:
    """An application's surroundings: the world is published, nothing runs yet."""
    control.publish(world)
    with Shop(control, world, tmp_path / "sdk") as made:
        yield made
