"""The proof of many leaves at once: the hashes of what lies between them (decision 13).

The leaves that are shown cut the tree into gaps: before the first, between neighbours, after the last. Each gap is the
fewest perfect subtrees (`merkle.perfect_spans`), and their roots, left to right, are the proof. The verifier combines
leaves and roots in order, and must arrive at the signed root.

Adjacent leaves have no gap between them, so the proof of a range has hashes at its two ends only, and shows that
nothing in the range was left out: with a leaf missing, two neighbours would lead to another root.
"""

from collections.abc import Iterable, Iterator

from audit.formats.merkle import CompactRange, ProofError, Span, perfect_spans


def between(indexes: Iterable[int], size: int) -> Iterator[Span]:
    """Yield the subtrees that prove the leaves at these ascending indexes in the tree of `size`, or `ProofError`."""
    place = 0
    for index in indexes:
        _check_place(place, index, size)
        yield from perfect_spans(place, index)
        place = index + 1
    yield from perfect_spans(place, size)


def verify(leaves: Iterable[tuple[int, bytes]], size: int, proof: Iterable[bytes], expected: bytes) -> None:
    """Raise `ProofError` unless the proof leads from all of the leaves (index, hash) together to the root."""
    tree, hashes = CompactRange(), iter(proof)
    for index, leaf in leaves:
        _check_place(tree.size, index, size)
        _fill(tree, index, hashes)
        tree.append(leaf)
    _fill(tree, size, hashes)
    if next(hashes, None) is not None:
        raise ProofError("the proof is too long")
    if tree.root() != expected:
        raise ProofError("the proof leads to another root: these are not the leaves of the tree at these indexes")


def _fill(tree: CompactRange, end: int, hashes: Iterator[bytes]) -> None:
    for first, last in perfect_spans(tree.size, end):
        if (subtree_root := next(hashes, None)) is None:
            raise ProofError("the proof is too short")
        tree.append_subtree(subtree_root, last - first)


def _check_place(place: int, index: int, size: int) -> None:
    if not place <= index < size:
        raise ProofError(f"leaf {index} cannot stand at or after place {place} of a tree of {size} leaves")
