"""pending: wait, for a bounded moment, until the sealer has taken what a correlation has now."""

import threading
import time
from typing import Any
from uuid import UUID

from django.conf import settings

from audit.postgres import sql

POLL_S = 0.05
# So many requests of a process may wait at once; the others are answered with what is sealed by now.
WAITING_MAX = 2
# So many records are waited for together; the others after them.
TOGETHER = 1_000
# A record is sealed once it has a leaf. Whether the queue of the sealer has it is not asked: that has no index. Each
# leaf is looked up by itself, whatever PostgreSQL believes of the rows.
_NO_LEAF = "NOT EXISTS (SELECT FROM audit_leaf l WHERE l.record_id = r.id OFFSET 0)"
UNSEALED = f"SELECT r.id FROM audit_record r WHERE r.correlation_id = %s AND {_NO_LEAF} LIMIT %s"
STILL = f"SELECT r.id FROM unnest(%s::uuid[]) r (id) WHERE {_NO_LEAF}"
_places = threading.BoundedSemaphore(WAITING_MAX)


def wait(correlation_id: str) -> bool:
    """Return whether all that the correlation has is sealed, within SEAL_WAIT_MS."""
    if not (unsealed := _unsealed(correlation_id)):
        return True
    if not _places.acquire(blocking=False):
        return False
    try:
        ends_at = time.monotonic() + settings.SEAL_WAIT_MS / 1000
        while time.monotonic() < ends_at:
            time.sleep(POLL_S)
            if not (unsealed := _ids(STILL, unsealed) or _unsealed(correlation_id)):
                return True
        return False
    finally:
        _places.release()


def _unsealed(correlation_id: str) -> list[UUID]:
    return _ids(UNSEALED, correlation_id, TOGETHER)


def _ids(statement: str, *parameters: Any) -> list[UUID]:
    return [record_id for (record_id,) in sql.rows(statement, parameters, using="reader")]
