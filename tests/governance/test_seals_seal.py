"""Sealing: every committed event exactly once and in order, whoever else writes, and whatever dies."""

import base64
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection, transaction

from config.celery import app
from governance import audit, audit_lines, audit_verifier, checkpoints, seals, tasks
from governance.models import AuditCheckpoint, AuditEpoch, AuditEvent, AuditLeaf, AuditNode, Team
from smallfirst import merkle
from smallfirst.seal import read_key_file
from tests.at_once import at_once
from tests.cast import BOOTSTRAP, make_cast, make_live, make_team

ROOT = Path(__file__).parents[2]
KEYS = Path(settings.KEYS)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def note(team: Team, count: int = 1) -> None:
    """Write some entries."""
    with transaction.atomic():
        for _ in range(count):
            audit.record(action="teams.note", actor=BOOTSTRAP, object=team, summary="Noted")


def sealed() -> list[Any]:
    """The events in the order of their leaves; the log is whole, or this fails."""
    leaves = list(AuditLeaf.objects.order_by("index"))
    assert [leaf.index for leaf in leaves] == list(range(len(leaves)))
    events = AuditEvent.objects.in_bulk([leaf.event_id for leaf in leaves])
    frontier = merkle.Frontier()
    for leaf in leaves:
        event = events[leaf.event_id]
        data = bytes.fromhex(event.entry_hash) + event.xid.to_bytes(8, "big")
        assert leaf.hash == merkle.leaf_hash(data).hex()
        frontier.append(bytes.fromhex(leaf.hash))
    assert merkle.root_of(len(leaves), seals.Stored()) == frontier.root()
    return [leaf.event_id for leaf in leaves]


def seal(now: datetime = NOW) -> int:
    return seals.seal(keys=KEYS, now=now)


def test_events_become_leaves_and_the_root_is_signed(live_database: Any) -> None:
    team = make_team("Team")
    note(team, 3)
    # A log begins with what is there; its own beginning is an event, sealed in the next round.
    assert seal() == 4
    assert seal(NOW + MINUTE) == 1
    assert sealed() == list(AuditEvent.objects.order_by("xid", "id").values_list("pk", flat=True))
    epoch, checkpoint = AuditEpoch.objects.get(), AuditCheckpoint.objects.get(number=2)
    begun = AuditEvent.objects.get(action="seals.begin_epoch")
    assert begun.after
    assert begun.after["system_identifier"] == epoch.system_identifier
    assert (epoch.number, epoch.size, checkpoint.size) == (1, 4, 5)

    text, _, signature = checkpoint.note.partition("\n\n")
    root = base64.b64encode(bytes.fromhex(checkpoint.root)).decode()
    assert text.splitlines() == [epoch.origin, "5", root, "at 2026-11-27T12:01:00.000000Z"]
    _, name, stamped = signature.split()
    raw = base64.b64decode(stamped)
    secret = read_key_file(KEYS / checkpoints.KEY_FILE)
    assert name == epoch.origin
    assert checkpoints.verification_key(epoch.origin, secret).split("+")[1] == raw[:4].hex()
    Ed25519PrivateKey.from_private_bytes(secret).public_key().verify(raw[4:], f"{text}\n".encode())


def test_what_has_not_ended_waits_and_is_not_passed_over(live_database: Any) -> None:
    team = make_team("Team")
    seal()
    seal()
    with psycopg.connect(live_database.url) as other:
        # Takes its number before the other's event, and commits after it.
        held = other.execute("SELECT pg_current_xact_id()").fetchone()
        note(team)
        assert held
        assert seal() == 0
        other.rollback()
    assert seal() == 1
    assert seal() == 0
    assert len(sealed()) == AuditEvent.objects.count()


def test_a_checkpoint_follows_a_minute_after_the_last_unless_a_policy_became_live(live_database: Any) -> None:
    cast = make_cast()
    seal()
    seal()
    note(cast.team)
    assert seal(NOW + MINUTE / 2) == 1
    assert AuditCheckpoint.objects.count() == 1
    # Nothing new comes, and still what was added is signed when the minute is over; once.
    assert seal(NOW + MINUTE) == 0
    assert seal(NOW + 3 * MINUTE) == 0
    assert list(AuditCheckpoint.objects.order_by("number").values_list("at", flat=True)) == [NOW, NOW + MINUTE]

    make_live(cast)
    seal(NOW + MINUTE + timedelta(seconds=1))
    last = AuditCheckpoint.objects.order_by("-number").first()
    assert last
    assert (last.number, last.size) == (3, seals.size())


def test_a_log_from_another_cluster_begins_an_epoch(live_database: Any) -> None:
    team = make_team("Team")
    seal()
    note(team, 2)
    with psycopg.connect(live_database.migrator_url) as server:
        server.execute("SET LOCAL ROLE smallfirst_audit")
        server.execute("ALTER TABLE governance_auditepoch DISABLE TRIGGER USER")
        server.execute("UPDATE governance_auditepoch SET system_identifier = '1'")
        # As after a restore: what waits has an xid that this cluster has yet to come to.
        server.execute("ALTER TABLE governance_auditevent DISABLE TRIGGER USER")
        ahead = "UPDATE governance_auditevent SET xid = (pg_current_xact_id()::text::bigint + 5)::text::xid8"
        server.execute(f"{ahead} WHERE action = 'teams.note'")
    seal(NOW + MINUTE)
    # All but the entry of the new beginning itself.
    assert seals.size() == AuditEvent.objects.count() - 1
    first, second = AuditEpoch.objects.order_by("number")
    assert (second.number, second.origin, second.size) == (2, first.origin, seals.size())
    for _ in range(10):
        note(team)
        seal(NOW + MINUTE)
    seal(NOW + MINUTE)
    assert len(sealed()) == len(set(sealed())) == AuditEvent.objects.count()


def test_a_log_goes_on_beyond_the_nodes_it_has(live_database: Any) -> None:
    team = make_team("Team")
    for count in (200, 57, 300):
        note(team, count)
        seal()
    sealed()
    assert list(AuditNode.objects.order_by("index").values_list("level", "index")) == [(1, 0), (1, 1)]
    size, stored = seals.size(), seals.Stored()
    leaf = AuditLeaf.objects.get(index=300)
    proof = merkle.inclusion_proof(300, size, stored)
    root = merkle.root_of(size, stored)
    assert merkle.included(index=300, size=size, leaf=bytes.fromhex(leaf.hash), proof=proof, root=root)


def test_two_sealers_do_not_seal_twice(live_database: Any) -> None:
    note(make_team("Team"), 50)
    at_once(*[seal] * 4)
    seal()
    assert len(sealed()) == AuditEvent.objects.count()
    assert AuditEpoch.objects.count() == 1


def sealer_of(database_url: str) -> "subprocess.Popen[bytes]":
    """A process that seals and seals; it says so in a line when it begins."""
    code = (
        "import django; django.setup()\n"
        "from governance import tasks\n"
        "print('on', flush=True)\n"
        "while True: tasks.seal_audit()\n"
    )
    environment = os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE)


def test_writers_hold_transactions_open_and_a_sealer_is_killed(live_database: Any) -> None:
    """64 writers beside three sealers, two of them killed with -9: all that committed is sealed, once, and holds."""
    team = make_team("Team")
    seal()
    over = threading.Event()

    def write(seed: int) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            with transaction.atomic():
                audit.record(action="teams.note", actor=BOOTSTRAP, object=team, summary="Early")
                time.sleep(dice.random() * 0.04)
                audit.record(action="teams.note", actor=BOOTSTRAP, object=team, summary="Late")
                transaction.set_rollback(dice.random() < 0.2)

    def seal_on() -> None:
        while not over.is_set():
            seal()

    def kill() -> None:
        try:
            with sealer_of(live_database.url) as first, sealer_of(live_database.url) as second:
                for each in (first, second):
                    assert each.stdout
                    assert each.stdout.readline() == b"on\n"
                for each in (first, second):
                    time.sleep(0.1)
                    each.send_signal(signal.SIGKILL)
        finally:
            over.set()

    acts = [lambda seed=seed: write(seed) for seed in range(64)]
    assert at_once(kill, seal_on, *acts) == [None] * 66
    # The processes sealed by the real clock.
    later = datetime.now(UTC) + 2 * MINUTE
    seal(later)
    events = sealed()
    assert len(events) == len(set(events)) == AuditEvent.objects.count() > 100
    assert sorted(events) == sorted(AuditEvent.objects.values_list("pk", flat=True))
    # The verifier, which knows nothing of how it came about, says the same.
    check = audit_verifier.Check()
    assert list(check.faults(audit_lines.whole(keys=KEYS, now=later))) == []
    assert (check.entries, check.last and check.last.size) == (len(events), len(events))


def test_the_application_can_seal_and_not_undo_it(live_database: Any) -> None:
    make_team("Team")
    seal()
    seal()
    for table in ("leaf", "node", "checkpoint", "epoch"):
        for statement in ("DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            with psycopg.connect(live_database.url) as server, pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.execute(statement.format(f"governance_audit{table}"))
    assert len(sealed()) == AuditEvent.objects.count()


def test_without_a_key_nothing_is_sealed(live_database: Any, tmp_path: Path) -> None:
    make_team("Team")
    with pytest.raises(FileNotFoundError):
        seals.seal(keys=tmp_path, now=NOW)
    assert (seals.size(), AuditEpoch.objects.count()) == (0, 0)


def test_it_happens_by_itself_twice_a_second(live_database: Any) -> None:
    entry = app.conf.beat_schedule[tasks.seal_audit.name]
    assert entry["schedule"] == 0.5
    make_team("Team")
    tasks.seal_audit()
    tasks.seal_audit()
    assert seals.size() == AuditEvent.objects.count() > 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert cursor.fetchone() == (0,)
