"""Activation: what only votes can do."""

import pytest

from governance import changes
from governance.models import AuditEvent, Change, PolicyHead
from tests.cast import approve, make_cast, make_change

pytestmark = pytest.mark.django_db


def test_an_approved_change_becomes_live() -> None:
    cast = make_cast()
    change = approve(make_change(cast), cast.owner)
    assert change.state == "approved"

    applied = changes.activate(change=change, by=cast.lead)

    head = PolicyHead.objects.get()
    assert (head.workflow, head.environment, head.change) == (cast.workflow, cast.production, applied)
    assert head.version == applied.revision.version
    assert Change.objects.get().state == "applied"
    event = AuditEvent.objects.about(applied).get(action="changes.activate")
    assert event.after["payload_digest"] == applied.revision.payload_digest
