"""Classify a failed write. Pure.

The default is the DLQ: an event is refused only for what is on the short list of the sender's own faults. Everything
else is parked and tried again.
"""

from enum import Enum

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests


class Overrun(psycopg.OperationalError):
    """PostgreSQL answers others, and took longer than it may for this."""


class Unconfirmed(Overrun):
    """PostgreSQL answers, and has stored this on fewer servers than it has to."""


class Silent(psycopg.OperationalError):
    """PostgreSQL answers nobody: it is hung, or cannot be reached."""


class Fault(Enum):
    """Whose fault it is that a write failed."""

    # PostgreSQL is unreachable, hung, read-only or full: park, open the breaker, count no attempt.
    DOWN = "database-down"
    # PostgreSQL is up and gave this write up (timeout, deadlock): park.
    BUSY = "database-busy"
    # PostgreSQL is up and refused for a fault of ours (missing table or right): park, alert, count.
    REFUSED = "database-refused"
    # The event itself can never be stored: 4xx, or dead at once in the DLQ.
    SENDER = "event-unstorable"


# Read-only, shutting down, disk full, too many connections, and the connection exceptions.
_DOWN = {"25006", "53", "57P01", "57P02", "57P03", "57P04", "57P05", "58", "08", "XX"}
# Statement, lock, transaction and idle timeouts; deadlock; serialization failure.
_BUSY = {"57014", "55P03", "25P03", "25P04", "40"}
# Text that no column can hold, whatever its type: U+0000 in JSON, bytes that are not UTF-8.
_SENDER = {"22P05", "22021"}
# No event brings these about: disk full, too many connections.
_OF_NO_EVENT = {"53100", "53300"}
RETRY_AT_ONCE = {"40P01", "40001"}


def fault(error: BaseException) -> Fault:
    """Classify what went wrong while an event was being stored."""
    if isinstance(error, PoolTimeout | TooManyRequests):
        return Fault.DOWN
    if isinstance(error, Overrun):
        return Fault.BUSY
    if isinstance(error, psycopg.Error):
        return _by_sqlstate(error)
    return Fault.REFUSED


def spares_events(error: BaseException) -> bool:
    """Whether no event can be to blame, though PostgreSQL answers: a full disk has room for what is small."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _OF_NO_EVENT


def headline(error: BaseException) -> str:
    """The first line of an error, for logs: PostgreSQL's details below it may quote the event."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _by_sqlstate(error: psycopg.Error) -> Fault:
    state = error.sqlstate
    if state is None:  # no answer of the server: refused, cut off, or past our deadline
        return Fault.DOWN if isinstance(error, psycopg.OperationalError) else Fault.REFUSED
    if state in _DOWN or state[:2] in _DOWN:
        return Fault.DOWN
    if state in _BUSY or state[:2] in _BUSY:
        return Fault.BUSY
    # What else does not fit was accepted by validation: the schema is older or newer than this code, which passes.
    return Fault.SENDER if state in _SENDER else Fault.REFUSED
