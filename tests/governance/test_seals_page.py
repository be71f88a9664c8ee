"""What /audit/ says of the log: how far it is sealed and signed, and that something waits."""

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from governance import seals
from governance.models import AuditCheckpoint, AuditEpoch, AuditEvent
from tests.cast import make_cast
from tests.pages import signed_in, text


def test_the_page_says_how_far_the_log_is(live_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cast = make_cast()
    page = text(signed_in(cast.auditor).get(reverse("audit")))
    assert "Nothing is sealed yet" in page

    seals.seal(keys=Path(settings.KEYS), now=timezone.now())
    checkpoint = AuditCheckpoint.objects.get()
    page = text(signed_in(cast.auditor).get(reverse("audit")))
    assert f"Sealed up to entry {checkpoint.size} of the whole log" in page
    assert checkpoint.root[:12] in page

    # The entry of the log's beginning is left to the next turn, which does not come.
    last = AuditEvent.objects.newest_first()[0]
    assert seals.waiting_since() == last.at
    later = timezone.now() + timedelta(minutes=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert "Entries wait to be sealed" in text(signed_in(cast.auditor).get(reverse("audit")))
    seals.seal(keys=Path(settings.KEYS), now=later)
    assert seals.waiting_since() is None
    assert "Entries wait to be sealed" not in text(signed_in(cast.auditor).get(reverse("audit")))


def test_the_key_is_printed_once_there_is_a_log(live_database: Any, tmp_path: Path, settings: Any) -> None:
    said = StringIO()
    with pytest.raises(CommandError, match="Nothing is sealed yet"):
        call_command("audit_key", stdout=said)
    seals.seal(keys=Path(settings.KEYS), now=timezone.now())
    call_command("audit_key", stdout=said)
    assert said.getvalue().startswith(AuditEpoch.objects.get().origin + "+")
    settings.KEYS = tmp_path
    with pytest.raises(CommandError, match="bootstrap"):
        call_command("audit_key")
