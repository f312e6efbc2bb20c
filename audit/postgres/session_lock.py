"""session_lock: one process at a time, by a lock that PostgreSQL lets go of with a killed process.

It is one of the session; behind a pooler, where the next transaction may meet another session, one of a transaction.
"""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from audit.postgres import sql


def tried(name: str) -> AbstractContextManager[bool]:
    """Hold the lock of this name, and say whether it was free; nobody is waited for. Raises database errors."""
    # The number of the lock: of 64 bits, with a sign.
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    return _of_transaction(key) if settings.DATABASE_POOLED else _of_session(key)


@contextmanager
def _of_session(key: int) -> Iterator[bool]:
    [(is_held,)] = sql.rows("SELECT pg_try_advisory_lock(%s)", [key])
    if not is_held:
        yield False
        return
    try:
        yield True
    finally:
        try:
            sql.rows("SELECT pg_advisory_unlock(%s)", [key])
        except DatabaseError:
            # It went with the connection; one that is broken half way must not keep it.
            with suppress(DatabaseError):
                connection.close()


@contextmanager
def _of_transaction(key: int) -> Iterator[bool]:
    """Keep a transaction open on a connection of its own, with no snapshot: it is in nobody's way."""
    own: Any = connection.copy()
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
            [is_held] = cursor.fetchone()
        yield bool(is_held)
    finally:
        with suppress(DatabaseError):
            own.close()  # the transaction ends with it, as it would with a killed process
