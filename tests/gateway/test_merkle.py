"""The Merkle tree against a naive one written from RFC 9162's definitions, and against well-known vectors."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallfirst import merkle

# The leaves and roots that implementations of RFC 6962 test with, after 1 to 8 leaves.
DATA = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, word for word, over data."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def data(count: int) -> list[bytes]:
    """Leaves that all differ."""
    return [bytes([index % 256, index // 256]) for index in range(count)]


def stored(leaves: list[bytes]) -> merkle.Subtree:
    """Complete subtrees as the frontier gives them out while it grows."""
    found: dict[tuple[int, int], bytes] = {}
    frontier = merkle.Frontier()
    for each in leaves:
        for height, index, value in frontier.append(merkle.leaf_hash(each)):
            found[height, index] = value
    return lambda height, index: found[height, index]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_known_roots(size: int) -> None:
    assert naive_root(DATA[:size]).hex() == ROOTS[size - 1]
    assert merkle.root_of(size, stored(DATA)).hex() == ROOTS[size - 1]


def test_a_tree_without_leaves_has_a_root() -> None:
    assert merkle.Frontier().root() == merkle.EMPTY == naive_root([])
    assert merkle.root_of(0, stored([])) == merkle.EMPTY


def test_the_known_proofs() -> None:
    """The examples of RFC 9162, 2.1.5, over the same leaves: proofs for 0, 3, 4 and 6 of 7; for 3, 4 and 6 to 7."""
    subtree, leaf = stored(DATA[:7]), [merkle.leaf_hash(each) for each in DATA[:7]]
    left, right = naive_root(DATA[:4]), naive_root(DATA[4:7])
    g, h, i = (naive_root(DATA[at : at + 2]) for at in (0, 2, 4))
    j = leaf[6]
    assert merkle.inclusion_proof(0, 7, subtree) == [leaf[1], h, right]
    assert merkle.inclusion_proof(3, 7, subtree) == [leaf[2], g, right]
    assert merkle.inclusion_proof(4, 7, subtree) == [leaf[5], j, left]
    assert merkle.inclusion_proof(6, 7, subtree) == [i, left]
    assert merkle.consistency_proof(3, 7, subtree) == [leaf[2], leaf[3], g, right]
    assert merkle.consistency_proof(4, 7, subtree) == [right]
    assert merkle.consistency_proof(6, 7, subtree) == [i, j, left]


@given(st.integers(1, 300), st.data())
def test_every_leaf_is_included_and_no_other(size: int, draw: st.DataObject) -> None:
    index = draw.draw(st.integers(0, size - 1))
    leaves = data(size)
    subtree, root = stored(leaves), naive_root(leaves)
    leaf, proof = merkle.leaf_hash(leaves[index]), merkle.inclusion_proof(index, size, subtree)
    assert merkle.root_of(size, subtree) == root
    assert len(proof) <= (size - 1).bit_length()
    assert merkle.included(index=index, size=size, leaf=leaf, proof=proof, root=root)

    other = draw.draw(st.integers(0, size + 1))
    if other != index:
        assert not merkle.included(index=other, size=size, leaf=leaf, proof=proof, root=root)
    assert not merkle.included(index=index, size=size, leaf=merkle.leaf_hash(b"x"), proof=proof, root=root)
    assert not merkle.included(index=index, size=size, leaf=leaf, proof=[*proof, leaf], root=root)
    if proof:
        assert not merkle.included(index=index, size=size, leaf=leaf, proof=proof[1:], root=root)


@given(st.integers(1, 300), st.data())
def test_a_tree_grows_from_its_beginning_and_from_no_other(new: int, draw: st.DataObject) -> None:
    old = draw.draw(st.integers(1, new))
    leaves = data(new)
    subtree, roots = stored(leaves), (naive_root(leaves[:old]), naive_root(leaves))
    proof = merkle.consistency_proof(old, new, subtree)
    said: dict[str, Any] = {"old": old, "new": new, "old_root": roots[0], "new_root": roots[1]}
    assert merkle.consistent(**said, proof=proof)

    at = draw.draw(st.integers(0, old - 1))
    forged = naive_root([*leaves[:at], b"forged", *leaves[at + 1 : old]])
    assert not merkle.consistent(**said | {"old_root": forged}, proof=proof)
    assert not merkle.consistent(**said, proof=[*proof, roots[0]])
    if proof:
        assert not merkle.consistent(**said, proof=proof[:-1])
    if old > 1:
        assert not merkle.consistent(**said | {"old": old - 1}, proof=proof)


@given(st.integers(0, 300), st.integers(0, 40))
def test_a_frontier_goes_on_where_another_ended(size: int, more: int) -> None:
    leaves = data(size + more)
    frontier = merkle.frontier_of(size, stored(leaves[:size]))
    for each in leaves[size:]:
        frontier.append(merkle.leaf_hash(each))
    assert frontier.root() == naive_root(leaves)


def test_what_no_tree_can_show_is_refused() -> None:
    subtree = stored(data(3))
    for index, size in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            merkle.inclusion_proof(index, size, subtree)
    for old, new in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="cannot be shown"):
            merkle.consistency_proof(old, new, subtree)
