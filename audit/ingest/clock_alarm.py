"""Tell that the clocks of a host, of Redis and of PostgreSQL are apart."""

import socket

import structlog

import dlq.stream
from audit.ingest.notify import notify_anyway
from audit.postgres.clock import skew

log = structlog.get_logger(__name__)


def alarm() -> None:
    """Raise the alarm when clocks are 5 s apart or more, once. Raises `Refused`.

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
        # Only then: a crash in between tells it twice, and never not at all.
        if notify_anyway("audit.clock", text, seconds=round(now.widest_s)):
            alarms.remember(name, "yes")
    elif told and not now.is_wide:
        alarms.remember(name, "")


def told_name() -> str:
    """Under which name it is remembered that this host's clock was told of."""
    return f"skew_told:{socket.gethostname()}"


def _words(ahead_s: float | None) -> str:
    return "is away" if ahead_s is None else f"by {ahead_s:.1f} s"
