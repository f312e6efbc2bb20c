"""Tell a slow PostgreSQL from a hung one: while a write waits, a connection of its own asks for a sign of life.

A write that takes long says nothing by itself: a busy disk and a stopped server look the same to it. So while one is
under way, a thread asks `SELECT 1` every few milliseconds. As long as that is answered, writes may take their time;
once it is not, all of them are given up at once.
"""

import atexit
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.conf import settings

INTERVAL_S = 0.025
# Without a connection yet: PostgreSQL has to start a process for it, which a busy machine does not do at once.
CONNECT_LIMIT_S = 0.5


class Heartbeat:
    """One process's sign of life of PostgreSQL. It costs nothing while nobody waits for a write."""

    def __init__(self, connect: Callable[[], Any]):
        self._connect = connect
        self._connection: Any = None
        self._wanted = threading.Condition()
        self._waiting_writes = 0
        # When the question was asked that is not answered yet.
        self._asked_at: float | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Ask for as long as this lasts."""
        with self._wanted:
            self._waiting_writes += 1
            if self._waiting_writes == 1:
                self._wanted.notify()
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()
                atexit.register(self.stop)
        try:
            yield
        finally:
            with self._wanted:
                self._waiting_writes -= 1

    def is_silent(self) -> bool:
        """Whether PostgreSQL has answered nothing for HEARTBEAT_TIMEOUT_MS, or for half a second at first."""
        asked_at, connection = self._asked_at, self._connection
        if asked_at is None:
            return False  # a thread that a busy machine did not run yet has asked nothing
        limit_s = settings.HEARTBEAT_TIMEOUT_MS / 1000
        if connection is None:
            limit_s = max(limit_s, CONNECT_LIMIT_S)
        return time.monotonic() - asked_at > limit_s and not _has_answer(connection)

    def stop(self) -> None:
        """End the thread and its connection."""
        self.abandon()
        if (thread := self._thread) is not None and thread is not threading.current_thread():
            thread.join(settings.CONNECT_TIMEOUT + 1)

    def abandon(self) -> None:
        """Let the thread end by itself: it may be waiting for a server that hung."""
        atexit.unregister(self.stop)
        with self._wanted:
            self._stopped = True
            self._wanted.notify()

    def _run(self) -> None:
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._waiting_writes or self._stopped)
            if self._stopped:
                break
            time.sleep(INTERVAL_S)  # most writes are over by then
            if self._waiting_writes:
                self._ask()
        self._close()

    def _ask(self) -> None:
        self._asked_at = self._asked_at or time.monotonic()
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._asked_at = time.monotonic()
            self._connection.deadline = time.monotonic() + settings.CONNECT_TIMEOUT
            self._connection.execute(b"SELECT 1")
        except psycopg.Error:
            self._close()
        else:
            self._asked_at = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _has_answer(connection: Any) -> bool:
    """Whether the answer has come, and only the thread was not run yet to read it."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (psycopg.Error, OSError, ValueError, AttributeError):
        return False  # there is none, or it was closed meanwhile
