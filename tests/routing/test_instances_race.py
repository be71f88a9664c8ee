"""An instance that asks twice at once stands once."""

import pytest
from django.utils import timezone

from governance import gateways
from routing import instances
from routing.instances import Said
from routing.models import Instance
from tests.at_once import at_once
from tests.cast import BOOTSTRAP, make_cast
from tests.conftest import LiveDatabase

pytestmark = pytest.mark.usefixtures("installation_keys")


def test_one_that_asks_twice_at_once_stands_once(live_database: LiveDatabase) -> None:
    cast, now = make_cast(), timezone.now()
    gateway, _ = gateways.register(name="Shop floor", environment=cast.production, by=BOOTSTRAP)
    same = Said(name="one", host="", program="", version="", held=None, proof="", refused="")
    at_once(*[lambda: instances.note(gateway=gateway, said=same, now=now)] * 6)
    assert Instance.objects.count() == 1
