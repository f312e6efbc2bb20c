"""Whether Redis would keep what is parked in it, and how much more it could take: asked of Redis itself."""

import time
from typing import Any, NamedTuple

import redis

from dlq import checks, client, history
from dlq.stream import Stream

TRUSTED_FOR_S = 5.0
BYTES_A_MESSAGE = 1800
"""Of a message of 1 KB with its indexes and three errors (measured: docs/deployment.md)."""


class Durability(NamedTuple):
    """What Redis says of itself."""

    findings: tuple[str, ...]
    """What is wrong, by the system checks' ids and words; empty where all is as it must be."""
    room: int | None
    """How many more messages of 1 KB fit into maxmemory; None without a limit."""

    @property
    def ok(self) -> bool:
        return not self.findings


def durability() -> Durability:
    """Ask Redis, at most every few seconds in each process."""
    global _known
    now = time.monotonic()
    if _known is None or now - _known[0] > TRUSTED_FOR_S:
        _known = (now, _ask())
    return _known[1]


def hours_left(queue: Stream) -> float | None:
    """Until Redis is full, at the rate at which messages came in the last hour; None where that is never."""
    room, rate = durability().room, history.arrivals_a_minute(queue)
    return None if room is None or rate <= 0 else room / rate / 60


_known: tuple[float, Durability] | None = None


def _ask() -> Durability:
    findings = tuple(f"{found.id}: {found.msg}" for found in checks.durability(None, databases=["default"]))
    try:
        memory: dict[str, Any] = client.connect(500).info("memory")
    except redis.RedisError:
        return Durability(findings, None)
    limit = int(memory.get("maxmemory", 0))
    return Durability(findings, max(limit - int(memory["used_memory"]), 0) // BYTES_A_MESSAGE if limit else None)
