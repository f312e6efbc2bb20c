"""session_lock: one process at a time, by a lock of the session, which PostgreSQL lets go of with a killed process."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connection

from audit.postgres import sql


@contextmanager
def tried(name: str) -> Iterator[bool]:
    """Hold the lock of this name, and say whether it was free; nobody is waited for. Raises database errors."""
    # The number of the lock: of 64 bits, with a sign.
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
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
