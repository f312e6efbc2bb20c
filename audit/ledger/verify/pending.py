"""pending: wait, for a bounded moment, until the sealer has taken what a correlation has now."""

import threading
import time

from django.conf import settings

from audit.postgres import sql

POLL_S = 0.05
# So many requests of a process may wait at once; the others are answered with what is sealed by now.
WAITING_MAX = 2
_PENDING = """
SELECT EXISTS (
    SELECT FROM audit_record WHERE correlation_id = %s AND id IN (SELECT record_id FROM audit_unsealed)
)
"""
_places = threading.BoundedSemaphore(WAITING_MAX)


def wait(correlation_id: str) -> bool:
    """Return whether all that the correlation has is sealed, within SEAL_WAIT_MS."""
    if not _is_pending(correlation_id):
        return True
    if not _places.acquire(blocking=False):
        return False
    try:
        ends_at = time.monotonic() + settings.SEAL_WAIT_MS / 1000
        while time.monotonic() < ends_at:
            time.sleep(POLL_S)
            if not _is_pending(correlation_id):
                return True
        return False
    finally:
        _places.release()


def _is_pending(correlation_id: str) -> bool:
    return bool(sql.rows(_PENDING, [correlation_id], using="reader")[0][0])
