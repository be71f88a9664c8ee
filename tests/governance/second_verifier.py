"""A second verifier of exports: the whole log in memory, roots by the definition of RFC 9162.

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


def _holds(lines: list[dict[str, Any]], key: str, held: tuple[str, ...]) -> bool:
    kinds = ("entry", "node", "epoch", "checkpoint", "body")
    found = {kind: [line for line in lines if line["kind"] == kind] for kind in kinds}
    sealed = [line for line in found["entry"] if line["leaf"]]
    leaves = [bytes.fromhex(line["leaf"]["hash"]) for line in sealed]
    for index, line in enumerate(sealed):
        event, leaf = line["event"], line["leaf"]
        assert leaf["index"] == index
        assert leaf["event_id"] == event["id"]
        assert leaves[index] == sha(b"\x00" + bytes.fromhex(event["entry_hash"]) + int(event["xid"]).to_bytes(8, "big"))
    for line in found["entry"]:
        _entry(line["event"], line["body"])
    assert not found["body"]
    assert lines[-1] == {"kind": "end"}
    begun = {line["event"]["object_id"]: line["event"]["after"] for line in found["entry"] if _begins(line)}
    assert {str(line["number"]): {k: v for k, v in line.items() if k != "kind"} for line in found["epoch"]} == begun
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


def _entry(event: dict[str, Any], body: dict[str, Any] | None) -> None:
    nested = {"actor": ("kind", "id", "name"), "object": ("type", "id", "name", "version")}
    value = {outer: {part: event[f"{outer}_{part}"] for part in parts} for outer, parts in nested.items()}
    left = {name for outer, parts in nested.items() for name in (f"{outer}_{part}" for part in parts)}
    value |= {name: event[name] for name in event.keys() - left - {"xid", "entry_hash"}}
    assert sha(compact(value)).hex() == event["entry_hash"]
    assert (body is None) == (event["body_digest"] is None)
    if body:
        assert body["event_id"] == event["id"]
        assert body["erased_at"] is None
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
