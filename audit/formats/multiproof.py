"""The proof of many leaves at once: the hashes of what lies between them. Pure: for auditors to read, no Django.

The leaves that are shown cut the tree into gaps: before the first, between neighbours, after the last. Each gap is made
up of the fewest perfect subtrees (`merkle.perfect_spans`), and their roots, left to right, are the proof. Who verifies
puts leaves and roots together in order, and must come out at the signed root.

Where the shown leaves are neighbours there is no gap between them, so the proof of a range has hashes at its two ends
alone, and shows that nothing in it was left out: two neighbours with a leaf missing between them would lead to another
root. Decision 13.
"""

from collections.abc import Iterable, Iterator

from audit.formats.merkle import CompactRange, ProofError, Span, perfect_spans


def between(indexes: Iterable[int], size: int) -> Iterator[Span]:
    """The subtrees whose hashes prove the leaves at these indexes, in order, to be in the tree of `size`.

    Raises `ProofError` where they are not in order, or not in the tree.
    """
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
        if (found := next(hashes, None)) is None:
            raise ProofError("the proof is too short")
        tree.append_subtree(found, last - first)


def _check_place(place: int, index: int, size: int) -> None:
    if not place <= index < size:
        raise ProofError(f"leaf {index} cannot stand at or after place {place} of a tree of {size} leaves")
