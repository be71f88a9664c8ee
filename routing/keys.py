"""The installation's keys: what signs bundles, states and the audit log, and the certificate by which gateways believe.

The root key is needed only to certify a signing key; afterwards its file can be kept away from the servers. Gateways
pin its public half (root.pub).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from governance import checkpoints
from governance.checkpoints import KEY_FILE as AUDIT
from smallfirst.seal import (
    Certificate,
    box_public_key,
    issue_certificate,
    new_secret,
    read_key_file,
    signing_public_key,
    write_key_file,
)

ROOT, ROOT_PUBLIC, SIGNING, REVIEW = "root.key", "root.pub", "signing.key", "review.key"
CERTIFICATE = "signing.certificate"
CERTIFICATE_LIFE = timedelta(days=398)
RENEW_BEFORE = timedelta(days=90)
# A gateway whose clock runs behind must not refuse a certificate of this minute.
BACKDATED = timedelta(days=1)


class KeysMissingError(Exception):
    """A key or the certificate is not there; the text says what to run."""


@dataclass(frozen=True)
class Keys:
    """What a web process needs to issue: the signing key, its certificate, and the public half of the review key."""

    signing_secret: bytes
    certificate: Certificate
    review_public_key: str


class _Validity(msgspec.Struct):
    public_key: str
    not_after: datetime


def load(directory: Path) -> Keys:
    """Read the keys from their files. Raises KeysMissingError, and SealError for a file that holds no key."""
    try:
        return Keys(
            signing_secret=read_key_file(directory / SIGNING),
            certificate=msgspec.json.decode((directory / CERTIFICATE).read_bytes(), type=Certificate),
            review_public_key=box_public_key(read_key_file(directory / REVIEW)),
        )
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise KeysMissingError(f"{name} is missing in {directory}: run `./run manage bootstrap`") from error


def ensure(directory: Path, *, now: datetime) -> list[str]:
    """Make what is missing, certify the signing key anew when its certificate is about to end; what exists stays.

    Returns the names of the files written. Raises KeysMissingError when there is something to certify and no root key.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    certified = (directory / CERTIFICATE).exists()
    # An installation that keeps its root key elsewhere must not get a second one that its gateways do not know.
    rest = (SIGNING, REVIEW, AUDIT)
    wanted = rest if certified or (directory / ROOT_PUBLIC).exists() else (ROOT, *rest)
    for name in wanted:
        if not (directory / name).exists():
            write_key_file(directory / name, new_secret())
            written.append(name)
    public_key = signing_public_key(read_key_file(directory / SIGNING))
    if not certified or not _holds(directory / CERTIFICATE, public_key, now):
        written += _certify(directory, public_key, now)
    return written


def root_public_key(directory: Path) -> str:
    """The public half of the root key (base64url), a gateway's SMALLFIRST_ROOT_KEY. Raises KeysMissingError."""
    try:
        return (directory / ROOT_PUBLIC).read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise KeysMissingError(f"{ROOT_PUBLIC} is missing in {directory}: run `./run manage bootstrap`") from error


def audit_public_key(directory: Path) -> str:
    """The public half of the audit log's key without the log's name, for a gateway's SMALLFIRST_AUDIT_KEY.

    Raises KeysMissingError, and SealError for a file that holds no key.
    """
    try:
        secret = read_key_file(directory / AUDIT)
    except FileNotFoundError as error:
        raise KeysMissingError(f"{AUDIT} is missing in {directory}: run `./run manage bootstrap`") from error
    # The key's own base64 may hold a plus as well.
    return checkpoints.verification_key("", secret).split("+", 2)[2]


def _holds(path: Path, public_key: str, now: datetime) -> bool:
    certificate = msgspec.json.decode(path.read_bytes(), type=Certificate)
    validity = msgspec.json.decode(certificate.text, type=_Validity)
    return validity.public_key == public_key and now < validity.not_after - RENEW_BEFORE


def _certify(directory: Path, public_key: str, now: datetime) -> list[str]:
    try:
        root = read_key_file(directory / ROOT)
    except FileNotFoundError as error:
        raise KeysMissingError(
            f"{ROOT} is missing in {directory}, and the signing key needs a certificate: bring the root key back"
        ) from error
    certificate = issue_certificate(
        root,
        key_id=f"signing-{now:%Y-%m-%d}",
        public_key=public_key,
        not_before=now - BACKDATED,
        not_after=now + CERTIFICATE_LIFE,
    )
    _write(directory / CERTIFICATE, msgspec.json.encode(certificate))
    _write(directory / ROOT_PUBLIC, signing_public_key(root).encode() + b"\n")
    return [CERTIFICATE, ROOT_PUBLIC]


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(content)
    draft.replace(path)
