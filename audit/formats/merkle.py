"""The Merkle tree of RFC 6962 and RFC 9162 (SHA-256).

Hashes are 32 bytes, indexes and sizes count leaves from 0. MTH(a, b) stands for the hash of the leaves a .. b-1:

    MTH of no leaf      SHA-256("")
    MTH of one leaf     SHA-256(0x00 || leaf data), the leaf hash
    MTH of n > 1        SHA-256(0x01 || MTH(first k) || MTH(the rest)), k the largest power of two below n

A proof names no sides and no positions: the verifier derives them from index and size.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Span = tuple[int, int]  # the leaves first .. last-1 whose MTH is meant


class ProofError(ValueError):
    """The proof does not show what it claims."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    tree = CompactRange()
    tree.extend(leaves)
    return tree.root()


class CompactRange:
    """The leaves 0 .. size-1 as the roots of the fewest perfect subtrees, largest first: one for each 1-bit of size."""

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()):
        if len(roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees, not {len(roots)}")
        self.size = size
        self.roots = list(roots)

    def append(self, leaf: bytes) -> None:
        self.append_subtree(leaf, 1)

    def extend(self, leaves: Iterable[bytes]) -> None:
        for leaf in leaves:
            self.append(leaf)

    def append_subtree(self, subtree: bytes, width: int) -> None:
        """Add the root of a perfect subtree of `width` leaves, a power of two that divides `size`."""
        if self.size % width:
            raise ValueError(f"a subtree of {width} leaves cannot stand at index {self.size}")
        # Each 1-bit of the index from `width` on is a perfect subtree of which this one is the right half.
        place = self.size // width
        while place & 1:
            subtree = node_hash(self.roots.pop(), subtree)
            place >>= 1
        self.roots.append(subtree)
        self.size += width

    def root(self) -> bytes:
        return fold(self.roots)


def split(size: int) -> int:
    """Return the largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def perfect_spans(first: int, last: int) -> list[Span]:
    """Return the fewest perfect subtrees that make up the leaves first .. last-1, left to right."""
    spans = []
    while first < last:
        width = 1 << ((last - first).bit_length() - 1)
        if first:
            width = min(width, first & -first)
        spans.append((first, first + width))
        first += width
    return spans


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the subtrees that prove a leaf, its sibling first (RFC 6962, 2.1.1). Raises `ProofError` without it."""
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    spans: list[Span] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + split(last - first)
        if index < middle:
            spans.append((middle, last))
            last = middle
        else:
            spans.append((first, middle))
            first = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Return the subtrees that prove `old` leaves to be a prefix of `new` (RFC 6962, 2.1.2). Raises `ProofError`."""
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {old} leaves is no prefix of one of {new}")
    if old in (0, new):
        return []
    spans: list[Span] = []
    first, last, whole = 0, new, True
    while last != old:
        middle = first + split(last - first)
        if old <= middle:
            spans.append((middle, last))
            last = middle
        else:
            spans.append((first, middle))
            first, whole = middle, False
    # The verifier knows the old root: the last subtree is included only where it is not the whole old tree.
    return [*([] if whole else [(first, last)]), *spans[::-1]]


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2^n hashes of one level: faster than `CompactRange` for whole tiles."""
    sha256 = hashlib.sha256
    row = list(hashes)
    while len(row) > 1:
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def fold(roots: Sequence[bytes]) -> bytes:
    """Return the root of a tree whose perfect subtrees, largest first, have these roots."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Raise `ProofError` unless the proof leads from the leaf hash to the root (RFC 9162, 2.1.3.2)."""
    _check_sizes(leaf, expected, *proof)
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    place, last = index, size - 1
    computed = leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        if place & 1 or place == last:
            computed = node_hash(sibling, computed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if computed != expected:
        raise ProofError("the proof leads to another root: the leaf is not in this tree at this index")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise `ProofError` unless the proof shows the old tree to be a prefix of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        raise ProofError(f"nothing can be shown about a tree of {old} leaves in one of {new}")
    if old == new:
        if proof:
            raise ProofError("nothing is to be proved, so the proof must be empty")
        if old_root != new_root:
            raise ProofError("two trees of one size have different roots")
        return
    _check_sizes(old_root, new_root, *proof)
    if not proof:
        raise ProofError("the proof is empty")
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_computed = new_computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if place & 1 or place == last:
            old_computed, new_computed = node_hash(sibling, old_computed), node_hash(sibling, new_computed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new_computed = node_hash(new_computed, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if (old_computed, new_computed) != (old_root, new_root):
        raise ProofError("the proof leads to other roots: the new tree does not continue the old one")


def _check_sizes(*hashes: bytes) -> None:
    if any(len(value) != HASH_SIZE for value in hashes):
        raise ProofError(f"a hash is not {HASH_SIZE} bytes long")
