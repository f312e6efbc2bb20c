"""A sample of leaves that anybody who knows the seed can draw again.

Each leaf has a rank, SHA-256("auditsite/sample/v1", seed, leaf; a line each); the leaves with the lowest ranks are the
sample. It depends on the seed and the positions of the leaves alone, not on their content or order.
"""

import hashlib
import heapq
from collections.abc import Iterable

HEADER = "auditsite/sample/v1"
MOST = 100_000
MAX_SEED = 100


def check(size: int, seed: str) -> None:
    """Raise `ValueError` for a size or seed that cannot be used."""
    if not 1 <= size <= MOST:
        raise ValueError(f"a sample is of 1 to {MOST} records")
    if not seed or len(seed) > MAX_SEED or not seed.isprintable():
        raise ValueError(f"a seed is 1 to {MAX_SEED} printable characters")


def rank(seed: str, index: int) -> bytes:
    return hashlib.sha256(f"{HEADER}\n{seed}\n{index}\n".encode()).digest()


def draw(indexes: Iterable[int], size: int, seed: str) -> list[int]:
    """Return the sample in log order; all of the leaves where there are no more than `size`."""
    return sorted(heapq.nsmallest(size, indexes, key=lambda index: rank(seed, index)))
