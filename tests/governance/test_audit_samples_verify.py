"""What the verifiers find of samples: in the whole log, in a sample's own export, and in both together."""

import copy
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from governance import audit, audit_exports, audit_samples, audit_verifier, seals
from governance.models import AuditCheckpoint, AuditEvent, AuditSample, Team, User, new_id
from governance.permissions import Role
from tests.cast import BOOTSTRAP, make_person, make_team
from tests.governance import second_verifier
from tests.governance.test_audit_verify import changes, lines, owner, verdict
from tests.pages import signed_in

# Later than what is written below.
NOW = datetime(2100, 1, 1, tzinfo=UTC)
START = datetime(2000, 1, 1, tzinfo=UTC)

Row = dict[str, Any]


@pytest.fixture
def keys(settings: Any) -> Path:
    """The directory of the keys."""
    return Path(settings.KEYS)


@pytest.fixture
def auditor(live_database: Any) -> User:
    """An auditor beside a log of some forty entries of two kinds, one with a personal part."""
    team = make_team("Team")
    with transaction.atomic():
        for number in range(40):
            act, body = ("teams.note", "teams.other")[number % 3 == 0], {"phone": "1"} if number == 0 else None
            audit.record(
                action=act, actor=BOOTSTRAP, object=team, summary=f"Noted {number}", after={"n": number}, body=body
            )
    return make_person("Auditor", Role.AUDITOR)


@pytest.fixture
def sample(auditor: User, keys: Path) -> AuditSample:
    """Five of the notes, drawn under the first checkpoint; the second was signed over the entry of the draw."""
    seals.seal(keys=keys, now=NOW)
    drawn = draw(auditor)
    seals.seal(keys=keys, now=NOW + timedelta(minutes=2))
    assert AuditCheckpoint.objects.count() == 2
    return drawn


def draw(auditor: User, **given: Any) -> AuditSample:
    """Five of the notes."""
    said: dict[str, Any] = {"acts": ["teams.note"], "since": START, "until": timezone.now(), "n": 5, "seed": "six dice"}
    return audit_samples.draw(**(said | {"purpose": "CC8.1", "by": auditor, "now": NOW} | given))


def test_the_samples_of_an_honest_log_hold(sample: AuditSample, auditor: User, keys: Path) -> None:
    assert sample.population == 26
    more: list[dict[str, Any]] = [{"acts": []}, {"n": 1000}, {"acts": ["changes.vote"]}, {"seed": "é 🎲"}]
    for given in more:
        draw(auditor, **given)
    seals.seal(keys=keys, now=NOW + timedelta(minutes=4))
    assert verdict(keys) == []
    check = audit_verifier.Check()
    assert list(check.faults(lines(keys))) == []
    assert audit_verifier.summary(check, 0).startswith("5 samples, ")


def test_a_change_of_any_column_is_found(sample: AuditSample, live_database: Any, keys: Path) -> None:
    tried = set()
    with owner(live_database.migrator_url, AuditSample) as server:
        for _table, column in changes(server, (AuditSample,)):
            tried.add(column)
            assert verdict(keys), column
        assert tried == {field.column for field in AuditSample._meta.concrete_fields}
        assert verdict(keys) == []
        server.execute("DELETE FROM governance_auditsample")
        assert verdict(keys) == [f"sample {sample.pk}: it is gone"]


# How a server that lies would have written a sample, entry and all: from the honest facts.
LIES: dict[str, tuple[Callable[[Row], Row], str]] = {
    "a shortened population": (
        lambda row: {"population": row["population"] - 1},
        "it counts 25 entries of its population",
    ),
    "a swapped draw": (
        lambda row: {"draws": [*row["draws"][:2], 1, *row["draws"][3:]]},
        "its draw 3 is leaf 1, and the",
    ),
    "draws in another order": (lambda row: {"draws": row["draws"][::-1]}, "its draw 1 is leaf"),
    "a draw that is left out": (
        lambda row: {"draws": row["draws"][:-1]},
        "its draw 5 is nothing, and the seed gives leaf",
    ),
    "one that was not drawn": (
        lambda row: {"draws": [*row["draws"], 2]},
        "its draw 6 is leaf 2, and the seed gives nothing",
    ),
    "another root": (lambda _row: {"root": "0" * 64}, "it names another size or root than checkpoint 1"),
    "a tree cut short": (lambda row: {"size": row["size"] - 1}, "it names another size or root than checkpoint 1"),
    "another checkpoint": (lambda _row: {"checkpoint": 2}, "it names another size or root than checkpoint 2"),
    "no checkpoint": (lambda _row: {"checkpoint": 9}, "its checkpoint 9 is not there"),
    "a period that was not over": (
        lambda _row: {"until": NOW + timedelta(days=1)},
        "its period ends after checkpoint 1",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_server_that_lies_when_it_draws_is_found(
    name: str, sample: AuditSample, live_database: Any, keys: Path
) -> None:
    lie, found = LIES[name]
    honest = {name: value for name, value in AuditSample.objects.values().get().items() if name != "id"}
    with owner(live_database.migrator_url, AuditSample), transaction.atomic():
        forged = AuditSample(id=new_id(), **honest | lie(honest))
        forged.save(force_insert=True)
        said = audit_samples.facts(forged)
        audit.record(action="audit_samples.draw", actor=BOOTSTRAP, object=forged, summary="Drew 5", after=said)
    seals.seal(keys=keys, now=NOW + timedelta(minutes=6))
    faults = verdict(keys)
    assert [fault for fault in faults if fault.startswith(f"sample {forged.pk}: {found}")], faults


def exported(sample: AuditSample, keys: Path, folder: Path) -> tuple[list[Row], Row]:
    """The export of a sample, unpacked into a folder: its lines and its row."""
    with (folder / "sample.zip").open("wb") as file:
        audit_exports.make_of_sample(file=file, sample=sample, keys=keys, now=NOW, by=BOOTSTRAP)
    with zipfile.ZipFile(folder / "sample.zip") as content:
        content.extractall(folder)
    read = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return read, json.loads((folder / "sample.json").read_text())


def found_in(read: list[Row], row: Row, keys: Path) -> list[str]:
    """What the verifier finds in a sample's own export; the second one agrees whether there is anything."""
    key = str(seals.verification_key(keys))
    check = audit_verifier.Check(keys=[key], samples=[row])
    try:
        found = [str(fault) for fault in check.faults(read)]
    except audit_verifier.UnreadableError as error:
        found = [str(error)]
    assert second_verifier.sample_holds(read, row, key=key) == (not found), found
    return found


def test_the_export_of_a_sample_proves_its_draws(sample: AuditSample, keys: Path, tmp_path: Path) -> None:
    read, row = exported(sample, keys, tmp_path)
    assert [line["kind"] for line in read] == ["log", "checkpoint", *["entry"] * 26, "checkpoint", "entry", "end"]
    assert found_in(read, row, keys) == []
    assert row["draws"] == sample.draws
    assert "phone" not in (tmp_path / "log.jsonl").read_text()
    event = AuditEvent.objects.get(action="audit_exports.make_of_sample")
    assert (event.object_id, event.actor_name) == (str(sample.pk), str(BOOTSTRAP))

    others = {"n": 4, "population": 25, "seed": "six dic", "purpose": "", "acts": [], "checkpoint": 2, "size": 3}
    others |= {"root": "0" * 64, "draws": row["draws"][::-1], "since": row["until"], "until": row["since"]}
    others |= {"actor_id": "0", "actor_name": "Nobody", "created_at": row["since"], "id": str(new_id())}
    assert set(others) == set(row) - {"kind"}
    for name, value in others.items():
        assert found_in(read, row | {name: value}, keys), name


def test_one_changed_byte_or_entry_of_the_export_is_found(sample: AuditSample, keys: Path, tmp_path: Path) -> None:
    read, row = exported(sample, keys, tmp_path)
    assert found_in(read, row, keys) == []

    def changed(change: Callable[[list[Row]], object]) -> list[str]:
        other = copy.deepcopy(read)
        change(other)
        return found_in(other, row, keys)

    assert changed(lambda lines: lines[9]["event"].update(summary="Noted 9 ")) != []
    assert changed(lambda lines: lines[9]["event"].update(xid=str(int(lines[9]["event"]["xid"]) + 1))) != []
    assert changed(lambda lines: lines[9]["leaf"].update(hash=lines[10]["leaf"]["hash"])) != []
    assert changed(lambda lines: lines[9]["leaf"].update(index=lines[9]["leaf"]["index"] + 1)) != []
    assert changed(lambda lines: lines[9]["proof"].pop()) != []
    assert changed(lambda lines: lines[1].update(size=lines[1]["size"] + 1)) != []
    assert changed(lambda lines: lines[-2]["event"]["after"].update(population=25)) != []
    assert changed(lambda lines: lines.pop(9)) == [
        f"sample {sample.pk}: it counts 26 entries of its population, and here are 25",
        *changed(lambda lines: lines.pop(9))[1:],
    ]
    # One left out, and another told twice: as many as before.
    assert changed(lambda lines: lines.insert(9, lines[9])) != []
    spare = next(at for at, line in enumerate(read[2:28], 2) if line["leaf"]["index"] not in row["draws"])
    assert changed(lambda lines: lines.__setitem__(spare, lines[spare - 1])) != []
    assert changed(lambda lines: lines.pop()) == ["the export: it breaks off"]


def test_what_the_export_alone_cannot_tell_the_whole_log_does(sample: AuditSample, keys: Path, tmp_path: Path) -> None:
    """Whoever makes an export leaves an entry out, counts anew, draws anew, and lets the draw's own entry go."""
    read, row = exported(sample, keys, tmp_path)
    gone = next(line for line in read if line["kind"] == "entry" and line["leaf"]["index"] == row["draws"][0])
    short = [line for line in read[:-3] if line is not gone] + read[-1:]
    forged = row | {"population": 25, "draws": second_verifier._drawn(entries_of(short), row)[1]}
    assert forged["draws"] != row["draws"]
    assert found_in(short, forged, keys) == []
    seals.seal(keys=keys, now=NOW + timedelta(minutes=4))
    whole = lines(keys)
    found = [str(fault) for fault in audit_verifier.Check(samples=[forged]).faults(whole)]
    assert f"sample {sample.pk}: it is not the one that was kept elsewhere" in found
    assert f"sample {sample.pk}: it counts 25 entries of its population, and here are 26" in found
    # Under another id, no entry of the log tells of it.
    other = forged | {"id": str(new_id())}
    found = [str(fault) for fault in audit_verifier.Check(samples=[other]).faults(whole)]
    assert f"sample {other['id']}: no entry says that it was drawn" in found
    assert list(audit_verifier.Check(samples=[row]).faults(whole)) == []


def entries_of(read: list[Row]) -> list[tuple[int, Row]]:
    """The entries of an export with their leaves."""
    return [(line["leaf"]["index"], line["event"]) for line in read if line["kind"] == "entry"]


def test_before_the_draw_is_signed_its_export_holds_without_its_entry(
    auditor: User, keys: Path, tmp_path: Path
) -> None:
    seals.seal(keys=keys, now=NOW)
    drawn = draw(auditor)
    read, row = exported(drawn, keys, tmp_path)
    assert [line["kind"] for line in read].count("checkpoint") == 1
    assert found_in(read, row, keys) == []
    none = draw(auditor, acts=["changes.vote"])
    read, row = exported(none, keys, tmp_path)
    assert [line["kind"] for line in read] == ["log", "checkpoint", "end"]
    assert found_in(read, row, keys) == []


def test_an_auditor_proves_a_sample_without_us(sample: AuditSample, keys: Path, tmp_path: Path) -> None:
    exported(sample, keys, tmp_path)
    with (tmp_path / "log.zip").open("wb") as file:
        audit_exports.make(file=file, keys=keys, now=timezone.now(), bodies=False, by=BOOTSTRAP)
    key = (tmp_path / "key.txt").read_text().strip()

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        # -I: nothing of the checkout is found, so what the file imports is there without it.
        command = [sys.executable, "-I", tmp_path / "audit_verifier.py", *words, "--key", key]
        return subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("sample.zip")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 sample, 27 entries and 2 checkpoints of")
    assert "Whether the log has more entries of the population, its whole export tells" in done.stdout
    assert run("sample.zip", "--against", "checkpoint.txt").returncode == 0
    for kept in ("sample.zip", "sample.json"):
        done = run("log.zip", "--sample", kept)
        assert (done.returncode, done.stderr, "Whether" in done.stdout) == (0, "", False)
    row = json.loads((tmp_path / "sample.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(row | {"seed": "another"}))
    done = run("log.zip", "--sample", "other.json")
    assert done.returncode == 1
    assert f"sample {sample.pk}: its draw " in done.stdout
    assert run("log.jsonl", "--sample", "other.json").returncode == 1
    for nothing in ("", "[]", "{}", '{"kind": "log"}'):
        (tmp_path / "other.json").write_text(nothing)
        assert run("log.zip", "--sample", "other.json").returncode == 2
    assert run("log.zip", "--sample", "log.zip").returncode == 2
    assert run("log.zip", "--sample", "nowhere.json").returncode == 2


def test_the_page_gives_the_export_away(sample: AuditSample, auditor: User, tmp_path: Path) -> None:
    answer = signed_in(auditor).post(reverse("audit_sample_export", args=[sample.pk]))
    assert answer.headers["content-disposition"].startswith('attachment; filename="audit-sample-')
    content: Any = answer
    (tmp_path / "sample.zip").write_bytes(b"".join(content.streaming_content))
    assert audit_verifier.main([str(tmp_path / "sample.zip")]) == 0
    assert AuditEvent.objects.get(action="audit_exports.make_of_sample").actor_id == str(auditor.pk)
    local = make_person("Local auditor", Role.AUDITOR, Team.objects.get())
    assert signed_in(local).post(reverse("audit_sample_export", args=[sample.pk])).status_code == 404
    assert AuditEvent.objects.filter(action="audit_exports.make_of_sample").count() == 1
