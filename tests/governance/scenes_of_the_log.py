"""How the verbs of the audit log itself are played: for the test that each leaves its entry."""

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from governance import audit_bodies, audit_exports, audit_samples, seals
from governance.models import AuditEvent
from tests.cast import Cast, make_audit_sample, make_person

Act = Callable[[], object]


def of_the_log(cast: Cast) -> dict[str, Callable[[], Act]]:
    """How each is played: the preparation, which returns the act itself."""
    given: dict[str, Any] = {"keys": Path(settings.KEYS), "now": timezone.now()}

    def make() -> Act:
        seals.seal(**given)
        return lambda: audit_exports.make(file=BytesIO(), bodies=False, by=cast.auditor, **given)

    def draw() -> Act:
        seals.seal(**given)
        now = given["now"]
        said: dict[str, Any] = {"acts": [], "since": now - timedelta(days=1), "until": now, "n": 5, "seed": "1"}
        return lambda: audit_samples.draw(purpose="", by=cast.auditor, now=now, **said)

    def make_of_sample() -> Act:
        sample = make_audit_sample(cast)
        return lambda: audit_exports.make_of_sample(file=BytesIO(), sample=sample, by=cast.auditor, **given)

    def erase() -> Act:
        (event,) = AuditEvent.objects.about(make_person("Somebody")).filter(action="accounts.create_person")
        return lambda: audit_bodies.erase(event=event, reason="asked for", by=cast.lead, now=given["now"])

    return {
        "audit_bodies.erase": erase,
        "audit_exports.make_of_sample": make_of_sample,
        "audit_exports.make": make,
        "audit_samples.draw": draw,
    }
