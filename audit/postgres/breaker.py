"""The breaker before PostgreSQL: after the first sign of an outage, requests stop asking.

Only the probe closes it again, in a thread of its own, so that no request ever waits for a server that
may be hung. (Why not pybreaker: docs/decisions/0002-own-breaker.md.)
"""

import threading
import time
from collections.abc import Callable

import structlog

from audit import metrics
from audit.postgres.faults import headline

log = structlog.get_logger(__name__)


class Breaker:
    """While it is open PostgreSQL is not asked. `probe` raises while the server is not able to store."""

    def __init__(self, probe: Callable[[], None], interval_s: float):
        self._probe = probe
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        self.reason = ""

    @property
    def is_open(self) -> bool:
        return self._watcher is not None

    def open(self, reason: str) -> None:
        """Stop asking, and start probing; nothing more where it is open already."""
        with self._lock:
            if self._watcher is not None:
                return
            self.reason = reason
            self._watcher = threading.Thread(target=self._watch, name="breaker-probe", daemon=True)
            self._watcher.start()
        metrics.breaker_open.set(1)
        metrics.breaker_opened.labels(reason=reason).inc()
        log.error("breaker_opened", reason=reason)

    def wait_closed(self, timeout_s: float) -> bool:
        if (watcher := self._watcher) is not None:
            watcher.join(timeout_s)
        return not self.is_open

    def _watch(self) -> None:
        opened = time.monotonic()
        while not self._recovered():
            time.sleep(self._interval_s)
        with self._lock:
            self._watcher = None
            self.reason = ""
        metrics.breaker_open.set(0)
        log.warning("breaker_closed", open_seconds=round(time.monotonic() - opened, 3))

    def _recovered(self) -> bool:
        try:
            self._probe()
        except Exception as error:
            log.info("breaker_probe_failed", error=headline(error))
            return False
        return True
