"""A second verifier of exports: the whole log in memory, roots by the definition of RFC 9162; and of samples of it.

It says only whether all holds, and shares no code with the first or with the product.
"""

import base64
import hashlib
import json
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def compact(value: Any) -> bytes:
    """RFC 8785, for keys in ASCII and without floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def holds(lines: list[dict[str, Any]], *, key: str, held: tuple[str, ...] = ()) -> bool:
    """Whether a whole export holds under this key, and begins with what the held checkpoints were signed about."""
    try:
        return _holds(lines, key, held)
    except (AssertionError, KeyError, TypeError, ValueError, IndexError, InvalidSignature):
        return False


def sample_holds(lines: list[dict[str, Any]], sample: dict[str, Any], *, key: str) -> bool:
    """Whether the export of a sample's population holds under this key, and the sample is drawn from that."""
    try:
        return _sample_holds(lines, sample, key)
    except (AssertionError, KeyError, TypeError, ValueError, IndexError, InvalidSignature):
        return False


def _sample_holds(lines: list[dict[str, Any]], sample: dict[str, Any], key: str) -> bool:
    size, root, signed_at = 0, "", ""
    under: dict[int, tuple[int, str, str]] = {}
    members = []
    assert lines[-1] == {"kind": "end"}
    for line in lines[1:-1]:
        if line["kind"] == "checkpoint":
            size, root, signed_at = _signed(line["note"], lines[0]["origin"], key)
            assert (size, root, signed_at) == (line["size"], line["root"], line["at"])
            under[line["number"]] = (size, root, signed_at)
            continue
        event, leaf = line["event"], line["leaf"]
        _entry(event, None, masked=True)
        assert leaf["event_id"] == event["id"]
        assert leaf["hash"] == _leaf(event).hex()
        assert _top(leaf["index"], size, _leaf(event), [bytes.fromhex(each) for each in line["proof"]]).hex() == root
        if event["action"] == "audit_samples.draw" and event["object_id"] == sample["id"]:
            assert {"kind": "sample", "id": sample["id"], **event["after"]} == sample
        else:
            members.append((leaf["index"], event))
    assert [index for index, _event in members] == sorted({index for index, _event in members})
    assert _drawn(members, sample) == (len(members), sample["draws"])
    assert len(members) == sample["population"]
    assert under[sample["checkpoint"]][:2] == (sample["size"], sample["root"])
    assert sample["until"] <= under[sample["checkpoint"]][2]
    return True


def _drawn(entries: list[tuple[int, dict[str, Any]]], sample: dict[str, Any]) -> tuple[int, list[int]]:
    """How many of these are of the sample's population, and the leaves that its seed gives."""
    tickets = {
        sha(sample["seed"].encode() + _leaf(event)): index
        for index, event in entries
        if index < sample["size"]
        if sample["since"] <= event["at"] < sample["until"]
        if event["action"] in sample["acts"] or not sample["acts"]
    }
    return len(tickets), [tickets[each] for each in sorted(tickets)][: sample["n"]]


def _leaf(event: dict[str, Any]) -> bytes:
    return sha(b"\x00" + bytes.fromhex(event["entry_hash"]) + int(event["xid"]).to_bytes(8, "big"))


def _top(index: int, size: int, leaf: bytes, proof: list[bytes]) -> bytes:
    """The root over a leaf by the definition: the last of the proof is the other half of the whole tree."""
    if size == 1:
        assert not proof
        return leaf
    split = 1
    while split * 2 < size:
        split *= 2
    if index < split:
        return sha(b"\x01" + _top(index, split, leaf, proof[:-1]) + proof[-1])
    return sha(b"\x01" + proof[-1] + _top(index - split, size - split, leaf, proof[:-1]))


def _holds(lines: list[dict[str, Any]], key: str, held: tuple[str, ...]) -> bool:
    kinds = ("entry", "node", "epoch", "checkpoint", "body", "sample")
    found = {kind: [line for line in lines if line["kind"] == kind] for kind in kinds}
    sealed = [line for line in found["entry"] if line["leaf"]]
    leaves = [bytes.fromhex(line["leaf"]["hash"]) for line in sealed]
    for index, line in enumerate(sealed):
        event, leaf = line["event"], line["leaf"]
        assert leaf["index"] == index
        assert leaf["event_id"] == event["id"]
        assert leaves[index] == _leaf(event)
    for line in found["entry"]:
        _entry(line["event"], line["body"])
    assert not found["body"]
    assert lines[-1] == {"kind": "end"}
    gone = {line["event"]["object_id"]: line["event"]["after"]["erased_at"] for line in found["entry"] if _erases(line)}
    assert {line["event"]["id"]: line["body"]["erased_at"] for line in found["entry"] if _erased(line)} == gone
    begun = {line["event"]["object_id"]: line["event"]["after"] for line in found["entry"] if _begins(line)}
    assert {str(line["number"]): {k: v for k, v in line.items() if k != "kind"} for line in found["epoch"]} == begun
    drawn = {line["event"]["object_id"]: line["event"]["after"] for line in found["entry"] if _draws(line)}
    assert {row["id"]: {k: v for k, v in row.items() if k not in ("kind", "id")} for row in found["sample"]} == drawn
    entries = [(line["leaf"]["index"], line["event"]) for line in sealed]
    signed = {line["number"]: line for line in found["checkpoint"]}
    for row in found["sample"]:
        assert _drawn(entries, row) == (row["population"], row["draws"])
        above = signed[row["checkpoint"]]
        assert (above["size"], above["root"], above["at"] >= row["until"]) == (row["size"], row["root"], True)
    _tree(leaves, found["node"], found["checkpoint"], lines[0]["origin"], key, held)
    return True


def _tree(
    leaves: list[bytes],
    nodes: list[dict[str, Any]],
    checkpoints: list[dict[str, Any]],
    origin: str,
    key: str,
    held: tuple[str, ...],
) -> None:
    """The nodes and roots over the leaves are those that stand there and those that were signed."""

    @cache
    def root(begin: int, end: int) -> bytes:
        if end - begin == 1:
            return leaves[begin]
        split = 1
        while split * 2 < end - begin:
            split *= 2
        return sha(b"\x01" + root(begin, begin + split) + root(begin + split, end))

    wanted = {}
    for level in (1, 2):
        width = 256**level
        for index in range(len(leaves) // width):
            wanted[level, index] = root(index * width, (index + 1) * width).hex()
    assert {(line["level"], line["index"]): line["hash"] for line in nodes} == wanted
    for number, line in enumerate(checkpoints, 1):
        size, found, at = _signed(line["note"], origin, key)
        assert (number, size, found, at) == (line["number"], line["size"], line["root"], line["at"])
    for note in (*(line["note"] for line in checkpoints), *held):
        size, found, _at = _signed(note, origin, key)
        assert size <= len(leaves)
        assert root(0, size).hex() == found


def _begins(line: dict[str, Any]) -> bool:
    return bool(line["event"]["action"] == "seals.begin_epoch")


def _erases(line: dict[str, Any]) -> bool:
    return bool(line["event"]["action"] == "audit_bodies.erase")


def _erased(line: dict[str, Any]) -> bool:
    return bool(line["body"] and line["body"]["erased_at"])


def _draws(line: dict[str, Any]) -> bool:
    return bool(line["event"]["action"] == "audit_samples.draw")


def _entry(event: dict[str, Any], body: dict[str, Any] | None, *, masked: bool = False) -> None:
    nested = {"actor": ("kind", "id", "name"), "object": ("type", "id", "name", "version")}
    value = {outer: {part: event[f"{outer}_{part}"] for part in parts} for outer, parts in nested.items()}
    left = {name for outer, parts in nested.items() for name in (f"{outer}_{part}" for part in parts)}
    value |= {name: event[name] for name in event.keys() - left - {"xid", "entry_hash"}}
    assert sha(compact(value)).hex() == event["entry_hash"]
    assert masked or (body is None) == (event["body_digest"] is None)
    if body:
        assert body["event_id"] == event["id"]
        if body["erased_at"] is not None:
            assert (body["salt"], body["content"]) == (None, None)
            return
        assert sha(base64.b64decode(body["salt"]) + compact(body["content"])).hex() == event["body_digest"]


def _signed(note: str, origin: str, key: str) -> tuple[int, str, str]:
    """Size, root and time of a checkpoint; raises when the key did not sign it."""
    text, _, stamp = note.rpartition("\n\n")
    name, size, root, at = text.split("\n")
    public = base64.b64decode(key.split("+", 2)[2])
    dash, signer, raw = stamp.rstrip("\n").split(" ")
    signature = base64.b64decode(raw, validate=True)
    assert (name, signer, dash) == (origin, origin, "—")
    assert signature[:4] == sha(origin.encode() + b"\n" + public)[:4]
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{text}\n".encode())
    assert stamp.endswith("\n")
    return int(size), base64.b64decode(root, validate=True).hex(), at.removeprefix("at ")
