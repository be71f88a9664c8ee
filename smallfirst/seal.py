"""Signed envelopes and sealed boxes: what gateways may believe, and what only the control plane may read."""

import base64
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

T = TypeVar("T")

Purpose = Literal["bundle", "state"]
Cause = Literal[
    "malformed",  # not an envelope, box or key at all
    "wrong_purpose",  # a bundle where a state was asked for, or the other way round
    "untrusted_certificate",  # the root key did not sign this certificate
    "certificate_not_yet_valid",
    "certificate_expired",
    "bad_signature",  # the certified key did not sign this payload
    "cannot_open",  # the box is for another key, belongs to another case, or was changed
    "unsafe_key_file",  # others may read the key file
]

SECRET_BYTES = 32
_CERTIFICATE_CONTEXT = b"smallfirst-certificate-v1\n"
_BOX_CONTEXT = b"smallfirst-box-v1"
_BOX_VERSION = b"\x01"
# Every box has a key of its own, derived from an ephemeral key, so the nonce can be the same for all.
_BOX_NONCE = bytes(12)


class SealError(Exception):
    """Something signed or sealed is not to be believed; ``cause`` says why, for a program."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate's exact text and the root key's signature over it (base64url)."""

    text: str
    signature: str


class _CertificateText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: str
    public_key: str
    not_before: datetime
    not_after: datetime


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What leads from an audit entry to a signed root of the log.

    `entry` is the entry's exact text and `xid` the number of its transaction; `leaf` its place, from 0; `path` the
    hashes to the root (hexadecimal digits, the leaf's neighbour first); `checkpoint` the signed note about that root.
    """

    entry: str
    xid: int
    leaf: int
    path: tuple[str, ...]
    checkpoint: str


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A payload's exact text, the signature over it, and the certificate (exact text too) of the key that made it.

    `proof` lies beside them, unsigned by that key: it leads to a root that the audit log's key signed
    (smallfirst.proofs), and is there once the entry of the issue is sealed.
    """

    payload: str
    certificate: str
    certificate_signature: str
    signature: str
    purpose: Purpose
    proof: Proof | None = None


def encode_base64url(raw: bytes) -> str:
    """Return base64url text without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Return the bytes of base64url text without padding; raises SealError ``malformed``."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise SealError("malformed", "not base64url text without padding") from error
    if encode_base64url(raw) != text:
        raise SealError("malformed", "not base64url text without padding")
    return raw


def new_secret() -> bytes:
    """Return 32 random bytes, which serve as an Ed25519 or as an X25519 private key."""
    return os.urandom(SECRET_BYTES)


def signing_public_key(secret: bytes) -> str:
    """Return the public half (base64url) of an Ed25519 secret: the root key or a signing key."""
    key = _signing_key(secret).public_key()
    return encode_base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def box_public_key(secret: bytes) -> str:
    """Return the public half (base64url) of an X25519 secret: the review key."""
    key = _box_key(secret).public_key()
    return encode_base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def write_key_file(path: Path, secret: bytes) -> None:
    """Write a secret as one line of base64url, readable by its owner only and durable on return.

    Raises FileExistsError rather than replace a key.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode_base64url(secret).encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_key_file(path: Path) -> bytes:
    """Return the 32 bytes of a key file.

    Raises FileNotFoundError, and SealError ``unsafe_key_file`` when group or others may touch it or ``malformed``.
    """
    with path.open("rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise SealError("unsafe_key_file", f"{path.name} may be read by others: set its mode to 0600")
        text = file.read(1000)
    try:
        secret = decode_base64url(text.decode("ascii").strip())
    except (UnicodeDecodeError, SealError) as error:
        raise SealError("malformed", f"{path.name} does not hold a key") from error
    if len(secret) != SECRET_BYTES:
        raise SealError("malformed", f"{path.name} does not hold a key of {SECRET_BYTES} bytes")
    return secret


def issue_certificate(
    root_secret: bytes, *, key_id: str, public_key: str, not_before: datetime, not_after: datetime
) -> Certificate:
    """Let the root key vouch for a signing key between two moments (UTC-aware, both included)."""
    text = msgspec.json.encode(
        _CertificateText(
            key_id=key_id,
            public_key=public_key,
            not_before=not_before.astimezone(UTC),
            not_after=not_after.astimezone(UTC),
        )
    )
    signature = _signing_key(root_secret).sign(_CERTIFICATE_CONTEXT + text)
    return Certificate(text=text.decode(), signature=encode_base64url(signature))


def sign_envelope(payload: str, *, purpose: Purpose, certificate: Certificate, signing_secret: bytes) -> bytes:
    """Return the envelope (JSON) of an exact payload text, signed by the key that the certificate names."""
    signature = _signing_key(signing_secret).sign(_payload_context(purpose) + payload.encode())
    return msgspec.json.encode(
        Envelope(
            payload=payload,
            certificate=certificate.text,
            certificate_signature=certificate.signature,
            signature=encode_base64url(signature),
            purpose=purpose,
        )
    )


def open_envelope(raw: bytes, *, root_public_key: str, purpose: Purpose, now: datetime) -> bytes:
    """Return the exact payload of an envelope that the pinned root key stands behind at ``now`` (UTC-aware).

    Raises SealError with its cause; the payload's own serial and expiry are the caller's to judge.
    """
    envelope = _decode(raw, Envelope, "an envelope")
    if envelope.purpose != purpose:
        raise SealError("wrong_purpose", f"the envelope holds a {envelope.purpose}, not a {purpose}")
    certificate_text = envelope.certificate.encode()
    if not _verified(root_public_key, envelope.certificate_signature, _CERTIFICATE_CONTEXT + certificate_text):
        raise SealError("untrusted_certificate", "the pinned root key did not sign the certificate")
    certificate = _decode(certificate_text, _CertificateText, "a certificate")
    if certificate.not_before.tzinfo is None or certificate.not_after.tzinfo is None:
        raise SealError("malformed", "the certificate’s times name no time zone")
    if now < certificate.not_before:
        raise SealError("certificate_not_yet_valid", f"the certificate of {certificate.key_id} is not valid yet")
    if now > certificate.not_after:
        raise SealError("certificate_expired", f"the certificate of {certificate.key_id} has expired")
    payload = envelope.payload.encode()
    if not _verified(certificate.public_key, envelope.signature, _payload_context(purpose) + payload):
        raise SealError("bad_signature", f"{certificate.key_id} did not sign this {purpose}")
    return payload


def seal_box(public_key: str, plaintext: bytes, aad: bytes) -> bytes:
    """Return a box that only the holder of the X25519 key can open, and only with the same ``aad``."""
    recipient = _public_bytes(public_key)
    ephemeral = X25519PrivateKey.generate()
    ephemeral_public = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    except ValueError as error:
        raise SealError("malformed", "not a usable X25519 public key") from error
    cipher = ChaCha20Poly1305(_box_cipher_key(shared, ephemeral_public, recipient))
    return _BOX_VERSION + ephemeral_public + cipher.encrypt(_BOX_NONCE, plaintext, aad)


def open_box(secret: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Return a box's plaintext; raises SealError ``cannot_open`` or ``malformed``."""
    key = _box_key(secret)
    if len(sealed) < 1 + SECRET_BYTES + 16 or sealed[:1] != _BOX_VERSION:
        raise SealError("malformed", "not a sealed box")
    ephemeral_public, ciphertext = sealed[1 : 1 + SECRET_BYTES], sealed[1 + SECRET_BYTES :]
    recipient = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(ephemeral_public))
        return ChaCha20Poly1305(_box_cipher_key(shared, ephemeral_public, recipient)).decrypt(
            _BOX_NONCE, ciphertext, aad
        )
    except (InvalidTag, ValueError) as error:
        raise SealError("cannot_open", "the box is for another key, belongs elsewhere or was changed") from error


def _payload_context(purpose: Purpose) -> bytes:
    return f"smallfirst-{purpose}-v1\n".encode()


def _box_cipher_key(shared: bytes, ephemeral_public: bytes, recipient: bytes) -> bytes:
    return HKDF(SHA256(), SECRET_BYTES, salt=ephemeral_public + recipient, info=_BOX_CONTEXT).derive(shared)


def _signing_key(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_checked_secret(secret))


def _box_key(secret: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(_checked_secret(secret))


def _checked_secret(secret: bytes) -> bytes:
    if len(secret) != SECRET_BYTES:
        raise SealError("malformed", f"a key has {SECRET_BYTES} bytes")
    return secret


def _public_bytes(text: str) -> bytes:
    raw = decode_base64url(text)
    if len(raw) != SECRET_BYTES:
        raise SealError("malformed", f"a public key has {SECRET_BYTES} bytes")
    return raw


def _verified(public_key: str, signature: str, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(_public_bytes(public_key)).verify(decode_base64url(signature), message)
    except InvalidSignature:
        return False
    return True


def _decode(raw: bytes, kind: type[T], noun: str) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SealError("malformed", f"not {noun}: {error}") from error
