"""The Merkle tree of RFC 6962 and RFC 9162 (SHA-256). Pure: for auditors to read, no Django.

Hashes are 32 bytes, indexes and sizes count leaves from 0. MTH(a, b) stands for the hash of the leaves a .. b-1:

    MTH of no leaf      SHA-256("")
    MTH of one leaf     SHA-256(0x00 || leaf data), the leaf hash
    MTH of n > 1        SHA-256(0x01 || MTH(first k) || MTH(the rest)), k the largest power of two below n

A proof names no sides and no positions: who verifies derives them from index and size.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Span = tuple[int, int]  # the leaves first .. last-1 whose MTH is meant


class ProofError(ValueError):
    """The proof does not show what it claims."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH over leaf hashes."""
    tree = CompactRange()
    tree.extend(leaves)
    return tree.root()


class CompactRange:
    """The leaves 0 .. size-1 as the roots of the fewest perfect subtrees: one for each 1-bit of size, largest first."""

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()):
        if len(roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees, not {len(roots)}")
        self.size = size
        self.roots = list(roots)

    def append(self, leaf: bytes) -> None:
        """Add the leaf hash at index `size`."""
        self.append_subtree(leaf, 1)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append(leaf)

    def append_subtree(self, subtree: bytes, width: int) -> None:
        """Add the root of a perfect subtree of `width` leaves, a power of two that divides `size`."""
        if self.size % width:
            raise ValueError(f"a subtree of {width} leaves cannot stand at index {self.size}")
        found = subtree
        # Each 1-bit of the index from `width` on is a perfect subtree that waits for this one as its right half.
        place = self.size // width
        while place & 1:
            found = node_hash(self.roots.pop(), found)
            place >>= 1
        self.roots.append(found)
        self.size += width

    def root(self) -> bytes:
        """MTH over all leaves so far."""
        return fold(self.roots)


def split(size: int) -> int:
    """The largest power of two below `size` (which is at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def perfect_spans(first: int, last: int) -> list[Span]:
    """The fewest perfect subtrees that make up the leaves first .. last-1, left to right."""
    found = []
    while first < last:
        width = 1 << ((last - first).bit_length() - 1)
        if first:
            width = min(width, first & -first)
        found.append((first, first + width))
        first += width
    return found


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The subtrees whose hashes are the inclusion proof of a leaf, its sibling first (RFC 6962, 2.1.1).

    Raises `ProofError` where the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    found: list[Span] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + split(last - first)
        if index < middle:
            found.append((middle, last))
            last = middle
        else:
            found.append((first, middle))
            first = middle
    return found[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The subtrees whose hashes prove that the tree of `old` leaves is a prefix of the one of `new` (RFC 6962, 2.1.2).

    None are needed for an empty tree, which has nothing to show, or for equal ones.
    Raises `ProofError` where old is greater than new.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {old} leaves is no prefix of one of {new}")
    if old in (0, new):
        return []
    found: list[Span] = []
    first, last, whole = 0, new, True
    while last != old:
        middle = first + split(last - first)
        if old <= middle:
            found.append((middle, last))
            last = middle
        else:
            found.append((first, middle))
            first, whole = middle, False
    # The verifier knows the old tree; its last subtree is told only where it is not the whole of it.
    return [*([] if whole else [(first, last)]), *found[::-1]]


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes of one level; the fast way for whole tiles."""
    sha256 = hashlib.sha256
    row = list(hashes)
    while len(row) > 1:
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def fold(roots: Sequence[bytes]) -> bytes:
    """The root of a tree whose perfect subtrees, largest first, have these roots."""
    if not roots:
        return EMPTY_ROOT
    found = roots[-1]
    for left in reversed(roots[:-1]):
        found = node_hash(left, found)
    return found


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Raise `ProofError` unless the proof leads from the leaf hash to the root (RFC 9162, 2.1.3.2)."""
    _check_sizes(leaf, expected, *proof)
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    place, last = index, size - 1
    found = leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if found != expected:
        raise ProofError("the proof leads to another root: the leaf is not in this tree at this index")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise `ProofError` unless the proof shows the old tree to be a prefix of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        raise ProofError(f"nothing can be shown about a tree of {old} leaves in one of {new}")
    if old == new:
        _check_same(proof, old_root, new_root)
        return
    _check_sizes(old_root, new_root, *proof)
    if not proof:
        raise ProofError("the proof is empty")
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_found = new_found = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if place & 1 or place == last:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if (old_found, new_found) != (old_root, new_root):
        raise ProofError("the proof leads to other roots: the new tree does not continue the old one")


def _check_same(proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    if proof:
        raise ProofError("nothing is to be proved, so the proof must be empty")
    if old_root != new_root:
        raise ProofError("two trees of one size have different roots")


def _check_sizes(*hashes: bytes) -> None:
    if any(len(found) != HASH_SIZE for found in hashes):
        raise ProofError(f"a hash is not {HASH_SIZE} bytes long")
