"""How the store keeps the hashes of the log: the leaves, and every eighth level above them.

Level 0 is the leaf hashes; hash i of level L is the root of the 256^L leaves from i * 256^L on, kept once all of them
exist. 256 neighbours of a level are a tile (C2SP tlog-tiles). Any proof is computed from at most one tile a level
beside those of the right edge; keeping the levels in between would cost more than computing them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from audit.formats import merkle
from audit.formats.merkle import CompactRange, Span

WIDTH = 256
HEIGHT = 8


@dataclass(frozen=True, slots=True)
class Node:
    """A kept hash above the leaves; `level` is 1 or more."""

    level: int
    index: int
    hash: bytes


class Run(NamedTuple):
    """Neighbouring hashes of one level: first .. last-1."""

    level: int
    first: int
    last: int


Lookup = Callable[[int, int], bytes]  # the kept hash at (level, index)


class Edge:
    """The right edge of a growing tree: the hashes of each level that do not fill a tile yet."""

    def __init__(self, size: int = 0, lookup: Lookup | None = None):
        self.size = 0
        self._levels: list[list[bytes]] = []
        if size and lookup is not None:
            self.size = size
            self._levels = [
                [lookup(level, index) for index in range(first, last)] for level, first, last in edge_runs(size)
            ]

    def extend(self, leaves: Sequence[bytes]) -> list[Node]:
        """Add leaf hashes; return the nodes that are complete now."""
        nodes = self._fill(0, self.size, list(leaves))
        self.size += len(leaves)
        return nodes

    def root(self) -> bytes:
        roots: list[bytes] = []
        for hashes in reversed(self._levels):
            part = CompactRange()
            part.extend(hashes)
            roots += part.roots
        return merkle.fold(roots)

    def _fill(self, level: int, count: int, hashes: list[bytes]) -> list[Node]:
        """Add hashes to a level that has had `count` so far."""
        if level == len(self._levels):
            self._levels.append([])
        row = self._levels[level] + hashes
        whole = len(row) // WIDTH * WIDTH
        self._levels[level] = row[whole:]
        if not whole:
            return []
        roots = [merkle.perfect_root(row[at : at + WIDTH]) for at in range(0, whole, WIDTH)]
        above = count // WIDTH
        nodes = [Node(level + 1, above + place, root) for place, root in enumerate(roots)]
        return nodes + self._fill(level + 1, above, roots)


def edge_runs(size: int) -> list[Run]:
    """Return the runs that make up the right edge of a tree of `size` leaves, level by level from 0."""
    edge = []
    level, count = 0, size
    while count:
        edge.append(Run(level, count - count % WIDTH, count))
        level, count = level + 1, count // WIDTH
    return edge


def runs(spans: Iterable[Span]) -> list[Run]:
    """Return the kept hashes from which the hashes of `spans` can be computed."""
    return [_run(part) for span in spans for part in merkle.perfect_spans(*span)]


def merged(runs: Iterable[Run]) -> list[Run]:
    """Return the same hashes in as few runs as possible, in order."""
    merged: list[Run] = []
    for run in sorted(runs):
        before = merged[-1] if merged else None
        if before is not None and before.level == run.level and run.first <= before.last:
            merged[-1] = Run(run.level, before.first, max(before.last, run.last))
        elif run.first < run.last:
            merged.append(run)
    return merged


def span_hash(span: Span, lookup: Lookup) -> bytes:
    return merkle.fold([_perfect(part, lookup) for part in merkle.perfect_spans(*span)])


def _perfect(span: Span, lookup: Lookup) -> bytes:
    level, first, last = _run(span)
    return merkle.perfect_root([lookup(level, index) for index in range(first, last)])


def _run(span: Span) -> Run:
    first, last = span
    level = ((last - first).bit_length() - 1) // HEIGHT
    return Run(level, first >> HEIGHT * level, last >> HEIGHT * level)


def read_path(text: str) -> int:
    """Return the index in a tile's address (`x001/x234/067` is 1234067). Raises `ValueError`."""
    parts = text.split("/")
    if not all(len(part) == 4 and part[0] == "x" for part in parts[:-1]) or len(parts) > 5:
        raise ValueError(text)
    digits = [part.removeprefix("x") if place < len(parts) - 1 else part for place, part in enumerate(parts)]
    if not all(part.isascii() and part.isdigit() and len(part) == 3 for part in digits):
        raise ValueError(text)
    index = int("".join(digits))
    if path(index) != text:
        raise ValueError(text)
    return index


def path(index: int) -> str:
    """Return the address of a tile: groups of three digits, all but the last prefixed with x."""
    text = str(index)
    text = text.zfill(-(-len(text) // 3) * 3)
    groups = [text[at : at + 3] for at in range(0, len(text), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
