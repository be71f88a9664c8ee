"""Two who stop the same, or lift it, at once: one does, and the log says so once."""

from governance import stops
from governance.models import AuditEvent, Stop
from tests.at_once import at_once
from tests.cast import make_cast
from tests.conftest import LiveDatabase


def test_of_two_who_stop_and_lift_at_once_one_does(live_database: LiveDatabase) -> None:
    cast = make_cast()
    begun = at_once(
        lambda: stops.begin(workflow=cast.workflow, reason="harm", by=cast.lead),
        lambda: stops.begin(workflow=cast.workflow, reason="harm", by=cast.owner),
    )
    assert sorted(type(each).__name__ for each in begun) == ["InvalidInput", "Stop"]
    stop = Stop.objects.get()
    lifted = at_once(
        lambda: stops.lift(stop=stop, reason="mended", by=cast.lead),
        lambda: stops.lift(stop=stop, reason="mended", by=cast.owner),
    )
    assert sorted(type(each).__name__ for each in lifted) == ["InvalidInput", "Stop"]
    assert AuditEvent.objects.filter(action__in=["stops.begin", "stops.lift"]).count() == 2
