"""Connections to PostgreSQL for recording: bounded in time, never made while a request waits for them.

psycopg waits for a hung server for ever: neither statement_timeout nor TCP settings help. So every wait on these
connections has a deadline of our own. What a write did that ran into it is unknown; it is parked, and the drain finds
out.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg_pool import ConnectionPool

from audit.errors import Unavailable
from audit.postgres.breaker import Breaker


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which nothing waits past `deadline` (monotonic seconds)."""

    deadline: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.deadline is not None:
            timeout = max(self.deadline - time.monotonic(), 0.001)
        return super().wait(gen, interval, timeout)


class Gateway:
    """One process's connections for recording: a small pool behind a breaker."""

    def __init__(self) -> None:
        self.breaker = Breaker(self._reconnect, settings.PROBE_INTERVAL_MS / 1000)
        self._pool: ConnectionPool[BoundedConnection] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, timeout_s: float) -> Iterator[BoundedConnection]:
        """A connection in autocommit mode, good for `timeout_s` in all.

        Raises `Unavailable` at once while the breaker is open, else psycopg's errors.
        A connection that failed is closed, never given out again.
        """
        if self.breaker.is_open:
            raise Unavailable
        started = time.monotonic()
        pool = self._ready_pool()
        connection = pool.getconn(timeout_s)
        connection.deadline = started + timeout_s
        try:
            yield connection
        except psycopg.Error:
            # Whatever it was, a plan that went stale after a migration too: the next one starts afresh.
            connection.close()
            raise
        finally:
            connection.deadline = None
            with suppress(psycopg.Error):
                pool.putconn(connection)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=1)

    def _ready_pool(self) -> ConnectionPool[BoundedConnection]:
        if self._pool is None:
            with self._lock:
                if self._pool is None:
                    self._pool = _pool()
        return self._pool

    def _reconnect(self) -> None:
        """The breaker's probe: a server that answers and may write, then connections that are all new."""
        probe()
        fresh = _pool()
        fresh.wait(timeout=settings.CONNECT_TIMEOUT)
        with self._lock:
            stale, self._pool = self._pool, fresh
        if stale is not None:
            stale.close(timeout=0)


def probe() -> None:
    """Raise unless PostgreSQL answers within a few seconds and accepts writes."""
    with BoundedConnection.connect(**_parameters()) as connection:
        connection.deadline = time.monotonic() + settings.CONNECT_TIMEOUT
        row = connection.execute(
            "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"
        ).fetchone()
    if row is None or row[0]:
        raise Unavailable("PostgreSQL is up, but read-only: it is a standby, or set so by its administrator.")


def is_up() -> bool:
    """Whether PostgreSQL can store now."""
    try:
        probe()
    except (psycopg.Error, Unavailable):
        return False
    return True


def require() -> None:
    """Raise `Unavailable` while the breaker is open: reading would only wait."""
    if gateway().breaker.is_open:
        raise Unavailable


def gateway() -> Gateway:
    """This process's gateway. A forked child gets one of its own, for connections do not survive a fork."""
    pid = os.getpid()
    if (own := _gateways.get(pid)) is None:
        with _gateways_lock:
            own = _gateways.setdefault(pid, Gateway())
    return own


_gateways: dict[int, Gateway] = {}
_gateways_lock = threading.Lock()
os.register_at_fork(after_in_child=_gateways.clear)


def _parameters() -> dict[str, Any]:
    """What Django would connect with, for psycopg itself."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    return parameters | {"autocommit": True}


def _pool() -> ConnectionPool[BoundedConnection]:
    return ConnectionPool(
        kwargs=_parameters(),
        connection_class=BoundedConnection,
        min_size=settings.RECORD_CONNECTIONS,
        max_size=settings.RECORD_CONNECTIONS,
        # The breaker reconnects; the pool need not try for long by itself.
        reconnect_timeout=1,
        open=True,
        name="record",
    )
