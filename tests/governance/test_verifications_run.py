"""The log verified by itself: what was found is an entry, a banner, a sentence; entries show their proof."""

import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.urls import reverse
from django.utils import timezone

from config.celery import app
from governance import anchors, audit_verifier, seals, tasks, verifications
from governance.models import AuditCheckpoint, AuditEvent
from tests.cast import Cast, make_cast, make_live
from tests.pages import signed_in, text

GUARDS = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'governance_auditevent'::regclass AND NOT tgisinternal"
BANNER = "The audit log does not hold"


@pytest.fixture
def keys(settings: Any) -> Path:
    """The directory of the keys."""
    return Path(settings.KEYS)


@pytest.fixture
def cast(live_database: Any, keys: Path) -> Cast:
    """People and a policy, all of it sealed and signed."""
    made = make_cast()
    make_live(made)
    for minutes in (0, 1):
        seals.seal(keys=keys, now=timezone.now() + timedelta(minutes=minutes))
    return made


def forge(url: str) -> AuditEvent:
    """Change the reason of a vote, as the owner of the table could; the entry."""
    vote = AuditEvent.objects.filter(action="changes.vote").latest("at")
    with psycopg.connect(url) as server:
        server.execute("SET LOCAL ROLE smallfirst_audit")
        server.execute("ALTER TABLE governance_auditevent DISABLE TRIGGER USER")
        server.execute("UPDATE governance_auditevent SET reason = 'By telephone.' WHERE id = %s", [vote.pk])
        for (name,) in server.execute(GUARDS).fetchall():
            server.execute(f"ALTER TABLE governance_auditevent ENABLE ALWAYS TRIGGER {name}")
    return vote


def run(keys: Path, *places: Path, days: int = 0) -> list[str]:
    """Verify now, or so many days from now."""
    now = timezone.now() + timedelta(days=days)
    return verifications.run(keys=keys, places=map(str, places), now=now)


def test_what_was_found_is_an_entry_when_it_is_news(cast: Cast, keys: Path, live_database: Any) -> None:
    assert run(keys) == run(keys) == []
    entry = verifications.runs().get()
    assert entry.summary == f"Verified {AuditEvent.objects.count() - 1} entries of the audit log: all of it holds"
    assert entry.after == {"entries": AuditEvent.objects.count() - 1, "checkpoints": 2, "faults": 0, "told": []}

    vote = forge(live_database.migrator_url)
    (fault,) = run(keys)
    assert fault.startswith(f"entry {vote.pk} (leaf ")
    assert run(keys) == [fault]
    assert verifications.runs().count() == 2
    latest = verifications.latest()
    assert latest
    assert latest.after
    assert (latest.after["faults"], latest.after["told"]) == (1, [fault])


def test_it_asks_the_anchors_of_this_machine(cast: Cast, keys: Path, tmp_path: Path, live_database: Any) -> None:
    file = tmp_path / "held.txt"
    anchors.hold(places={"file": str(file)}, clock=timezone.now)
    assert run(keys, file, tmp_path / "nowhere") == []
    with psycopg.connect(live_database.migrator_url) as server:
        server.execute("SET LOCAL ROLE smallfirst_audit")
        for table in ("auditleaf", "auditcheckpoint"):
            server.execute(f"ALTER TABLE governance_{table} DISABLE TRIGGER USER")
        size = AuditCheckpoint.objects.get(number=1).size
        server.execute("DELETE FROM governance_auditcheckpoint WHERE number = 2")
        server.execute("DELETE FROM governance_auditleaf WHERE index >= %s", [size])
    assert [fault for fault in run(keys, file) if "held elsewhere counts" in fault]


def test_who_may_read_the_log_is_told_on_every_page(cast: Cast, keys: Path, live_database: Any) -> None:
    lead, reviewer = signed_in(cast.lead), signed_in(cast.reviewer)
    run(keys)
    assert BANNER not in text(lead.get(reverse("workflows")))
    vote = forge(live_database.migrator_url)
    run(keys)
    assert BANNER in text(lead.get(reverse("workflows")))
    assert BANNER not in text(reviewer.get(reverse("workflows")))
    page = text(lead.get(reverse("audit")))
    assert "found 1 fault" in page
    assert str(vote.pk) in page
    assert "This entry was changed" in text(lead.get(reverse("audit_entry", args=[vote.pk])))


def test_an_entry_shows_what_leads_to_a_signed_root(cast: Cast, keys: Path) -> None:
    auditor = signed_in(cast.auditor)
    vote = AuditEvent.objects.filter(action="changes.vote").latest("at")
    page = text(auditor.get(reverse("audit_entry", args=[vote.pk])))
    assert "This entry is unchanged, and stands in the log" in page
    assert AuditCheckpoint.objects.get(number=2).root in page
    run(keys)
    waiting = AuditEvent.objects.newest_first()[0]
    assert "waits for its seal" in text(auditor.get(reverse("audit_entry", args=[waiting.pk])))
    seals.seal(keys=keys, now=timezone.now())
    assert "This entry is sealed" in text(auditor.get(reverse("audit_entry", args=[waiting.pk])))


def test_the_log_is_taken_from_the_page_and_verified_elsewhere(cast: Cast, tmp_path: Path) -> None:
    answer = signed_in(cast.auditor).post(reverse("audit_export"))
    assert answer.status_code == 200
    content = b"".join(answer)
    (tmp_path / "audit.zip").write_bytes(content)
    assert audit_verifier.main([str(tmp_path / "audit.zip")]) == 0
    names = {"README.txt", "log.jsonl", "checkpoint.txt", "key.txt", "audit_verifier.py"}
    assert set(zipfile.ZipFile(io.BytesIO(content)).namelist()) == names
    taken = AuditEvent.objects.get(action="audit_exports.make")
    assert (taken.actor_id, taken.after) == (str(cast.auditor.pk), {"bodies": False, "checkpoint": 2})

    # Who reads the log of one team alone does not take the whole, and asking is no entry.
    assert signed_in(cast.stranger).post(reverse("audit_export")).status_code == 403
    assert signed_in(cast.auditor).get(reverse("audit_export")).status_code == 405
    assert AuditEvent.objects.filter(action="audit_exports.make").count() == 1


def test_it_happens_by_itself_and_waits_for_a_log(live_database: Any, settings: Any, tmp_path: Path) -> None:
    assert app.conf.beat_schedule[tasks.verify_audit.name]["schedule"] == 3600
    settings.AUDIT_ANCHORS = {"file": str(tmp_path / "held.txt"), "git": "", "webhook": ""}
    tasks.verify_audit()
    assert verifications.latest() is None
    make_cast()
    tasks.seal_audit()
    tasks.verify_audit()
    assert verifications.latest()
