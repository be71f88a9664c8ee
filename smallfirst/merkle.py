"""The Merkle tree of RFC 9162, section 2.1 (that of RFC 6962): roots and proofs from hashes, wherever these stand.

SHA-256; a leaf is hashed with a zero byte before it and a node with a one, so that neither passes for the other.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

EMPTY = hashlib.sha256(b"").digest()

# Gives the hash of the complete subtree over leaves index * 2**height to (index + 1) * 2**height - 1.
Subtree = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf's data."""
    return hashlib.sha256(b"\x00" + data).digest()


def leaf_of(entry_hash: str, xid: int) -> bytes:
    """The hash of an audit entry's leaf, from its own hash in hexadecimal digits and the number of its transaction."""
    return leaf_hash(bytes.fromhex(entry_hash) + xid.to_bytes(8, "big"))


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """The right edge of a tree: all that is needed to go on adding leaves.

    `peaks` are the hashes of the complete subtrees that make the tree, the largest first: one for each 1 in `size`.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash; return each subtree that it completes as (height, index, hash), the leaf itself first."""
        index, height, found = self.size, 0, leaf
        completed = [(height, index, found)]
        while index & 1:
            found = node_hash(self.peaks.pop(), found)
            index, height = index >> 1, height + 1
            completed.append((height, index, found))
        self.peaks.append(found)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        if not self.peaks:
            return EMPTY
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def peaks_of(size: int) -> Iterator[tuple[int, int]]:
    """Yield (height, index) of each complete subtree that makes up a tree of this size, the largest first."""
    begin = 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            yield height, begin >> height
            begin += 1 << height


def frontier_of(size: int, subtree: Subtree) -> Frontier:
    """The right edge of a tree of this size."""
    return Frontier(size, [subtree(height, index) for height, index in peaks_of(size)])


def root_of(size: int, subtree: Subtree) -> bytes:
    """The root of a tree of this size."""
    return frontier_of(size, subtree).root()


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """What leads from a leaf to the root of a tree of this size (RFC 9162, 2.1.3.1), the leaf's neighbour first.

    Raises ValueError for a leaf outside the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_root_between(middle, end, subtree))
            end = middle
        else:
            path.append(_root_between(begin, middle, subtree))
            begin = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """What shows that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 9162, 2.1.4.1).

    Raises ValueError unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {old} leaves cannot be shown to begin one of {new}")
    path, begin, end = [], 0, new
    # Whether what is left is a subtree of the old tree that the reader knows: its own root.
    whole = True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_root_between(middle, end, subtree))
            end = middle
        else:
            path.append(_root_between(begin, middle, subtree))
            begin, whole = middle, False
    if not whole:
        path.append(_root_between(begin, end, subtree))
    return path[::-1]


def included(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof leads from a leaf's hash to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    here, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            found = node_hash(each, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, each)
        here, last = here >> 1, last >> 1
    return last == 0 and found == root


def consistent(*, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the old tree is the beginning of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            first, second = node_hash(each, first), node_hash(each, second)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            second = node_hash(second, each)
        here, last = here >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def _root_between(begin: int, end: int, subtree: Subtree) -> bytes:
    """The root over leaves begin to end - 1, as RFC 9162 splits them. A range never begins inside its left half."""
    count = end - begin
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return subtree(height, begin >> height)
    middle = begin + _split(count)
    return node_hash(_root_between(begin, middle, subtree), _root_between(middle, end, subtree))
