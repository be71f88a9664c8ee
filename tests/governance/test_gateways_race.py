"""Two processes of one application that come for the first time at once."""

from governance import gateways
from governance.models import Gateway
from tests.at_once import at_once
from tests.cast import make_cast, make_key
from tests.conftest import LiveDatabase


def test_two_processes_that_come_at_once_stand_as_one(live_database: LiveDatabase) -> None:
    cast = make_cast()
    key, _token = make_key(cast)
    first, second = at_once(lambda: gateways.of_key(key), lambda: gateways.of_key(key))
    assert first == second
    assert Gateway.objects.filter(key=key).count() == 1
