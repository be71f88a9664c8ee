"""The spool: what is written is read once and in order, whatever was torn, killed or refused in between."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallfirst.spool import Batch, Kind, Log, Position, Spool, frame, frames

ROOT = Path(__file__).parents[2]


def event(name: str, **more: object) -> tuple[Kind, dict[str, object]]:
    """A record as a gateway writes it."""
    return ("usage", {"id": name, **more})


def drained(spool: Spool, records: int = 500) -> list[str]:
    """The ids of all that waits, uploaded in batches."""
    found: list[str] = []
    while (batch := spool.read(records=records)) is not None:
        assert len(batch.records) <= records
        found += [record.id for record in batch.records]
        spool.done(batch)
    return found


def abandoned(spool: Spool) -> None:
    """End a spool as kill -9 does: nothing synced, its lock gone."""
    os.close(spool.own.lock)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool of small segments."""
    made = Spool(tmp_path / "spool", segment_bytes=400)
    yield made
    shutil.rmtree(tmp_path / "spool", ignore_errors=True)


def test_records_come_back_in_order_and_once(spool: Spool) -> None:
    decision: tuple[Kind, object] = ("decision", {"id": "b", "review": None})
    spool.write([event("a"), decision, ("review", {"id": "c"}), ("delivered", {"review": "d"})])
    batch = spool.read()
    assert batch is not None
    assert [(record.kind, record.id) for record in batch.records] == [
        ("usage", "a"),
        ("decision", "b"),
        ("review", "c"),
        ("delivered", "d"),
    ]
    assert spool.backlog() > 0
    spool.done(batch)
    assert spool.read() is None
    assert spool.backlog() == 0


def test_what_was_not_accepted_is_read_again(spool: Spool) -> None:
    spool.write([event("a")])
    first = spool.read()
    assert first is not None
    spool.write([event("b")])
    again = spool.read()
    assert again is not None
    assert [record.id for record in again.records] == ["a", "b"]


def test_segments_are_removed_behind_the_cursor(spool: Spool) -> None:
    for number in range(100):
        spool.write([event(f"e{number}")])
    assert len(spool.own.segments()) > 5
    assert drained(spool, records=7) == [f"e{number}" for number in range(100)]
    assert len(spool.own.segments()) == 1


def test_a_batch_is_bounded_in_bytes_and_one_large_record_passes(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write([event("small"), event("large", text="x" * 300_000), event("last")])
    sizes = []
    while (batch := spool.read(size=1000)) is not None:
        sizes.append([record.id for record in batch.records])
        spool.done(batch)
    assert sizes == [["small", "large"], ["last"]]


def test_the_files_of_a_spool_are_its_owners(spool: Spool) -> None:
    spool.write([event("a")])
    assert spool.own.directory.stat().st_mode & 0o777 == 0o700
    assert spool.own.segment(1).stat().st_mode & 0o777 == 0o600


def test_leftovers_of_the_dead_are_adopted_and_of_the_living_not(tmp_path: Path) -> None:
    dead, living = Spool(tmp_path), Spool(tmp_path)
    dead.write([event("a")])
    living.write([event("b")])
    abandoned(dead)
    heir = Spool(tmp_path)
    heir.write([event("c")])
    adopted = heir.adopt()
    assert [log.directory for log, _ in adopted] == [dead.own.directory]
    assert heir.adopt() == []
    assert drained(heir) == ["a", "c"]
    assert not dead.own.directory.exists()
    assert drained(living) == ["b"]


def test_a_half_uploaded_leftover_goes_on_at_its_cursor(tmp_path: Path) -> None:
    dead = Spool(tmp_path, segment_bytes=200)
    for number in range(20):
        dead.write([event(f"e{number}")])
    batch = dead.read(records=13)
    assert batch is not None
    dead.done(batch)
    abandoned(dead)
    heir = Spool(tmp_path)
    heir.adopt()
    assert drained(heir, records=3) == [f"e{number}" for number in range(13, 20)]


def test_a_lost_cursor_sends_again_rather_than_never(tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    dead.write([event("a"), event("b")])
    batch = dead.read(records=1)
    assert batch is not None
    dead.done(batch)
    abandoned(dead)
    (dead.own.directory / "cursor").write_bytes(b"")
    heir = Spool(tmp_path)
    heir.adopt()
    assert drained(heir) == ["a", "b"]


@pytest.mark.parametrize("tail", [b"\x00", b"\x00" * 500, b"\x00\x00\x00\x10abcd{", b"\xff" * 40])
def test_a_torn_tail_is_cut(tmp_path: Path, tail: bytes) -> None:
    dead = Spool(tmp_path)
    dead.write([event("a"), event("b")])
    with dead.own.segment(1).open("ab") as file:
        file.write(tail)
    abandoned(dead)
    heir = Spool(tmp_path)
    ((log, cut),) = heir.adopt()
    assert cut == len(tail)
    assert log.segment(1).read_bytes() == frame(*event("a")) + frame(*event("b"))
    assert drained(heir) == ["a", "b"]


def test_a_damaged_segment_does_not_hide_those_behind_it(tmp_path: Path) -> None:
    dead = Spool(tmp_path, segment_bytes=1)
    for name in ("a", "b", "c"):
        dead.write([event(name)])
    with dead.own.segment(2).open("r+b") as file:
        file.seek(12)
        file.write(b"!")
    abandoned(dead)
    heir = Spool(tmp_path)
    heir.adopt()
    assert drained(heir) == ["a", "c"]


def test_all_records_of_a_write_or_none(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.write([event("a")])
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[: len(data) // 2]))
    with pytest.raises(OSError, match="the spool took"):
        spool.write([event("b"), event("c")])
    monkeypatch.undo()
    spool.write([event("d")])
    assert drained(spool) == ["a", "d"]


def test_a_refused_record_lies_aside_with_its_reason(spool: Spool) -> None:
    spool.write([event("../../etc/x", step="s")])
    batch = spool.read()
    assert batch is not None
    spool.set_aside(batch.records[0], field="step", message="unknown")
    spool.done(batch)
    (path,) = (spool.directory / "refused").iterdir()
    assert path.name == "usage-______etc_x.json"
    assert json.loads(path.read_text()) == {
        "kind": "usage",
        "field": "step",
        "message": "unknown",
        "data": {"id": "../../etc/x", "step": "s"},
    }
    assert spool.refused() == 1


def test_closing_leaves_only_what_is_not_uploaded(tmp_path: Path) -> None:
    done, kept = Spool(tmp_path), Spool(tmp_path)
    done.close()
    kept.write([event("a")])
    kept.close()
    heir = Spool(tmp_path)
    heir.adopt()
    assert not done.own.directory.exists()
    assert drained(heir) == ["a"]


def test_kill_9_between_write_and_upload_loses_nothing(tmp_path: Path) -> None:
    """A process acknowledges on its output what it has written; every acknowledged record is there afterwards, once."""
    program = """
import sys
from pathlib import Path
from smallfirst.spool import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=2000)
number = 0
while True:
    spool.write([("usage", {"id": f"e{number}"}), ("decision", {"id": f"d{number}"})])
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
    if number % 10 == 0:
        batch = spool.read(records=4)
        if batch is not None:
            sys.stdout.write("-" + ",".join(record.id for record in batch.records) + "\\n")
            sys.stdout.flush()
            spool.done(batch)
"""
    written: list[str] = []
    uploaded: list[str] = []
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert child.stdout is not None
        # Long enough for uploads and new segments; it is killed wherever it is then.
        lines = [next(child.stdout) for _ in range(random.randint(80, 400))]
        child.kill()
        lines += child.communicate()[0].splitlines(keepends=True)
        offset = len(written)
        for line in lines:
            if line.startswith("-") and line.endswith("\n"):
                uploaded += line[1:-1].split(",")
            elif line.endswith("\n"):
                written.append(f"{offset}:{line.strip()}")
        heir = Spool(tmp_path)
        heir.adopt()
        left = drained(heir)
        acknowledged = {f"{kind}{name.split(':')[1]}" for name in written[offset:] for kind in "ed"}
        # The last batch may have been told and not yet marked: it is sent again, and its ids make it count once.
        assert len(left) == len(set(left))
        assert acknowledged <= set(left) | set(uploaded)
        assert len(set(left) & set(uploaded)) <= 4
        assert len(acknowledged) > 100
        heir.close()
        uploaded.clear()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_history_gives_each_record_once_and_in_order(data: st.DataObject) -> None:
    """Writes, uploads, failed uploads, kills and torn tails in any order: no record is lost, repeated or moved."""
    with tempfile.TemporaryDirectory() as directory:
        live(Path(directory), data)


def live(directory: Path, data: st.DataObject) -> None:
    """One such history."""
    size = data.draw(st.sampled_from([1, 60, 300, 100_000]))
    spool = Spool(directory, segment_bytes=size)
    wrote: list[str] = []
    got: list[str] = []
    for action in data.draw(st.lists(st.sampled_from(["write", "read", "fail", "kill", "tear"]), max_size=25)):
        if action == "write":
            names = [f"e{len(wrote) + number}" for number in range(data.draw(st.integers(1, 4)))]
            spool.write([event(name, text="x" * data.draw(st.integers(0, 80))) for name in names])
            wrote += names
        elif action in ("kill", "tear"):
            if action == "tear":
                with spool.own.segment(spool.own.segments()[-1]).open("ab") as file:
                    file.write(data.draw(st.binary(min_size=1, max_size=30)))
            abandoned(spool)
            for log in spool.adopted:
                os.close(log.lock)
            spool = Spool(directory, segment_bytes=size)
            spool.adopt()
        else:
            batch = spool.read(records=data.draw(st.integers(1, 5)))
            if batch is not None and action == "read":
                got += [record.id for record in batch.records]
                spool.done(batch)
    assert got == wrote[: len(got)]
    assert got + drained(spool) == wrote


@settings(max_examples=300, deadline=None)
@given(
    names=st.lists(st.text(max_size=8), min_size=1, max_size=6),
    damage=st.one_of(st.none(), st.tuples(st.integers(0, 10_000), st.integers(1, 255))),
    cut=st.integers(0, 10_000),
)
def test_damage_never_yields_a_record_that_was_not_written(
    names: list[str], damage: tuple[int, int] | None, cut: int
) -> None:
    whole = [frame(*event(name)) for name in names]
    data = bytearray(b"".join(whole))
    if damage is not None:
        data[damage[0] % len(data)] ^= damage[1]
    data = data[: len(data) - cut % len(data)]
    found = [(record.id, end) for record, end in frames(bytes(data))]
    ends = [sum(map(len, whole[: count + 1])) for count in range(len(whole))]
    assert found == list(zip(names, ends, strict=True))[: len(found)]
    if damage is None:
        assert len(found) == sum(end <= len(data) for end in ends)


def test_a_batch_names_the_place_behind_it(spool: Spool) -> None:
    spool.write([event("a")])
    batch = spool.read()
    assert isinstance(batch, Batch)
    assert isinstance(batch.log, Log)
    assert batch.end == Position(1, len(frame(*event("a"))))


def test_a_flood_is_drained_in_order(tmp_path: Path) -> None:
    draw = random.Random(3)
    spool = Spool(tmp_path, segment_bytes=50_000)
    for number in range(3000):
        spool.write([event(f"e{number}", text="x" * draw.randrange(200))])
    assert drained(spool) == [f"e{number}" for number in range(3000)]
