"""A writer that keeps what it sent and every receipt, as auditclient does: it can send again what the store lost."""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from audit.formats import event
from bench.load import WRITER, Ledger, documents

BATCH = 20
# The steady load: so many events each so many seconds.
STEADY, STEADY_EVERY_S = 5, 0.25
PATIENCE_S = 600.0


class Holder:
    """Sends batch after batch until each is acknowledged."""

    def __init__(self, port: int, key: str, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None):
        """With `context` through TLS, to whom it believes."""
        self._address, self._context = (host, port), context
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._documents = documents()
        self._sent: dict[str, dict[str, Any]] = {}
        self._receipts: list[str] = []
        self.ledger = Ledger()

    def use(self, key: str) -> None:
        """Send with another key from the next request on."""
        self._headers["Authorization"] = f"Bearer {key}"

    @property
    def acknowledged(self) -> set[UUID]:
        """The ids of what was answered 201 or 202."""
        with self.ledger.lock:
            return set(self.ledger.acknowledged)

    def send(self, count: int) -> set[UUID]:
        """Send so many new events; return their ids. Raises `TimeoutError` where one is not acknowledged in time."""
        sent: set[UUID] = set()
        for first in range(0, count, BATCH):
            batch = [next(self._documents) for _ in range(min(BATCH, count - first))]
            self._acknowledged(batch)
            sent |= {UUID(each["event_id"]) for each in batch}
        return sent

    def send_again(self, ids: Iterable[str]) -> None:
        """Send again what the store lost of this writer's events, with the same ids."""
        lost = [self._sent[event_id] for event_id in sorted(ids) if event_id in self._sent]
        for first in range(0, len(lost), BATCH):
            self._acknowledged(lost[first : first + BATCH])

    def write_receipts(self, path: Path) -> Path:
        """Write all receipts into one file, as the API answered them."""
        with self.ledger.lock:
            path.write_text("\n".join(self._receipts) + "\n", encoding="utf-8")
        return path

    def _acknowledged(self, sent: list[dict[str, Any]]) -> None:
        digests = {found.id: found.digest for found in (event.accept(each, writer=WRITER) for each in sent)}
        with self.ledger.lock:
            self.ledger.digests |= digests
            self._sent |= {str(each["event_id"]): each for each in sent}
        body, ends_at = json.dumps(sent).encode(), time.monotonic() + PATIENCE_S
        while (answer := self._post(body)) is None:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{len(sent)} events: not acknowledged within {PATIENCE_S:.0f} s")
            time.sleep(0.1)
        with self.ledger.lock:
            self.ledger.acknowledged |= dict.fromkeys(digests, 201)
            if receipt := answer.get("receipt"):
                self._receipts.append(receipt)

    def _post(self, body: bytes) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection(*self._address, timeout=15)
        if self._context is not None:
            connection = http.client.HTTPSConnection(*self._address, timeout=15, context=self._context)
        try:
            connection.request("POST", "/api/v1/audit/events/batch", body, self._headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if response.status not in (200, 201, 202):
            return None
        answer: dict[str, Any] = json.loads(text)
        return answer


class Steady(Holder):
    """A writer that goes on whatever happens to the store; what is not acknowledged it sends again."""

    def __init__(self, port: int, key: str, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None):
        super().__init__(port, key, host=host, context=context)
        self._goes_on = threading.Event()
        self._ended = threading.Event()
        self._rests = threading.Event()
        self._thread = threading.Thread(target=self._send_steadily, daemon=True)
        self._thread.start()

    def go_on(self) -> None:
        """Begin, or begin again."""
        self._rests.clear()
        self._goes_on.set()

    def rest(self) -> None:
        """Return once the batch in hand is acknowledged."""
        self._goes_on.clear()
        if not self._rests.wait(PATIENCE_S):
            raise TimeoutError(f"the steady load: a batch was not acknowledged within {PATIENCE_S:.0f} s")

    def stop(self) -> None:
        """End; the batch in hand may stay unacknowledged."""
        self._ended.set()
        self._goes_on.set()

    def _send_steadily(self) -> None:
        while not self._ended.is_set():
            if not self._goes_on.is_set():
                self._rests.set()
                self._goes_on.wait()
                continue
            self.send(STEADY)
            self._ended.wait(STEADY_EVERY_S)
