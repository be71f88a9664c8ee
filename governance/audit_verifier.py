"""Verifies an audit log of Smallfirst without Smallfirst: one file, Python 3.11 and the package `cryptography`.

    python3 audit_verifier.py EXPORT [--key KEY] [--against FILE]... [--sample SAMPLE]...

EXPORT is the zip, or the log.jsonl in it. KEY is the log's public key as `./run manage audit_key` printed it when you
took it down; without one the export's own is believed, which proves nothing against whoever made the export. FILE holds
checkpoints that were kept elsewhere. SAMPLE is the zip of a sample, or the sample.json in it: its population is counted
and drawn from again, in the whole log; the zip of a sample is an EXPORT too, of its population alone. The code is 0
where all holds, 1 where something does not, and 2 where this could not be found out. It is tamper-evidence: that an
entry is unchanged, not that it was true.

Smallfirst's own `audit_verify` reads its database through this file, and tests/governance/second_verifier.py is another
implementation. The lines of an export, `kind` by `kind`, are told in `Check`.
"""

import argparse
import base64
import bisect
import hashlib
import io
import itertools
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LOG = "log.jsonl"
SAMPLE = "sample.json"
# Each stored node stands so high above the row below: for 256 of it.
HEIGHTS = 8
# What was written this long before the export is sealed by then.
LAG = timedelta(minutes=2)
_ED25519 = b"\x01"
HELD = "the checkpoint held elsewhere"
# The act whose entry tells of a sample.
DRAWN = "audit_samples.draw"

Line = dict[str, Any]
# Whether a name and key id is known: the public key.
Keys = dict[tuple[str, bytes], Ed25519PublicKey]


class UnreadableError(ValueError):
    """What was given is no key, no checkpoint, no export."""


@dataclass(frozen=True)
class Fault:
    """Something that does not hold: which row, and what is wrong with it."""

    row: str
    text: str

    def __str__(self) -> str:
        return f"{self.row}: {self.text}"


@dataclass(frozen=True)
class Note:
    """The signed text of a checkpoint; `signed` are its signatures' (name, key id, signature)."""

    text: str
    origin: str
    size: int
    root: bytes
    at: str
    successor: str | None
    signed: tuple[tuple[str, bytes, bytes], ...]


@dataclass
class Tree:
    """The right edge of a Merkle tree of RFC 9162: the complete subtrees it is made of, the largest first."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash; return the stored nodes that it completes as (level, index, hash)."""
        index, height, found, nodes = self.size, 0, leaf, []
        while index & 1:
            found = _above(self.peaks.pop(), found)
            index, height = index >> 1, height + 1
            if height % HEIGHTS == 0:
                nodes.append((height // HEIGHTS, index, found))
        self.peaks.append(found)
        self.size += 1
        return nodes

    def root(self) -> bytes:
        """The root over all leaves."""
        found = self.peaks[-1] if self.peaks else hashlib.sha256().digest()
        for peak in reversed(self.peaks[:-1]):
            found = _above(peak, found)
        return found


class Draw:
    """A sample drawn again, from the entries that pass: how many are of its population, and whose tickets are smallest.

    The ticket of an entry is SHA-256(seed + hash of its leaf); the `n` smallest are drawn, in their order.
    """

    def __init__(self, row: Line) -> None:
        self.row, self.acts, self.seed = row, frozenset(row["acts"]), str(row["seed"]).encode()
        self.since, self.until = _moment(row["since"]), _moment(row["until"])
        self.population = 0
        self.tickets: list[tuple[bytes, int]] = []
        self.signed = self.told = False

    def take(self, leaf: Line, act: str, at: datetime) -> bool:
        """Count an entry and give it its ticket, where it belongs to the population; whether it does."""
        if (
            leaf["index"] >= self.row["size"]
            or not self.since <= at < self.until
            or (self.acts and act not in self.acts)
        ):
            return False
        self.population += 1
        ticket = hashlib.sha256(self.seed + bytes.fromhex(leaf["hash"])).digest()
        bisect.insort(self.tickets, (ticket, leaf["index"]))
        del self.tickets[self.row["n"] :]
        return True

    def faults(self) -> Iterator[str]:
        """What the sample says otherwise than the entries do."""
        if self.population != self.row["population"]:
            yield f"it counts {self.row['population']:,} entries of its population, and here are {self.population:,}"
        pairs = itertools.zip_longest(self.row["draws"], (index for _ticket, index in self.tickets))
        for place, (drawn, here) in enumerate(pairs, 1):
            if drawn != here:
                said = ("nothing" if each is None else f"leaf {each}" for each in (drawn, here))
                yield "its draw {} is {}, and the seed gives {}".format(place, *said)
                return


class Check:
    """Reads the lines of an export in their order and yields what does not hold. Memory does not grow with the log.

    `log` comes first: origin, when it was made, whether it is whole, its keys; where it begins, if not at the first
    leaf, with the tree's right edge there. Then every `epoch` and `sample`; each `entry` (leaf, event, body), after it
    each `node` and `checkpoint` that end with it; entries not sealed yet; every `body` of no entry; `end` last. A
    partial export has each `checkpoint` before the entries whose `proof` leads to it. `samples` were kept elsewhere.
    """

    def __init__(self, *, keys: Iterable[str] = (), held: Sequence[Note] = (), samples: Iterable[Line] = ()) -> None:
        self.keys: Keys = dict(map(public_key, keys))
        self.trusted = bool(self.keys)
        self.held: dict[int, list[Note]] = {}
        for note in held:
            self.held.setdefault(note.size, []).append(note)
        self.samples = {str(row["id"]): Draw(row) for row in samples}
        self.tree = Tree()
        self.entries = self.checkpoints = 0
        self.head: Line = {}
        self.last: Note | None = None
        self._whole = True
        self._nodes: list[tuple[int, int, bytes]] = []
        self._broken = False
        self._epochs: dict[str, Line] = {}
        self._erased: dict[str, str] = {}
        self._told_erased: dict[str, str] = {}
        self._due = self._next = 0
        self._signed_at = ""

    def faults(self, lines: Iterable[Line]) -> Iterator[Fault]:
        """Yield what does not hold, in the order of the lines. Raises UnreadableError for what is no export."""
        read = {"epoch": self._epoch, "entry": self._entry, "node": self._node, "checkpoint": self._checkpoint}
        read["sample"] = self._sample
        rest = iter(lines)
        self._log(next(rest, {}))
        ended = False
        for line in rest:
            if ended:
                raise UnreadableError("lines follow the end")
            kind = line.get("kind")
            if kind == "end":
                ended = True
            elif kind == "body":
                yield Fault(f"body {line['event_id']}", "it belongs to no entry")
            elif kind in read:
                try:
                    yield from read[kind](line)
                except (KeyError, TypeError, ValueError) as error:
                    yield Fault(_row_of(line), f"it cannot be read: {error!r}")
            else:
                raise UnreadableError(f"a line of kind {kind!r}")
        if not ended:
            yield Fault("the export", "it breaks off")
        yield from self._at_the_end()

    def _log(self, line: Line) -> None:
        if line.get("kind") != "log" or line.get("format") != 1:
            raise UnreadableError("this is no export of an audit log")
        self.head, self._whole = line, line["whole"]
        if not self.trusted:
            self.keys = dict(map(public_key, line["keys"]))
        begin = line.get("begin")
        if begin:
            self.tree = Tree(begin["size"], [bytes.fromhex(each) for each in begin["peaks"]])
            if self.samples:
                raise UnreadableError("a sample can be drawn again from the whole log alone")

    def _epoch(self, line: Line) -> Iterator[Fault]:
        if line["origin"] != self.head["origin"]:
            yield Fault(f"epoch {line['number']}", "it belongs to another log")
        self._epochs[str(line["number"])] = line

    def _sample(self, line: Line) -> Iterator[Fault]:
        known = self.samples.setdefault(line["id"], Draw(line))
        if known.row != line:
            yield Fault(f"sample {line['id']}", "it is not the one that was kept elsewhere")

    def _entry(self, line: Line) -> Iterator[Fault]:
        leaf, event = line["leaf"], line["event"]
        if leaf is not None:
            yield from self._leaf(leaf, event)
            if not self._whole:
                yield from self._proof(leaf, line["proof"])
        if event is None:
            return
        self.entries += 1
        row = f"entry {event['id']}" + ("" if leaf is None else f" (leaf {leaf['index']})")
        found = hashlib.sha256(canonical_bytes(event)).hexdigest()
        if found != event["entry_hash"]:
            yield Fault(row, "it is not what its hash was made of")
        if leaf is not None and leaf_hash(event["entry_hash"], event["xid"]).hex() != leaf["hash"]:
            yield Fault(row, "it is not what was sealed")
        yield from self._body(row, event, line["body"])
        yield from self._told(row, event)
        if leaf is not None and self.samples:
            at, tells = _moment(event["at"]), event["action"] == DRAWN and event["object_id"] in self.samples
            taken = [sample.take(leaf, event["action"], at) for sample in self.samples.values()]
            if not self._whole and not tells and not any(taken):
                yield Fault(row, "it belongs to no population of these samples")
        if leaf is None and self._whole and _moment(event["at"]) < _moment(self.head["made_at"]) - LAG:
            yield Fault(row, "it was never sealed")

    def _leaf(self, leaf: Line, event: Line | None) -> Iterator[Fault]:
        index = leaf["index"]
        if event is None:
            yield Fault(f"leaf {index}", f"its entry {leaf['event_id']} is gone")
        elif event["id"] != leaf["event_id"]:
            yield Fault(f"leaf {index}", f"it is that of entry {leaf['event_id']}, and stands at {event['id']}")
        if not self._whole:
            if index < self._next:
                yield Fault(f"leaf {index}", "it stands out of its order")
            self._next = index + 1
            return
        for level, number, _ in self._nodes:
            yield Fault(f"node {number} of level {level}", "it is gone")
        if index != self.tree.size and not self._broken:
            self._broken = True
            yield Fault(f"leaf {self.tree.size}", "it is gone, and no root can be compared from here on")
        self._nodes = self.tree.append(bytes.fromhex(leaf["hash"]))
        for note in self.held.pop(self.tree.size, ()):
            yield from self._compare(HELD, note)

    def _proof(self, leaf: Line, proof: list[str]) -> Iterator[Fault]:
        if self.last is None or leaf["index"] >= self.last.size:
            yield Fault(f"leaf {leaf['index']}", "no checkpoint stands above it")
            return
        path = [bytes.fromhex(each) for each in proof]
        if _climb(leaf["index"], self.last.size, bytes.fromhex(leaf["hash"]), path) != self.last.root:
            yield Fault(f"leaf {leaf['index']}", "its proof does not lead to the checkpoint’s root")

    def _body(self, row: str, event: Line, body: Line | None) -> Iterator[Fault]:
        named = event["body_digest"]
        if body is None:
            if named is not None and not self.head.get("masked"):
                yield Fault(row, "its body is gone")
        elif body["erased_at"] is not None:
            self._erased[event["id"]] = body["erased_at"]
        else:
            content = canonical(body["content"])
            if hashlib.sha256(base64.b64decode(body["salt"]) + content).hexdigest() != named:
                yield Fault(row, "its body is not the one it names")

    def _told(self, row: str, event: Line) -> Iterator[Fault]:
        """What entries say of the log itself."""
        if event["action"] == "seals.begin_epoch":
            said, found = event["after"], self._epochs.pop(event["object_id"], None)
            if self._whole and {"kind": "epoch", **said} != found and not self._partly():
                yield Fault(f"epoch {event['object_id']}", f"it is not what {row} says of it")
        elif event["action"] == "audit_bodies.erase":
            self._told_erased[event["object_id"]] = event["after"]["erased_at"]
        elif event["action"] == DRAWN:
            sample = self.samples.get(event["object_id"])
            if sample is not None:
                sample.told = True
                if {"kind": "sample", "id": event["object_id"], **event["after"]} != sample.row:
                    yield Fault(f"sample {event['object_id']}", f"it is not what {row} says of it")
            elif self._whole and not self._partly():
                yield Fault(f"sample {event['object_id']}", "it is gone")

    def _node(self, line: Line) -> Iterator[Fault]:
        found = (line["level"], line["index"], bytes.fromhex(line["hash"]))
        if self._broken:
            return
        if found in self._nodes:
            self._nodes.remove(found)
            return
        self._nodes = [each for each in self._nodes if each[:2] != found[:2]]
        yield Fault(f"node {line['index']} of level {line['level']}", "it is not that of the leaves below it")

    def _checkpoint(self, line: Line) -> Iterator[Fault]:
        row = f"checkpoint {line['number']}"
        self.checkpoints += 1
        due = self._due if self._due else 1 if not self._partly() else line["number"]
        self._due = line["number"] + 1
        if self._whole and line["number"] != due:
            yield Fault(row, f"it stands where checkpoint {due} should")
        try:
            note = parsed(line["note"])
        except UnreadableError as error:
            yield Fault(row, str(error))
            return
        if (note.size, note.root.hex(), note.at) != (line["size"], line["root"], line["at"]):
            yield Fault(row, "its columns are not what was signed")
        if note.at < self._signed_at:
            yield Fault(row, "it is older than the one before it")
        self._signed_at = note.at
        yield from self._compare(row, note)
        self.last = note
        yield from self._under(line["number"], note)
        for held in () if self._whole else self.held.pop(note.size, ()):
            yield from self._left(held)

    def _under(self, number: int, note: Note) -> Iterator[Fault]:
        """The samples that were drawn from what this checkpoint was signed over."""
        for name, sample in self.samples.items():
            if sample.row["checkpoint"] == number:
                sample.signed = True
                if (sample.row["size"], sample.row["root"]) != (note.size, note.root.hex()):
                    yield Fault(f"sample {name}", f"it names another size or root than checkpoint {number}")
                if sample.until > _moment(note.at):
                    yield Fault(f"sample {name}", f"its period ends after checkpoint {number} was signed")

    def _compare(self, row: str, note: Note) -> Iterator[Fault]:
        """A checkpoint with its signature, and with the tree where the tree is there."""
        if note.origin != self.head["origin"]:
            yield Fault(row, f"it is of another log, {note.origin}")
        elif not self._signed(note):
            yield Fault(row, "none of the log’s keys signed it")
        elif note.successor is not None:
            name, key = public_key(note.successor)
            self.keys[name] = key
        if not self._whole or self._broken:
            return
        if note.size != self.tree.size:
            yield Fault(row, f"it counts {note.size:,} entries, and stands after {self.tree.size:,}")
        elif note.root != self.tree.root():
            since = f" after {self.last.size:,}" if self.last is not None else ""
            yield Fault(row, f"the log had another root when it had {note.size:,} entries: one{since} was exchanged")

    def _signed(self, note: Note) -> bool:
        known = [(self.keys[name, key], stamp) for name, key, stamp in note.signed if (name, key) in self.keys]
        return bool(known) and all(_verified(key, stamp, note.text) for key, stamp in known)

    def _partly(self) -> bool:
        """Whether the lines begin in the middle of the log."""
        return "begin" in self.head

    def _at_the_end(self) -> Iterator[Fault]:
        for level, number, _ in self._nodes:
            yield Fault(f"node {number} of level {level}", "it is gone")
        for name, epoch in self._epochs.items():
            if self._whole and not self._partly() and _moment(epoch["began_at"]) < _moment(self.head["made_at"]) - LAG:
                yield Fault(f"epoch {name}", "no entry says that it began")
        yield from self._erasures()
        for note in (note for _, notes in sorted(self.held.items()) for note in notes):
            yield from self._left(note)
        yield from self._drawn_again()

    def _erasures(self) -> Iterator[Fault]:
        """What is erased, and what entries say was."""
        for event, at in self._erased.items():
            if self._whole and self._told_erased.get(event) != at:
                yield Fault(f"body {event}", "it was erased, and no entry says so")
        for event in self._told_erased.keys() - self._erased.keys():
            if self._whole and not self._partly() and not self.head.get("masked"):
                yield Fault(f"body {event}", "an entry says that it was erased, and it is there")

    def _drawn_again(self) -> Iterator[Fault]:
        """The samples, once all entries have passed."""
        for name, sample in self.samples.items() if not self._partly() else ():
            yield from (Fault(f"sample {name}", text) for text in sample.faults())
            if not sample.signed:
                yield Fault(f"sample {name}", f"its checkpoint {sample.row['checkpoint']} is not there")
            if not sample.told and self._whole:
                yield Fault(f"sample {name}", "no entry says that it was drawn")

    def _left(self, note: Note) -> Iterator[Fault]:
        """A checkpoint held elsewhere that the tree did not come by."""
        if self.last is not None and note.size == self.last.size:
            yield from self._compare(HELD, note)
            if note.root != self.last.root:
                yield Fault(HELD, f"the log has another root over {note.size:,} entries")
        elif not self._whole or note.size <= self.head.get("begin", {}).get("size", 0):
            raise UnreadableError(f"the checkpoint over {note.size:,} entries can be compared with the whole log alone")
        elif not self._broken:
            yield Fault("the end of the log", f"{HELD} counts {note.size:,} entries, and here are {self.tree.size:,}")


def _row_of(line: Line) -> str:
    """How a line that cannot be read is called."""
    event, leaf = line.get("event") or {}, line.get("leaf") or {}
    named = (event.get("id"), leaf.get("index"), line.get("number"), line.get("index"))
    return f"{line['kind']} {next((each for each in named if each is not None), '?')}"


def canonical_bytes(event: Line) -> bytes:
    """The bytes an entry's hash is made of."""
    same = ("schema", "id", "at", "on_behalf_of", "auth_method", "ip", "request_id", "action", "team", "outcome")
    rest = ("summary", "reason", "before", "after", "body_digest")
    return canonical(
        {name: event[name] for name in (*same, *rest)}
        | {"actor": {part: event[f"actor_{part}"] for part in ("kind", "id", "name")}}
        | {"object": {part: event[f"object_{part}"] for part in ("type", "id", "name", "version")}}
    )


def canonical(value: Any) -> bytes:
    """RFC 8785 for what entries hold: no floats."""
    if value is None or isinstance(value, bool | int | str):
        return json.dumps(value, ensure_ascii=False).encode()
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return b"{" + b",".join(canonical(name) + b":" + canonical(value[name]) for name in names) + b"}"
    raise UnreadableError(f"an entry holds {value!r}")


def leaf_hash(entry_hash: str, xid: str) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + bytes.fromhex(entry_hash) + int(xid).to_bytes(8, "big")).digest()


def parsed(text: str) -> Note:
    """Read a checkpoint's signed text. Raises UnreadableError."""
    body, between, signatures = text.partition("\n\n")
    lines = body.split("\n")
    try:
        origin, size, root, at, *more = lines
        if not between or not at.startswith("at ") or len(more) > 1 or str(int(size)) != size:
            raise ValueError
        successor = more[0].removeprefix("next ") if more and more[0].startswith("next ") else None
        if more and successor is None:
            raise ValueError
        signed = tuple(_signature(line) for line in signatures.rstrip("\n").split("\n"))
        raw = base64.b64decode(root, validate=True)
    except ValueError as error:
        raise UnreadableError("it is no signed checkpoint") from error
    return Note(f"{body}\n", origin, int(size), raw, at.removeprefix("at "), successor, signed)


def public_key(text: str) -> tuple[tuple[str, bytes], Ed25519PublicKey]:
    """Read a public key as name+id+key. Raises UnreadableError."""
    try:
        name, key_id, encoded = text.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        if raw[:1] != _ED25519 or hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8] != key_id:
            raise ValueError
        return (name, bytes.fromhex(key_id)), Ed25519PublicKey.from_public_bytes(raw[1:])
    except ValueError as error:
        raise UnreadableError(f"{text.strip()[:60]} is no key of a log") from error


def notes_in(text: str) -> list[Note]:
    """The checkpoints of a file, one or more after each other. Raises UnreadableError."""
    found, lines = [], text.strip().split("\n")
    begin = 0
    for at, line in enumerate(lines):
        last = at + 1 == len(lines) or not lines[at + 1].startswith("\u2014 ")
        if line.startswith("\u2014 ") and last:
            found.append(parsed("\n".join(lines[begin : at + 1]).strip("\n") + "\n"))
            begin = at + 1
    if not found or begin != len(lines):
        raise UnreadableError("this file holds no checkpoints")
    return found


def sample_in(path: Path) -> Line:
    """The sample of a file, or of the zip of one. Raises UnreadableError."""
    try:
        text = path.read_text(encoding="utf-8") if not zipfile.is_zipfile(path) else None
        if text is None:
            with zipfile.ZipFile(path) as content:
                text = content.read(SAMPLE).decode()
        row: Line = json.loads(text)
        if row["kind"] != "sample":
            raise ValueError("it is another kind of thing")
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise UnreadableError(f"{path.name} holds no sample: {error}") from error
    return row


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of an export. Raises UnreadableError."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as content, content.open(LOG) as file:
                yield from map(json.loads, io.TextIOWrapper(file, "utf-8"))
        else:
            with path.open(encoding="utf-8") as plain:
                yield from map(json.loads, plain)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UnreadableError(f"{path.name} cannot be read: {error}") from error


def main(words: Sequence[str] | None = None) -> int:
    """Verify an export, say what was found, and return the code."""
    parser = argparse.ArgumentParser(description="Verify an export of an audit log.")
    parser.add_argument("export", type=Path)
    parser.add_argument("--key", action="append", default=[], help="the log’s public key, as you keep it")
    parser.add_argument("--against", action="append", default=[], type=Path, help="checkpoints held elsewhere")
    parser.add_argument("--sample", action="append", default=[], type=Path, help="a sample to count and draw again")
    given = parser.parse_args(words)
    try:
        held = [note for path in given.against for note in notes_in(path.read_text(encoding="utf-8"))]
        samples = [
            sample_in(path) for path in [*given.sample, *([given.export] if _is_of_sample(given.export) else [])]
        ]
        check = Check(keys=given.key, held=held, samples=samples)
        found = 0
        for fault in check.faults(lines_of(given.export)):
            found += 1
            sys.stdout.write(f"{fault}\n")
    except (OSError, UnreadableError, KeyError, TypeError, ValueError) as error:
        sys.stderr.write(f"Could not verify: {error}\n")
        return 2
    sys.stdout.write(f"{summary(check, found)}\n")
    if not check.trusted:
        sys.stdout.write("The key was the export’s own: compare it with the one that you were given.\n")
    if check.samples and not check.head["whole"]:
        sys.stdout.write("Whether the log has more entries of the population, its whole export tells, with --sample.\n")
    return 1 if found else 0


def summary(check: Check, found: int) -> str:
    """What was read and found, in a sentence."""
    what = f"{check.entries:,} entries and {check.checkpoints:,} checkpoints of {check.head.get('origin')}"
    if check.samples:
        what = f"{len(check.samples):,} {'sample' if len(check.samples) == 1 else 'samples'}, {what}"
    if found:
        return f"{found:,} {'fault' if found == 1 else 'faults'} in {what}"
    last = f", the last signed {check.last.at} over {check.last.size:,}" if check.last else ""
    return f"{what} hold{last}"


def _is_of_sample(path: Path) -> bool:
    """Whether an export is that of a sample's population."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as content:
        return SAMPLE in content.namelist()


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, name, stamp = line.split(" ")
    raw = base64.b64decode(stamp, validate=True)
    if dash != "\u2014" or len(raw) != 68:
        raise ValueError
    return name, raw[:4], raw[4:]


def _verified(key: Ed25519PublicKey, signature: bytes, text: str) -> bool:
    try:
        key.verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _above(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _climb(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root to which a proof leads (RFC 9162, 2.1.3.2); None where it is too long or too short."""
    last, found = size - 1, leaf
    for each in proof:
        if last == 0:
            return None
        if index & 1 or index == last:
            found = _above(each, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = _above(found, each)
        index, last = index >> 1, last >> 1
    return found if last == 0 else None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    sys.exit(main())
