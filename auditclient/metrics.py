"""What a client tells of itself: name a function, and each count is handed to it."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("auditclient")

# Called with the name of a count and by how much it grew, from any thread.
Hook = Callable[[str, int], None]
# recorded: `record` returned. stored, parked: the store answered so, or its queue was reached directly (`queued`).
# rejected: the store will never take it; kept in a file. refused: nothing was kept, and `record` said so.
NAMES = (
    "recorded",
    "stored",
    "parked",
    "queued",
    "rejected",
    "refused",
    "direct",
    "failed_http",
    "failed_redis",
    "damaged",
    "receipts",
    "receipts_bad",
    "missing",
    "heartbeats",
    "manifests",
)


class Counts:
    """The counts of one client since its process began. A hook that fails is logged, and disturbs nothing."""

    def __init__(self, hook: Hook | None = None):
        self._hook = hook
        self._lock = threading.RLock()
        self._counts = dict.fromkeys(NAMES, 0)

    def add(self, name: str, amount: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._counts[name] += amount
        if self._hook is not None:
            try:
                self._hook(name, amount)
            except Exception:
                log.exception("the metrics hook of the audit client failed")

    def __getitem__(self, name: str) -> int:
        with self._lock:
            return self._counts[name]

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        with self._lock:
            return dict(self._counts)
