"""Connections to PostgreSQL for recording: bounded in time, never made while a request waits for them.

psycopg waits for a hung server for ever: neither statement_timeout nor TCP settings help. So every wait on these
connections has a deadline of our own. What a write did that ran into it is unknown; it is parked, and the drain finds
out.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg_pool import ConnectionPool, PoolTimeout

from audit.errors import Unavailable
from audit.postgres.breaker import Breaker
from audit.postgres.connecting import hosts
from audit.postgres.connecting.hosts import FollowingConnection
from audit.postgres.faults import Overrun, Silent, Unconfirmed
from audit.postgres.heartbeat import Heartbeat
from audit.postgres.replication import Unreplicated

# How often a write that waits looks whether PostgreSQL still answers anybody.
CHECK_S = 0.025
OVERRUNS_SPENT = 3
OVERRUN = "PostgreSQL took longer than it may; it is given up."


class Statement(NamedTuple):
    """A statement that a connection prepares once, under its name; without a name each time, as poolers need it.

    Parameters are `$1` and on, as text.
    """

    name: bytes
    sql: bytes


class BoundedConnection(FollowingConnection):
    """A connection on which nothing waits past `deadline` (monotonic seconds), nor for a server that is silent."""

    deadline: float | None = None
    is_silent: Callable[[], bool] | None = None

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._statements: set[Statement] = set()
        self._poller = select.poll()
        self._unreplicated = Unreplicated()
        self.add_notice_handler(self._unreplicated.note)

    def run(self, statement: Statement, parameters: Sequence[bytes | None]) -> PGresult:
        """Execute a statement by libpq itself, which costs a third of what a cursor costs; values are binary.

        Raises what `execute` raises.
        """
        with self.lock:
            if not statement.name:
                self.pgconn.send_query_params(statement.sql, parameters, result_format=Format.BINARY)
                return self._result()
            if statement not in self._statements:
                self.pgconn.send_prepare(statement.name, statement.sql)
                self._result()
                self._statements.add(statement)
            self.pgconn.send_query_prepared(statement.name, parameters, result_format=Format.BINARY)
            return self._result()

    def _result(self) -> PGresult:
        """Return the result of what was sent. Raises `Overrun`, `Silent`, psycopg's errors."""
        pgconn, result = self.pgconn, None
        while pgconn.flush():
            self._wait_for(select.POLLIN | select.POLLOUT)
            pgconn.consume_input()
        while True:
            while pgconn.is_busy():
                self._wait_for(select.POLLIN)
                pgconn.consume_input()
            if (following := pgconn.get_result()) is None:
                break
            result = following
        assert result is not None
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise psycopg.errors.error_from_result(result)
        self._require_replicated()
        return result

    def _wait_for(self, events: int) -> None:
        """Wait until the socket is ready, as `wait` does."""
        self._poller.register(self.pgconn.socket, events)
        deadline, silences = self.deadline or float("inf"), 0
        while not self._poller.poll(max(min(CHECK_S, deadline - time.monotonic()), 0.001) * 1000):
            silences = self._silences(silences)
            if time.monotonic() >= deadline:
                raise Overrun(OVERRUN)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.deadline is None:
            return super().wait(gen, interval, timeout)
        remaining_s = max(self.deadline - time.monotonic(), 0.001)
        try:
            answer = super().wait(self._watched(gen), min(CHECK_S, remaining_s), remaining_s)
        except psycopg.errors._WaitTimeout as error:
            raise Overrun(OVERRUN) from error
        self._require_replicated()
        return answer

    def _require_replicated(self) -> None:
        if self._unreplicated.taken():
            raise Unconfirmed("PostgreSQL has committed on one server alone: its wait for a standby was cancelled.")

    def _watched(self, gen: Any) -> Generator[Any, Any, Any]:
        """Pass on what `gen` waits for; whenever nothing came, look whether anything still can."""
        silences, ready = 0, None
        while True:
            try:
                ready = yield gen.send(ready)
            except StopIteration as end:
                return end.value
            silences = 0 if ready else self._silences(silences)

    def _silences(self, before: int) -> int:
        """Count how often in a row PostgreSQL was silent while nothing came. Raises `Silent`.

        At the second time, for a process that was stopped itself wakes up to a silence of its own.
        """
        silences = before + 1 if self.is_silent is not None and self.is_silent() else 0
        if silences > 1:
            raise Silent("PostgreSQL answers nobody; the write is given up.")
        return silences


class Patience:
    """How long a write may take. Less, once several in a row took all of it: a lock, or a disk that hangs."""

    def __init__(self) -> None:
        self._overruns = 0

    @property
    def seconds(self) -> float:
        is_spent = self._overruns >= OVERRUNS_SPENT
        return (settings.RECORD_TIMEOUT_MS if is_spent else settings.RECORD_PATIENCE_MS) / 1000

    def note(self, *, overrun: bool) -> bool:
        """Count a write; return whether so many in a row took too long that PostgreSQL is not to be asked."""
        self._overruns = self._overruns + 1 if overrun else 0
        return self._overruns >= OVERRUNS_SPENT


class Gateway:
    """One process's connections for recording: a small pool behind a breaker."""

    def __init__(self) -> None:
        self.breaker = Breaker(self._reconnect, settings.PROBE_INTERVAL_MS / 1000)
        self.patience = Patience()
        self._heartbeat = Heartbeat(_connect)
        self._pool: ConnectionPool[BoundedConnection] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, timeout_s: float) -> Iterator[BoundedConnection]:
        """A connection in autocommit mode, good for `timeout_s` in all.

        Raises `Unavailable` at once while the breaker is open, `Overrun` after `timeout_s`, `Silent` as soon as
        PostgreSQL answers nobody, else psycopg's errors. A connection that failed is closed, never given out again.
        """
        if self.breaker.is_open:
            raise Unavailable
        deadline = time.monotonic() + timeout_s
        with self._heartbeat.wanted():
            pool = self._ready_pool()
            connection = self._free_connection(pool, deadline)
            connection.deadline, connection.is_silent = deadline, self._heartbeat.is_silent
            try:
                yield connection
            except psycopg.Error:
                # Whatever it was, a plan that went stale after a migration too: the next one starts afresh.
                connection.close()
                raise
            finally:
                connection.deadline = connection.is_silent = None
                with suppress(psycopg.Error):
                    pool.putconn(connection)

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
            heartbeat, self._heartbeat = self._heartbeat, Heartbeat(_connect)
        if pool is not None:
            pool.close(timeout=1)
        heartbeat.stop()

    def _free_connection(self, pool: "ConnectionPool[BoundedConnection]", deadline: float) -> BoundedConnection:
        """Wait for a connection that no other write uses. Raises `Overrun`, `Silent`."""
        while True:
            try:
                return pool.getconn(min(CHECK_S, max(deadline - time.monotonic(), 0.001)))
            except PoolTimeout as error:
                if self._heartbeat.is_silent():
                    raise Silent("PostgreSQL answers nobody; there is no connection to it.") from error
                if time.monotonic() >= deadline:
                    raise Overrun("Every connection of recording was in use until the deadline.") from error

    def _ready_pool(self) -> ConnectionPool[BoundedConnection]:
        if self._pool is None:
            with self._lock:
                if self._pool is None:
                    self._pool = _pool()
        return self._pool

    def _reconnect(self) -> None:
        """The breaker's probe: a server that answers and brings a write to its disk, then all new connections."""
        probe()
        fresh = _pool()
        fresh.wait(timeout=settings.CONNECT_TIMEOUT * hosts.number(_parameters()))
        with self._lock:
            stale, self._pool = self._pool, fresh
            # The old one may still wait for an answer from before.
            silent, self._heartbeat = self._heartbeat, Heartbeat(_connect)
        silent.abandon()
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
        # A commit of its own, without a row: a server whose disk hangs answers every question.
        with _cancelled_where_it_fails(connection):
            connection.execute("SELECT pg_logical_emit_message(true, 'auditsite', 'probe')")


@contextmanager
def _cancelled_where_it_fails(connection: BoundedConnection) -> Iterator[None]:
    """Have no process of PostgreSQL go on waiting for a standby: it does not see that the connection is closed."""
    try:
        yield
    except psycopg.Error:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=1)
        connection.close()
        raise


def is_up() -> bool:
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


def _connect() -> BoundedConnection:
    return BoundedConnection.connect(**_parameters())


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
