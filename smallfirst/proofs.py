"""Proofs that the audit log holds the issue of a bundle, checked by whoever obeys it, with the log's public key alone.

A proof names the audit entry of the issue by its exact text, its place in the log, the hashes that lead from it to a
root (RFC 9162, 2.1.3.2), and the signed note about that root (C2SP tlog-checkpoint). The entry must tell of this very
bundle: its serial, its environment, the SHA-256 of its snapshot. So nobody can send a gateway unnoticed what the log
that auditors verify does not know, also not with the signing key in hand.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from smallfirst import merkle
from smallfirst.documents import BundlePayload
from smallfirst.seal import Proof

Finding = Literal[
    "proved",
    "unchecked",  # no key of the log is known here
    "missing",  # the envelope brings no proof
    "malformed",  # it brings what cannot be read
    "other_bundle",  # the entry tells of another bundle, or of something else
    "wrong_path",  # the entry is not under the root
    "wrong_key",  # no known key of the log signed the root
]

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 33
# Base64 of a key and the byte for its kind.
_KEY_LENGTH: Final = 44
_SIGNATURE_BYTES: Final = 4 + 64


class LogKey(msgspec.Struct, frozen=True):
    """A public key of an audit log: the log's name and the key's short digest where they are known, and the key."""

    raw: bytes
    origin: str | None = None
    key_id: bytes | None = None


class _Attached(msgspec.Struct):
    proof: Proof | None = None


class _Issue(msgspec.Struct):
    serial: int
    environment: str
    snapshot: str


class _Entry(msgspec.Struct):
    action: str
    after: _Issue


class _Signed(msgspec.Struct, frozen=True):
    """The part of a note that is signed, and what it says."""

    text: bytes
    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes], ...]


def read_keys(text: str) -> tuple[LogKey, ...]:
    """Read keys with spaces or commas between them: each as `audit_key` prints it, or its last 44 characters.

    Raises ValueError for what is none, in words that follow the name of a setting.
    """
    return tuple(_key(each) for each in re.split(r"[\s,]+", text.strip()) if each)


def attached(raw: bytes) -> Proof | None:
    """Return the proof beside the payload of an envelope that was opened before."""
    return msgspec.json.decode(raw, type=_Attached).proof


def check(proof: Proof | None, bundle: BundlePayload, keys: Sequence[LogKey]) -> Finding:
    """Say whether a proof shows that a log of one of these keys holds the issue of this bundle."""
    if not keys:
        return "unchecked"
    if proof is None:
        return "missing"
    try:
        note = _read_note(proof.checkpoint)
        path = [bytes.fromhex(each) for each in proof.path]
        digest = hashlib.sha256(proof.entry.encode()).hexdigest()
        leaf = merkle.leaf_of(digest, proof.xid)
    except (ValueError, OverflowError):
        return "malformed"
    if not _tells_of(proof.entry, bundle):
        return "other_bundle"
    if not merkle.included(index=proof.leaf, size=note.size, leaf=leaf, proof=path, root=note.root):
        return "wrong_path"
    return "proved" if any(_signed_by(note, key) for key in keys) else "wrong_key"


def _key(text: str) -> LogKey:
    origin, key_id, key = ("", "", text) if len(text) == _KEY_LENGTH else ([*text.split("+", 2), "", ""])[:3]
    try:
        raw = base64.b64decode(key, validate=True)
        short = bytes.fromhex(key_id)
    except ValueError:
        raw = short = b""
    if len(raw) != _KEY_BYTES or raw[:1] != _ED25519:
        raise ValueError("must hold the public key of the audit log, which `./run manage audit_key` prints")
    if not origin:
        return LogKey(raw[1:])
    if short != _key_id(origin, raw[1:]):
        raise ValueError("must hold the key of the audit log whole: its name and its short digest do not fit it")
    return LogKey(raw[1:], origin, short)


def _key_id(origin: str, raw: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + raw).digest()[:4]


def _tells_of(entry: str, bundle: BundlePayload) -> bool:
    try:
        found = msgspec.json.decode(entry, type=_Entry)
    except (msgspec.MsgspecError, RecursionError):
        return False
    issue = _Issue(bundle.serial, bundle.environment.id, bundle.digest)
    return found.action == "bundles.issue" and found.after == issue


def _read_note(note: str) -> _Signed:
    """Read a note: lines for name, size and root, more lines, an empty one, signatures. Raises ValueError."""
    text, _, below = note.partition("\n\n")
    origin, size, root, *_more = text.split("\n")
    if not re.fullmatch(r"[1-9][0-9]{0,17}", size):
        raise ValueError("no size")
    signatures = tuple(_signature(line) for line in below.splitlines())
    return _Signed(f"{text}\n".encode(), origin, int(size), base64.b64decode(root, validate=True), signatures)


def _signature(line: str) -> tuple[str, bytes]:
    dash, name, blob = line.split(" ")
    raw = base64.b64decode(blob, validate=True)
    if dash != "\u2014" or len(raw) != _SIGNATURE_BYTES:
        raise ValueError("no signature")
    return name, raw


def _signed_by(note: _Signed, key: LogKey) -> bool:
    """Whether a key signed a note under the note's own name."""
    if key.origin not in (None, note.origin):
        return False
    wanted = _key_id(note.origin, key.raw)
    for name, raw in note.signatures:
        if name == note.origin and raw[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(key.raw).verify(raw[4:], note.text)
            except InvalidSignature:
                continue
            return True
    return False
