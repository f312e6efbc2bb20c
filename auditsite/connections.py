"""Database connections of threads that serve: Django looks after them before and after each request.

It does so for every database, whether the thread has a connection or not; most requests of writers need none, for
recording has connections of its own (`audit/postgres/gateway.py`).
"""

import threading
from typing import Any

from django.core import signals
from django.db import close_old_connections, reset_queries
from django.db.backends.signals import connection_created


class _Thread(threading.local):
    is_connected = False


_thread = _Thread()


def look_after_used_ones() -> None:
    """Have Django's own care taken in threads that have connected to a database, and nothing done in others."""
    connection_created.connect(_note)
    for signal in (signals.request_started, signals.request_finished):
        signal.disconnect(reset_queries)
        signal.disconnect(close_old_connections)
        signal.connect(_look_after)


def _note(**details: Any) -> None:
    _thread.is_connected = True


def _look_after(**details: Any) -> None:
    if _thread.is_connected:
        reset_queries()
        close_old_connections()
