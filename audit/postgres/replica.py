"""replica: what is only shown may be read from a replica, as far as it keeps up; what decides reads the primary.

Where it is read from a replica, its connection is in the place of the reader's, in this thread and for a while. How far
it is behind is measured against what the primary has on its disk now, so a store in which nothing is written is not
behind; the seconds are since the last commit that the replica shows, and the true lag is no longer than that.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from audit import metrics
from audit.errors import OnReplica
from audit.postgres import sql
from audit.postgres.faults import headline

log = structlog.get_logger(__name__)

ALIAS, IN_PLACE_OF = "replica", "reader"
# A replica that keeps up has all within this time.
SHOWN_WAIT_S = 0.1
POLL_S = 0.01
# So long it may take to say how far it is, and so long one that did not is left out.
LOOK_S, PAUSE_S = 1.0, 10.0
_ON_DISK = """
SELECT pg_current_wal_flush_lsn()::text, clock_timestamp(), (SELECT system_identifier FROM pg_control_system())
"""
_REPLAYED = """
SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()),
       greatest(pg_wal_lsn_diff(%s::pg_lsn, coalesce(pg_last_wal_replay_lsn(), '0/0')), 0)::bigint,
       extract(epoch FROM %s::timestamptz - pg_last_xact_replay_timestamp())::float8
"""


class Source(NamedTuple):
    """Where something is read from: how far behind, in `seconds` at most; or `why` not from the replica."""

    is_replica: bool
    bytes: int = 0
    seconds: float = 0.0
    why: str = ""

    def __str__(self) -> str:
        if not self.is_replica:
            return f"Read from the primary: {self.why}."
        if not self.bytes:
            return "Read from a replica that has all that the primary had."
        return f"Read from a replica that is {self.lag}."

    @property
    def lag(self) -> str:
        """How far behind it is, in words; the time is rounded up, for it is no longer than that."""
        if math.isinf(self.seconds):
            return f"{self.bytes:,} bytes behind, since when it does not know"
        return f"{self.bytes:,} bytes behind, at most {math.ceil(self.seconds * 10) / 10 or 0.1:,.1f} s"


class _Thread(threading.local):
    """What this thread reads from, where it is the replica."""

    source: Source | None = None


_thread = _Thread()
_left_out: tuple[float, str] = (0.0, "")


def is_configured() -> bool:
    """Whether there is an address of a replica."""
    return ALIAS in connections


def look(wait_s: float = 0.0) -> Source:
    """Say how far the replica is, once it has all that the primary has now, or after `wait_s`.

    Bounded by that, by the time in which a connection is made, and by LOOK_S. Raises nothing.
    """
    until, why = _left_out
    if time.monotonic() < until:
        return Source(False, why=why)
    try:
        [primary] = sql.rows(_ON_DISK)
    except (DatabaseError, InterfaceError):
        return Source(False, why="it does not say how far it is itself")
    try:
        return _replayed(primary, time.monotonic() + wait_s)
    except (DatabaseError, InterfaceError) as error:
        return leave_out(error)


def leave_out(error: Exception) -> Source:
    """Read from the primary for PAUSE_S: the replica has failed."""
    global _left_out
    _left_out = (time.monotonic() + PAUSE_S, "the replica does not answer, or has cut off what it was asked")
    metrics.replica_failures.inc()
    log.warning("replica_left_out", error=headline(error), seconds=PAUSE_S)
    connections[ALIAS].close()
    return Source(False, why=_left_out[1])


def forget() -> None:
    """Ask the replica again, whatever came of it before."""
    global _left_out
    _left_out = (0.0, "")


def of_page() -> Source:
    """Say where a page is read from: the replica where it is at most REPLICA_MAX_LAG_S behind."""
    source = look(SHOWN_WAIT_S)
    if not source.is_replica or not source.bytes or source.seconds <= settings.REPLICA_MAX_LAG_S:
        return source
    return Source(False, why=f"the replica is {source.lag}")


@contextmanager
def whole() -> Iterator[Source]:
    """Read within from a replica that has all that the primary had at the beginning, else from the primary.

    Waits at most REPLICA_WAIT_S for it.
    """
    if not is_configured():
        yield Source(False, why="there is no replica")
        return
    source = look(settings.REPLICA_WAIT_S)
    if source.is_replica and source.bytes:
        source = Source(False, why=f"the replica was {source.bytes:,} bytes behind after {settings.REPLICA_WAIT_S} s")
    with reading(source):
        yield source


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Let what reads as the reader read from there, in this thread; harmless where it is the primary."""
    if not source.is_replica:
        yield
        return
    own: Any = connections[IN_PLACE_OF]
    connections[IN_PLACE_OF] = connections[ALIAS]
    before, _thread.source = _thread.source, source
    try:
        yield
    finally:
        connections[IN_PLACE_OF] = own
        _thread.source = before


def require_whole() -> None:
    """Raise `OnReplica` where this thread reads from a replica that lacks something: nothing is decided on that."""
    if _thread.source is not None and _thread.source.bytes:
        raise OnReplica


def _replayed(primary: tuple[str, datetime, int], until: float) -> Source:
    """Ask the replica until it has what is before this place of the primary's log, or the time is over."""
    connections[ALIAS].ensure_connection()
    connection: Any = connections[ALIAS].connection
    before, connection.patience = connection.patience, LOOK_S
    try:
        while True:
            [(follows, system, behind, seconds)] = sql.rows(_REPLAYED, primary[:2], ALIAS)
            if system != primary[2]:
                return Source(False, why="DATABASE_REPLICA_URL leads to another store")
            if not follows:
                return Source(False, why="DATABASE_REPLICA_URL leads to a server that follows no other")
            if not behind or time.monotonic() >= until:
                # One that has replayed no commit since its start does not know.
                at_most = math.inf if seconds is None else max(seconds, 0.0)
                return Source(True, bytes=behind, seconds=at_most if behind else 0.0)
            time.sleep(POLL_S)
    finally:
        connection.patience = before
