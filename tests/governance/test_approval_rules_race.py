"""Rules that become stricter while a change becomes live, on two connections."""

import threading
from typing import Any

from django.db import connection, transaction

from governance import changes
from governance.errors import GovernanceError
from governance.models import Change, PolicyHead
from tests.cast import approve, make_cast, make_change


def test_no_activation_slips_past_rules_that_become_stricter_at_the_same_time(live_database: Any) -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    document = {"rules": [{"name": "Two", "votes": 2}]}
    stricter = changes.propose_approval_rules(document=document, title="Two", note="", by=cast.lead)
    stricter = approve(stricter, cast.second_lead)
    done, outcomes = threading.Event(), []

    def activate() -> None:
        done.wait(20)
        try:
            outcomes.append(changes.activate(change=change, by=cast.lead).state)
        except GovernanceError as error:
            outcomes.append(str(error))
        finally:
            connection.close()

    waiting = threading.Thread(target=activate)
    waiting.start()
    with transaction.atomic():
        changes.activate(change=stricter, by=cast.lead)
        done.set()
        waiting.join(0.5)
        assert waiting.is_alive(), "the activation did not wait for the rules"
    waiting.join(20)
    (said,) = outcomes
    assert "1 of 2 votes" in said
    assert not PolicyHead.objects.exists()
    assert Change.objects.get(pk=change.pk).state == "approved"
