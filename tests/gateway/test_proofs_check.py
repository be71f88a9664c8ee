"""A proof shows that the audit log holds the issue of one bundle; anything else about it is found."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import canonical, checkpoints
from smallfirst import merkle, proofs
from smallfirst.documents import BundleEnvironment, BundlePayload
from smallfirst.proofs import LogKey
from smallfirst.seal import Proof

ORIGIN = "smallfirst/0197"
SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
BUNDLE = BundlePayload(
    serial=7,
    issued_at=NOW,
    expires_at=NOW + timedelta(days=7),
    environment=BundleEnvironment(id="0197-production", name="production"),
    review_key="",
    digest=hashlib.sha256(b"{}").hexdigest(),
    snapshot="{}",
)
ENTRY: dict[str, Any] = {
    "action": "bundles.issue",
    "after": {"serial": 7, "environment": "0197-production", "snapshot": BUNDLE.digest},
    "summary": "Issued bundle 7 for production \u2014 \u00e4",
}
XID = 812


def proof_of(entry: Any = ENTRY, *, secret: bytes = SECRET, leaf: int = 5, size: int = 13, xid: int = XID) -> Proof:
    """A proof from a log that holds the entry among others."""
    text = canonical.encode(entry)
    leaves = [merkle.leaf_hash(bytes([each])) for each in range(size)]
    leaves[leaf] = merkle.leaf_of(hashlib.sha256(text).hexdigest(), xid)

    def subtree(height: int, index: int) -> bytes:
        if height == 0:
            return leaves[index]
        return merkle.node_hash(subtree(height - 1, 2 * index), subtree(height - 1, 2 * index + 1))

    root = merkle.root_of(size, subtree)
    return Proof(
        entry=text.decode(),
        xid=xid,
        leaf=leaf,
        path=tuple(each.hex() for each in merkle.inclusion_proof(leaf, size, subtree)),
        checkpoint=checkpoints.signed(origin=ORIGIN, size=size, root=root, at=NOW, secret=secret),
    )


def keys_of(*secrets: bytes) -> tuple[LogKey, ...]:
    """The keys as a gateway reads them."""
    return proofs.read_keys(" ".join(checkpoints.verification_key(ORIGIN, secret) for secret in secrets))


KEYS = keys_of(SECRET)


@pytest.mark.parametrize(("leaf", "size"), [(0, 1), (0, 2), (1, 2), (5, 13), (12, 13), (255, 256)])
def test_a_proof_holds_wherever_the_entry_stands(leaf: int, size: int) -> None:
    assert proofs.check(proof_of(leaf=leaf, size=size), BUNDLE, KEYS) == "proved"


def test_any_of_the_keys_will_do_and_a_bare_one_too() -> None:
    bare = checkpoints.verification_key(ORIGIN, SECRET).split("+", 2)[2]
    assert len(bare) == 44
    assert proofs.check(proof_of(), BUNDLE, proofs.read_keys(bare)) == "proved"
    assert proofs.check(proof_of(), BUNDLE, keys_of(OTHER, SECRET)) == "proved"
    assert proofs.check(proof_of(), BUNDLE, keys_of(OTHER)) == "wrong_key"


def test_a_key_whose_base64_holds_a_plus_is_read_in_both_forms() -> None:
    secret = next(
        each
        for each in (hashlib.sha256(bytes([number])).digest() for number in range(256))
        if "+" in checkpoints.verification_key(ORIGIN, each).split("+", 2)[2]
    )
    whole = checkpoints.verification_key(ORIGIN, secret)
    for text in (whole, whole.split("+", 2)[2]):
        assert proofs.check(proof_of(secret=secret), BUNDLE, proofs.read_keys(text)) == "proved"


def test_a_key_of_another_log_does_not_prove_this_one() -> None:
    keys = proofs.read_keys(checkpoints.verification_key("smallfirst/0198", SECRET))
    assert proofs.check(proof_of(), BUNDLE, keys) == "wrong_key"


def test_without_a_key_nothing_is_checked_and_without_a_proof_it_is_missing() -> None:
    assert proofs.check(proof_of(), BUNDLE, ()) == "unchecked"
    assert proofs.check(None, BUNDLE, ()) == "unchecked"
    assert proofs.check(None, BUNDLE, KEYS) == "missing"


@pytest.mark.parametrize(
    "said",
    [
        {"serial": 8},
        {"environment": BundleEnvironment(id="0197-staging", name="production")},
        {"digest": hashlib.sha256(b"[]").hexdigest()},
    ],
)
def test_a_proof_of_another_bundle_is_none_of_this_one(said: dict[str, Any]) -> None:
    assert proofs.check(proof_of(), msgspec.structs.replace(BUNDLE, **said), KEYS) == "other_bundle"


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY | {"action": "bundles.keep"},
        ENTRY | {"after": None},
        ENTRY | {"after": {"serial": 7, "snapshot": BUNDLE.digest}},
        ENTRY | {"after": {"serial": "7", "environment": "0197-production", "snapshot": BUNDLE.digest}},
        {"summary": "nothing"},
        [],
    ],
)
def test_an_entry_about_something_else_proves_nothing(entry: Any) -> None:
    assert proofs.check(proof_of(entry), BUNDLE, KEYS) == "other_bundle"


def test_an_entry_that_the_log_does_not_hold_is_found() -> None:
    forged = proof_of(ENTRY | {"after": ENTRY["after"] | {"serial": 8}})
    words = canonical.encode(ENTRY).decode()
    assert proofs.check(msgspec.structs.replace(forged, entry=words), BUNDLE, KEYS) == "wrong_path"


@pytest.mark.parametrize(
    ("said", "finding"),
    [
        ({"xid": XID + 1}, "wrong_path"),
        ({"xid": -1}, "malformed"),
        ({"xid": 2**64}, "malformed"),
        ({"leaf": 4}, "wrong_path"),
        ({"leaf": 13}, "wrong_path"),
        ({"path": ()}, "wrong_path"),
        ({"path": ("zz",)}, "malformed"),
        ({"checkpoint": ""}, "malformed"),
        ({"checkpoint": "a\nb\nc\n\n"}, "malformed"),
        ({"checkpoint": f"{ORIGIN}\n0\n\n\n"}, "malformed"),
    ],
)
def test_a_proof_that_leads_nowhere_is_found(said: dict[str, Any], finding: str) -> None:
    assert proofs.check(msgspec.structs.replace(proof_of(), **said), BUNDLE, KEYS) == finding


def test_a_note_signed_by_nobody_known_or_not_at_all_proves_nothing() -> None:
    proof = proof_of()
    text, _, below = proof.checkpoint.partition("\n\n")
    unsigned = msgspec.structs.replace(proof, checkpoint=f"{text}\n\n")
    assert proofs.check(unsigned, BUNDLE, KEYS) == "wrong_key"
    forged = msgspec.structs.replace(proof, checkpoint=f"{text}\nmore\n\n{below}")
    assert proofs.check(forged, BUNDLE, KEYS) == "wrong_key"
    # A witness's signature beside the log's own does no harm.
    witness = checkpoints.signed(origin="witness", size=1, root=bytes(32), at=NOW, secret=OTHER).splitlines()[-1]
    assert proofs.check(msgspec.structs.replace(proof, checkpoint=f"{proof.checkpoint}{witness}\n"), BUNDLE, KEYS) == (
        "proved"
    )


@given(st.data())
def test_no_other_byte_proves_a_bundle(data: st.DataObject) -> None:
    """Whatever one character of a proof is changed to, it is found, but where it says the same."""
    proof = proof_of()
    raw = msgspec.json.encode(proof).decode()
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + data.draw(st.characters(codec="utf-8")) + raw[at + 1 :]
    try:
        found = msgspec.json.decode(changed.encode(), type=Proof)
    except msgspec.MsgspecError:
        return
    same = msgspec.json.encode(found).decode().lower() == raw.lower()
    assert (proofs.check(found, BUNDLE, KEYS) == "proved") <= (same or _same_note(found, proof))


def _same_note(found: Proof, proof: Proof) -> bool:
    """Whether two notes differ in nothing but how their lines below the empty one are parted."""
    apart = [msgspec.structs.replace(each, checkpoint="") for each in (found, proof)]
    return apart[0] == apart[1] and found.checkpoint.splitlines() == proof.checkpoint.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "AAAA",
        "smallfirst/0197+00000000",
        f"{ORIGIN}+00000000+{checkpoints.verification_key(ORIGIN, SECRET).split('+', 2)[2]}",
        f"{ORIGIN}+zz+{checkpoints.verification_key(ORIGIN, SECRET).split('+', 2)[2]}",
        base64.b64encode(b"\x02" + SECRET).decode(),
        base64.b64encode(SECRET).decode(),
        json.dumps({"key": "ä"}),
    ],
)
def test_what_is_no_key_of_a_log_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must hold"):
        proofs.read_keys(text)


def test_no_keys_are_none() -> None:
    assert proofs.read_keys("") == proofs.read_keys(" , ") == ()
