"""The signed text of a checkpoint: C2SP's tlog-checkpoint in a signed-note, which other logs' tools read as well.

smallfirst/0197…            the log's name
1024                        how many leaves
aGVs…                       their root, base64
at 2026-11-27T12:00:00.000000Z
next smallfirst/0197…+…     only where another key takes over from here on

— smallfirst/0197… c2ln…    name of the key; base64 of its 4 bytes and the Ed25519 signature
"""

import base64
import hashlib
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from governance.canonical import moment

KEY_FILE = "audit.key"
_ED25519 = b"\x01"


def signed(*, origin: str, size: int, root: bytes, at: datetime, secret: bytes, successor: bytes | None = None) -> str:
    """Return the signed text about a tree. `secret` is an Ed25519 key; `successor` the one that signs from here on."""
    lines = [origin, str(size), base64.b64encode(root).decode(), f"at {moment(at)}"]
    if successor is not None:
        lines.append(f"next {verification_key(origin, successor)}")
    text = "\n".join(lines) + "\n"
    signature = Ed25519PrivateKey.from_private_bytes(secret).sign(text.encode())
    stamped = base64.b64encode(_key_id(origin, secret) + signature).decode()
    return f"{text}\n\u2014 {origin} {stamped}\n"


def verification_key(origin: str, secret: bytes) -> str:
    """The public half of a key as auditors are given it: name, short digest and key, with a plus between them."""
    public = base64.b64encode(_ED25519 + _public(secret)).decode()
    return f"{origin}+{_key_id(origin, secret).hex()}+{public}"


def _key_id(origin: str, secret: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + _public(secret)).digest()[:4]


def _public(secret: bytes) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
