"""How far the clocks of this process, of Redis and of PostgreSQL are apart.

Times of records are this process's; due times are those of Redis, `stored_at` and the log those of PostgreSQL. A
process whose own clock is behind must not call an event "from the future" for it.
"""

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
import structlog

import dlq.alarm
import dlq.stream
from audit.errors import Unavailable
from audit.postgres.gateway import gateway
from dlq.errors import Refused

log = structlog.get_logger(__name__)

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
    return local_now() + timedelta(seconds=max(0.0, *(ahead for ahead in skew() if ahead is not None)))


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


def alarm() -> None:
    """Raise the alarm when clocks are 5 s apart or more, until it was heard, once. Raises `Refused`.

    Once for each host: where one of two is wrong, the other must not take its alarm back.
    """
    now, alarms, name = skew(), dlq.stream.for_drain().alarms, told_name()
    told = bool(alarms.read().get(name))
    if now.is_wide and not told:
        text = (
            f"Clocks are {now.widest_s:.0f} s apart: ahead of {socket.gethostname()}, Redis {_words(now.redis_s)}, "
            f"PostgreSQL {_words(now.postgresql_s)}. Is the time service of each host running?"
        )
        log.error("clock_skew", **now._asdict())
        if dlq.alarm.tell("audit.clock", text, seconds=round(now.widest_s)):
            alarms.remember(name, "yes")
    elif told and not now.is_wide:
        alarms.remember(name, "")


def told_name() -> str:
    """Under which name it is remembered that this host's clock was told of."""
    return f"skew_told:{socket.gethostname()}"


def _words(ahead_s: float | None) -> str:
    return "is away" if ahead_s is None else f"by {ahead_s:.1f} s"


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
