"""What an act has cost: how long nothing was stored, how long nothing was promised, and what writers were told."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import psycopg

from audit.formats.note import TreeHead
from audit.formats.tiles import Edge
from bench.failover.acts import Done
from bench.failover.heads import forks
from bench.failover.writers import Answer

STORED, PROMISED = (200, 201), (200, 201, 202)


class Cost(NamedTuple):
    """Of one act."""

    # The longest time, in seconds, between two events that were stored, or promised.
    unstored_s: float
    unpromised_s: float
    statuses: Counter[int]

    @property
    def refused(self) -> int:
        """Answers that were no promise."""
        return sum(count for status, count in self.statuses.items() if status not in PROMISED)


def cost(done: Done, answers: Sequence[Answer]) -> Cost:
    """Read the answers of the time of an act."""
    during = [answer for answer in answers if done.began <= answer.at <= done.ended]
    return Cost(
        _longest_without(during, STORED, done),
        _longest_without(during, PROMISED, done),
        Counter(answer.status for answer in during),
    )


def _longest_without(answers: Iterable[Answer], statuses: Sequence[int], done: Done) -> float:
    times = [done.began, *sorted(answer.at for answer in answers if answer.status in statuses), done.ended]
    return max(after - before for before, after in pairwise(times))


def forked(address: str, heads: list[TreeHead]) -> list[str]:
    """Compare each head that was signed with the log that is there."""
    with psycopg.connect(address) as connection:
        leaves = [bytes(row[0]) for row in connection.execute("SELECT leaf_hash FROM audit_leaf ORDER BY index")]
    edge, at, roots = Edge(), 0, dict[int, bytes]()
    for size in sorted({head.size for head in heads if head.size <= len(leaves)}):
        edge.extend(leaves[at:size])
        at, roots[size] = size, edge.root()
    return forks(heads, roots.get)
