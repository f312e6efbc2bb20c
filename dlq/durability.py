"""Ask Redis whether it would keep what is parked in it, and how much more it could take."""

import time
from typing import Any, NamedTuple

import redis
from django.conf import settings

from dlq import checks, client, history
from dlq.stream import Stream

TRUSTED_FOR_S = 5.0
# A message of 1 KB with its indexes and three errors (measured: docs/deployment.md).
BYTES_A_MESSAGE = 1800


class Durability(NamedTuple):
    """What Redis says of itself."""

    # What is wrong, by the ids and words of the system checks; empty where all is as it must be.
    findings: tuple[str, ...]
    # How many more messages of 1 KB fit into maxmemory; None without a limit.
    room: int | None

    @property
    def ok(self) -> bool:
        """Whether nothing is known to be wrong: that a role may not read a setting is a finding, and no fault."""
        return all(finding.startswith(f"{checks.NOT_READ}:") for finding in self.findings)


def durability() -> Durability:
    """Ask Redis, at most every few seconds in each process."""
    global _last
    now = time.monotonic()
    if _last is None or now - _last[0] > TRUSTED_FOR_S:
        _last = (now, _ask())
    return _last[1]


def hours_left(queue: Stream) -> float | None:
    """Return the hours until Redis is full, at the rate of the last hour; None where that is never."""
    room, rate = durability().room, history.arrivals_a_minute(queue)
    return None if room is None or rate <= 0 else room / rate / 60


_last: tuple[float, Durability] | None = None


def _ask() -> Durability:
    findings = tuple(f"{finding.id}: {finding.msg}" for finding in checks.durability(None, databases=["default"]))
    try:
        connection: Any = client.connect(500)
        memory: dict[str, Any] = connection.info("memory")
        # What is kept of drained messages goes before anything is refused.
        kept = int(connection.hget(client.QueueKeys(settings.DLQ_PREFIX).stats, "kept_bytes") or 0)
    except redis.RedisError:
        return Durability(findings, None)
    limit = int(memory.get("maxmemory", 0))
    return Durability(findings, max(limit - int(memory["used_memory"]) + kept, 0) // BYTES_A_MESSAGE if limit else None)
