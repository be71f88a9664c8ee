"""What verifiers find: any changed column of any audit table, what was dropped, and a log written anew."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import models, transaction
from psycopg import sql
from psycopg.types.json import Jsonb

from governance import audit, audit_lines, audit_verifier, canonical, checkpoints, seals
from governance.models import (
    AuditBody,
    AuditCheckpoint,
    AuditEpoch,
    AuditEvent,
    AuditLeaf,
    AuditNode,
    Team,
    new_id,
)
from smallfirst import merkle
from smallfirst.seal import read_key_file
from tests.cast import BOOTSTRAP, make_person, make_team
from tests.governance import second_verifier

# Later than what is written below, for entries that were never sealed are late by then.
NOW = datetime(2100, 1, 1, tzinfo=UTC)
TABLES: tuple[type[models.Model], ...] = (AuditEvent, AuditBody, AuditLeaf, AuditNode, AuditCheckpoint, AuditEpoch)


def written(team: Team, count: int) -> None:
    """Entries, the first with a body."""
    with transaction.atomic():
        for number in range(count):
            audit.record(
                action="teams.note",
                actor=BOOTSTRAP,
                object=team,
                summary=f"Noted {number}",
                before={"n": number},
                body={"phone": "030 1234"} if number == 0 else None,
            )


@pytest.fixture
def keys(settings: Any) -> Path:
    """The directory of the keys."""
    return Path(settings.KEYS)


@pytest.fixture
def log(live_database: Any, keys: Path) -> Any:
    """A log with a node, two checkpoints and bodies."""
    team = make_team("Team")
    make_person("Someone")
    for number, count in enumerate((3, 260)):
        written(team, count)
        seals.seal(keys=keys, now=NOW + timedelta(minutes=number))
    return live_database


def lines(keys: Path, **given: Any) -> list[dict[str, Any]]:
    """The log as an export holds it: what JSON makes of it."""
    return [json.loads(json.dumps(line)) for line in audit_lines.whole(keys=keys, now=NOW, **given)]


def verdict(keys: Path, *, held: tuple[str, ...] = ()) -> list[str]:
    """What the verifier finds; the second one agrees whether there is anything."""
    key, read = str(seals.verification_key(keys)), lines(keys)
    check = audit_verifier.Check(keys=[key], held=[audit_verifier.parsed(note) for note in held])
    found = [str(fault) for fault in check.faults(read)]
    assert second_verifier.holds(read, key=key, held=held) == (not found), found
    return found


def owner(url: str, *tables: type[models.Model]) -> "psycopg.Connection[Any]":
    """A connection that may do everything to the audit tables, as the owner of the database could."""
    server = psycopg.connect(url, autocommit=True)
    server.execute("SET ROLE smallfirst_audit")
    for table in tables or TABLES:
        server.execute(f"ALTER TABLE {table._meta.db_table} DISABLE TRIGGER USER")
    return server


def other(column: str, value: Any) -> Any:
    """A value that differs as little as its column lets it."""
    match value:
        case datetime():
            return value + timedelta(microseconds=1)
        case UUID():
            return UUID(int=value.int ^ 1)
        case int():
            return value + 1000
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case dict():
            return Jsonb(value | {"n": 7})
        case list():
            return value[1:] if value else ["other"]
        case "service" | "person":
            return {"service": "person", "person": "service"}[value]
        case "done":
            return "refused"
        case str() if value:
            first, second = "01" if value.isdecimal() else "ab"
            return value[:-1] + (first if value[-1] != first else second)
    nothing: dict[str, Any] = {"team": new_id(), "body_digest": "0" * 64, "after": Jsonb({}), "before": Jsonb({})}
    return nothing.get(column, "other")


def changed(table: type[models.Model], column: str, value: Any) -> dict[str, Any]:
    """What is written to change one column. A body is erased whole, and moved only to an entry that is there."""
    if (table, column) == (AuditBody, "erased_at"):
        return {"erased_at": NOW, "salt": None, "content": None}
    if (table, column) == (AuditBody, "event_id"):
        return {"event_id": AuditEvent.objects.filter(body_digest=None).values_list("pk", flat=True)[0]}
    # A sample has no more than a thousand.
    return {column: value + 1 if column == "n" else other(column, value)}


def changes(
    server: "psycopg.Connection[Any]", tables: tuple[type[models.Model], ...] = TABLES
) -> Iterator[tuple[str, str]]:
    """Change every column of every audit table, one row and one column at a time, and undo it: (table, column)."""

    def update(place: str, given: dict[str, Any]) -> str:
        sets = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(each)) for each in given)
        row = server.execute(
            sql.SQL("UPDATE {} SET {} WHERE ctid = %s RETURNING ctid::text").format(name, sets),
            [*given.values(), place],
        ).fetchone()
        assert row
        return str(row[0])

    for table in tables:
        name = sql.Identifier(table._meta.db_table)
        for column in [field.column for field in table._meta.concrete_fields if field.column]:
            # A row in the middle; of entries one without a body, whose foreign key would hold it.
            some = sql.SQL("body_digest IS NULL" if table is AuditEvent else "true")
            middle = (
                "SELECT ctid::text, t.* FROM {0} t WHERE {1} ORDER BY 2 OFFSET (SELECT count(*) / 2 FROM {0} WHERE {1})"
            )
            found = server.execute(sql.SQL(middle).format(name, some))
            names = [each.name for each in found.description or ()]
            row = dict(zip(names, found.fetchone() or (), strict=True))
            given = changed(table, column, row[column])
            place = update(row["ctid"], given)
            yield table.__name__, column
            before = {each: row[each] for each in given}
            update(place, {each: Jsonb(old) if isinstance(old, dict) else old for each, old in before.items()})


def test_an_honest_log_holds(log: Any, keys: Path) -> None:
    assert verdict(keys) == []
    said = StringIO()
    call_command("audit_verify", stdout=said)
    assert f"{AuditEvent.objects.count():,} entries and 2 checkpoints of {AuditEpoch.objects.get().origin} hold" in (
        said.getvalue()
    )


def test_a_change_of_any_column_is_found(log: Any, keys: Path) -> None:
    tried = set()
    with owner(log.migrator_url) as server:
        for change in changes(server):
            tried.add(change)
            assert verdict(keys), change
    assert len(tried) == sum(len([f for f in table._meta.concrete_fields if f.column]) for table in TABLES) >= 45
    assert verdict(keys) == []


def test_the_changed_row_is_named(log: Any, keys: Path) -> None:
    entry = AuditEvent.objects.filter(action="teams.note")[100]
    leaf = AuditLeaf.objects.get(event_id=entry.pk)
    with owner(log.migrator_url) as server:
        server.execute("UPDATE governance_auditevent SET reason = 'By telephone.' WHERE id = %s", [entry.pk])
        assert verdict(keys) == [f"entry {entry.pk} (leaf {leaf.index}): it is not what its hash was made of"]
        # With its hash made anew it is still not what was sealed.
        entry.reason = "By telephone."
        anew = audit.entry_hash(entry)
        server.execute("UPDATE governance_auditevent SET entry_hash = %s WHERE id = %s", [anew, entry.pk])
        assert verdict(keys) == [f"entry {entry.pk} (leaf {leaf.index}): it is not what was sealed"]
        # And with its leaf made anew, the node above and the roots that were signed are not.
        moved = merkle.leaf_of(anew, entry.xid).hex()
        server.execute("UPDATE governance_auditleaf SET hash = %s WHERE event_id = %s", [moved, entry.pk])
        assert verdict(keys) == [
            "node 0 of level 1: it is not that of the leaves below it",
            "checkpoint 2: the log had another root when it had 266 entries: one after 5 was exchanged",
        ]
    said = StringIO()
    with pytest.raises(CommandError, match="2 faults in 266 entries") as raised:
        call_command("audit_verify", stdout=said)
    assert raised.value.returncode == 1
    assert "node 0 of level 1" in said.getvalue()


DROPPED = {
    ("auditleaf", "index = 50"): "leaf 50: it is gone",
    ("auditevent", "id = (SELECT event_id FROM governance_auditleaf WHERE index = 50)"): "leaf 50: its entry ",
    ("auditbody", "ctid = (SELECT min(ctid) FROM governance_auditbody)"): "its body is gone",
    ("auditnode", "true"): "node 0 of level 1: it is gone",
    ("auditcheckpoint", "number = 1"): "checkpoint 2: it stands where checkpoint 1 should",
    ("auditleaf", "index > 200"): "it counts 266 entries, and stands after 201",
}


def test_what_is_dropped_is_missed(log: Any, keys: Path) -> None:
    with owner(log.migrator_url) as server:
        for (table, where), found in DROPPED.items():
            rows = server.execute(f"DELETE FROM governance_{table} WHERE {where} RETURNING *").fetchall()  # noqa: S608
            assert [text for text in verdict(keys) if found in text], found
            for row in rows:
                values = [Jsonb(value) if isinstance(value, dict) else value for value in row]
                places = ", ".join(["%s"] * len(row))
                server.execute(f"INSERT INTO governance_{table} VALUES ({places})", values)  # noqa: S608
        assert verdict(keys) == []
        server.execute("DELETE FROM governance_auditepoch")
    with pytest.raises(CommandError) as raised:
        call_command("audit_verify", stdout=StringIO())
    assert raised.value.returncode == 2


def test_a_dropped_tail_is_missed_by_who_holds_a_checkpoint(log: Any, keys: Path) -> None:
    held = AuditCheckpoint.objects.get(number=2).note
    assert verdict(keys, held=(held,)) == []
    with owner(log.migrator_url) as server:
        server.execute("DELETE FROM governance_auditcheckpoint WHERE number = 2")
        server.execute("DELETE FROM governance_auditnode")
        tail = "(SELECT event_id FROM governance_auditleaf WHERE index >= 200)"
        server.execute(f"DELETE FROM governance_auditevent WHERE id IN {tail}")  # noqa: S608
        server.execute("DELETE FROM governance_auditleaf WHERE index >= 200")
    # Nothing that is left tells it.
    assert verdict(keys) == []
    assert verdict(keys, held=(held,)) == [
        "the end of the log: the checkpoint held elsewhere counts 266 entries, and here are 200"
    ]


def test_a_log_written_anew_is_found_by_who_holds_a_checkpoint(log: Any, keys: Path, tmp_path: Path) -> None:
    """Whoever owns database and key changes an entry and makes all anew: hashes, leaves, nodes, roots, signatures."""
    first, second = AuditCheckpoint.objects.order_by("number")
    entry = AuditEvent.objects.filter(action="teams.note")[100]
    entry.reason = "By telephone."
    with owner(log.migrator_url) as server:
        change = "UPDATE governance_auditevent SET reason = %s, entry_hash = %s WHERE id = %s"
        server.execute(change, [entry.reason, audit.entry_hash(entry), entry.pk])
        frontier = merkle.Frontier()
        roots = {}
        for leaf in AuditLeaf.objects.order_by("index"):
            event = AuditEvent.objects.get(pk=leaf.event_id)
            value = merkle.leaf_of(event.entry_hash, event.xid)
            server.execute("UPDATE governance_auditleaf SET hash = %s WHERE index = %s", [value.hex(), leaf.index])
            for height, index, found in frontier.append(value):
                if height == 8:
                    anew = "UPDATE governance_auditnode SET hash = %s WHERE index = %s"
                    server.execute(anew, [found.hex(), index])
            roots[frontier.size] = frontier.root()
        secret = read_key_file(keys / checkpoints.KEY_FILE)
        for each in (first, second):
            said: dict[str, Any] = {"size": each.size, "root": roots[each.size], "at": each.at, "secret": secret}
            note = checkpoints.signed(origin=AuditEpoch.objects.get().origin, **said)
            server.execute(
                "UPDATE governance_auditcheckpoint SET root = %s, note = %s WHERE number = %s",
                [roots[each.size].hex(), note, each.number],
            )
    assert verdict(keys) == []
    # The first was signed before the entry that was exchanged.
    assert verdict(keys, held=(first.note,)) == []
    told = "the checkpoint held elsewhere: the log had another root when it had 266 entries: one after 5 was exchanged"
    assert verdict(keys, held=(first.note, second.note)) == [told]

    path = tmp_path / "held.txt"
    path.write_text(first.note + second.note)
    with pytest.raises(CommandError) as raised:
        call_command("audit_verify", against=[path], stdout=StringIO())
    assert raised.value.returncode == 1


def test_an_auditor_verifies_an_export_without_us(log: Any, keys: Path, tmp_path: Path) -> None:
    export, held = tmp_path / "audit.zip", tmp_path / "held.txt"
    held.write_text(AuditCheckpoint.objects.get(number=2).note)
    call_command("audit_export", export, bodies=True, stdout=StringIO())
    with zipfile.ZipFile(export) as content:
        content.extractall(tmp_path / "out")
    key = (tmp_path / "out" / "key.txt").read_text().strip()
    assert key == seals.verification_key(keys)

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        # -I: nothing of the checkout is found, so what the file imports is there without it.
        command = [sys.executable, "-I", tmp_path / "out" / "audit_verifier.py", *words]
        return subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run(export, "--key", key, "--against", held)
    assert (done.returncode, done.stderr) == (0, "")
    assert "entries and 2 checkpoints of" in done.stdout
    assert "the export’s own" in run(tmp_path / "out" / "log.jsonl").stdout

    lines = (tmp_path / "out" / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "log.jsonl").write_text("".join(lines).replace("Noted 77", "Noted 78", 1))
    done = run(tmp_path / "log.jsonl", "--key", key)
    assert done.returncode == 1
    assert "it is not what its hash was made of" in done.stdout
    (tmp_path / "log.jsonl").write_text("".join(lines[:-1]))
    assert run(tmp_path / "log.jsonl", "--key", key).returncode == 1
    for nothing in ("", "{}", "no"):
        (tmp_path / "log.jsonl").write_text(nothing)
        assert run(tmp_path / "log.jsonl").returncode == 2
    assert run(export, "--key", key[:-8]).returncode == 2


def test_an_export_is_an_entry_and_holds_bodies_only_when_asked(log: Any, tmp_path: Path) -> None:
    call_command("audit_export", tmp_path / "masked.zip", stdout=StringIO())
    entry = AuditEvent.objects.get(action="audit_exports.make")
    assert entry.after == {"bodies": False, "checkpoint": 2}
    with zipfile.ZipFile(tmp_path / "masked.zip") as content:
        assert "030 1234" not in content.read("log.jsonl").decode()
    assert audit_verifier.main([str(tmp_path / "masked.zip")]) == 0
    with pytest.raises(CommandError, match="is there already"):
        call_command("audit_export", tmp_path / "masked.zip")


def test_it_can_begin_after_a_checkpoint(log: Any, keys: Path) -> None:
    first = AuditCheckpoint.objects.get(number=1)
    assert len(lines(keys, since=1)) < len(lines(keys))
    call_command("audit_verify", since=1, stdout=StringIO())
    call_command("audit_verify", since=2, stdout=StringIO())
    with pytest.raises(CommandError, match="no checkpoint 9") as raised:
        call_command("audit_verify", since=9)
    assert raised.value.returncode == 2
    with owner(log.migrator_url) as server:
        server.execute("UPDATE governance_auditleaf SET hash = %s WHERE index = %s", ["0" * 64, first.size])
        with pytest.raises(CommandError, match="faults"):
            call_command("audit_verify", since=1, stdout=StringIO())
        server.execute("UPDATE governance_auditleaf SET hash = %s WHERE index = 0", ["0" * 64])
        with pytest.raises(CommandError, match="faults"):
            call_command("audit_verify", since=1, stdout=StringIO())


def test_another_key_and_an_entry_that_was_never_sealed_are_found(log: Any, keys: Path) -> None:
    stranger = checkpoints.verification_key(AuditEpoch.objects.get().origin, bytes(range(32)))
    found = list(audit_verifier.Check(keys=[stranger]).faults(lines(keys)))
    assert {str(fault) for fault in found} == {f"checkpoint {n}: none of the log’s keys signed it" for n in (1, 2)}
    written(Team.objects.get(), 1)
    late = AuditEvent.objects.newest_first()[0]
    assert verdict_of_first(keys) == [f"entry {late.pk}: it was never sealed"]


def verdict_of_first(keys: Path) -> list[str]:
    """What the first verifier finds; when an entry is late is none of the second's business."""
    return [str(fault) for fault in audit_verifier.Check().faults(lines(keys))]


def test_before_anything_is_sealed_there_is_nothing_to_verify(live_database: Any) -> None:
    make_team("Team")
    for command in (["audit_verify"], ["audit_export", "never.zip"]):
        with pytest.raises(CommandError, match="Nothing is sealed yet"):
            call_command(*command)
    assert not Path("never.zip").exists()


def test_the_verifier_writes_the_same_canonical_bytes() -> None:
    values: list[Any] = [{"b": [1, "é\u2028"], "a": None, "\U0001f600": True, "\ufb33": '\x1f"\\'}, [], {}, -1, "\x7f"]
    for value in values:
        assert audit_verifier.canonical(value) == canonical.encode(value)
    with pytest.raises(audit_verifier.UnreadableError):
        audit_verifier.canonical({"a": 0.5})
