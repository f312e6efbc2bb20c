"""sampling: some leaves of many, drawn so that whoever knows the seed draws the same ones. Pure: no Django.

Each leaf has a rank, SHA-256("auditsite/sample/v1", seed, leaf; a line each); the leaves with the least ranks are the
sample. It depends on the seed and the places of the leaves alone, on neither their content nor their order.
"""

import hashlib
import heapq
from collections.abc import Iterable

HEADER = "auditsite/sample/v1"
MOST = 100_000
MAX_SEED = 100


def check(size: int, seed: str) -> None:
    """Raises `ValueError` for what cannot be drawn."""
    if not 1 <= size <= MOST:
        raise ValueError(f"a sample is of 1 to {MOST} records")
    if not seed or len(seed) > MAX_SEED or not seed.isprintable():
        raise ValueError(f"a seed is 1 to {MAX_SEED} printable characters")


def rank(seed: str, index: int) -> bytes:
    """The place of a leaf in the order of the draw."""
    return hashlib.sha256(f"{HEADER}\n{seed}\n{index}\n".encode()).digest()


def draw(indexes: Iterable[int], size: int, seed: str) -> list[int]:
    """The sample, in the order of the log; all of them where there are no more than that."""
    return sorted(heapq.nsmallest(size, indexes, key=lambda index: rank(seed, index)))
