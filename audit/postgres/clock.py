"""How far the clocks of this process, of Redis and of PostgreSQL are apart.

Times of records are this process's; due times are those of Redis, `stored_at` and the log those of PostgreSQL. A
process whose own clock is behind must not call an event "from the future" for it.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg

import dlq.stream
from audit.errors import Unavailable
from audit.postgres.gateway import gateway
from dlq.errors import Refused

TRUSTED_FOR_S = 5.0
ALARM_S = 5.0
TIMEOUT_S = 0.5


class Skew(NamedTuple):
    """Seconds by which each server's clock is ahead of this process's; None where it does not answer."""

    redis_s: float | None
    postgresql_s: float | None

    @property
    def widest_s(self) -> float:
        """Between any two of the three."""
        clocks = [0.0, *(ahead for ahead in self if ahead is not None)]
        return max(clocks) - min(clocks)

    @property
    def is_wide(self) -> bool:
        return self.widest_s >= ALARM_S


def local_now() -> datetime:
    return datetime.now(UTC)


def latest_now() -> datetime:
    return local_now() + timedelta(seconds=max([0.0, *(ahead for ahead in skew() if ahead is not None)]))


def skew() -> Skew:
    """Ask both servers, at most every few seconds in each process."""
    global _last
    if _last is None or time.monotonic() - _last[0] > TRUSTED_FOR_S:
        _last = (time.monotonic(), Skew(_ahead(lambda: dlq.stream.default().now_ms() / 1000), _ahead(_of_postgresql)))
    return _last[1]


def forget() -> None:
    global _last
    _last = None


_last: tuple[float, Skew] | None = None


def _ahead(ask: Callable[[], float]) -> float | None:
    before = local_now().timestamp()
    try:
        theirs = ask()
    except (psycopg.Error, Unavailable, Refused):
        return None
    # It was read somewhere between the question and the answer: a slow answer is no skew.
    after = local_now().timestamp()
    return 0.0 if before <= theirs <= after else theirs - (after if theirs > after else before)


def _of_postgresql() -> float:
    with gateway().connection(TIMEOUT_S) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    return float(row[0])
