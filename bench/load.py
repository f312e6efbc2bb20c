"""Senders: threads that post sample events over kept-alive connections, and remember every promise."""

import http.client
import json
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import uuid_utils.compat

import audit
from audit.formats import event, times

EVENTS = "/api/v1/audit/events"

PADDING = "x" * 600  # brings the sample events to about 1.25 KB


SAMPLE = Path(audit.__file__).parent / "management" / "sample" / "kubernaut.jsonl"
WRITER = "drill"


@dataclass
class Ledger:
    """What was sent and what was promised for it, by event id."""

    digests: dict[UUID, bytes] = field(default_factory=dict)
    """Of every event that was ever sent: the digest that the store must have."""
    acknowledged: dict[UUID, int] = field(default_factory=dict)
    """The HTTP status of the promise, 201 (or 200) and 202."""
    answers: Counter[str] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def promised(self, status: int) -> int:
        """How many events were acknowledged with this status."""
        with self.lock:
            return sum(1 for found in self.acknowledged.values() if found == status)


def documents() -> Iterator[dict[str, Any]]:
    """The sample events again and again, each as new: id, time and correlation of its own."""
    lines = [json.loads(line)["event"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    while True:
        run = secrets.token_hex(4)
        for line in lines:
            now = datetime.now(UTC)
            yield line | {
                "event_id": str(uuid_utils.compat.uuid7()),
                "event_timestamp": times.timestamp_text(now),
                "correlation_id": f"{line['correlation_id'][:200]}-{run}",
            }


class Senders:
    """Threads that send until they are stopped. What is not promised is sent again, with the same id."""

    def __init__(
        self,
        port: int,
        key: str,
        ledger: Ledger,
        *,
        count: int = 8,
        batch_every: int = 25,
        batch_size: int = 10,
        rate: float = 0.0,
        host: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
    ):
        """One request in `batch_every` is a batch; `rate` requests a second and thread, 0 for as fast as it goes.

        With `context` through TLS, to whom it believes.
        """
        self._address = (host, port)
        self._context = context
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._ledger = ledger
        self._batch_every = batch_every
        self._batch_size = batch_size
        self._rate = rate
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(count)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def use(self, key: str) -> None:
        """Send with another key from the next request on."""
        self._headers["Authorization"] = f"Bearer {key}"

    def stop(self) -> None:
        """End after the request in hand; what it was not promised stays unpromised."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _send(self) -> None:
        source = documents()
        connection = self._connection()
        started = time.monotonic()
        for turn, document in enumerate(source):
            if self._rate:
                self._stop.wait(started + turn / self._rate - time.monotonic())
            many = turn % self._batch_every == 0
            sent = [document, *(next(source) for _ in range(self._batch_size - 1))] if many else [document]
            self._until_promised(connection, sent, many=many)
            if self._stop.is_set():
                return

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(*self._address, timeout=5)
        return http.client.HTTPSConnection(*self._address, timeout=5, context=self._context)

    def _until_promised(
        self, connection: http.client.HTTPConnection, sent: list[dict[str, Any]], *, many: bool
    ) -> None:
        expected = {found.id: found.digest for found in (event.accept(one, writer=WRITER) for one in sent)}
        with self._ledger.lock:
            self._ledger.digests |= expected
        body = json.dumps(sent if many else sent[0]).encode()
        path = "/api/v1/audit/events/batch" if many else "/api/v1/audit/events"
        while True:
            status = self._post(connection, path, body)
            if status in (200, 201, 202):
                with self._ledger.lock:
                    self._ledger.acknowledged |= dict.fromkeys(expected, status)
                return
            if self._stop.is_set():
                return
            time.sleep(0.05)

    def _post(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> int:
        started = time.perf_counter()
        try:
            connection.request("POST", path, body, self._headers)
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, http.client.HTTPException):
            connection.close()  # a killed worker takes its connections along
            status = 0
        self._count(status, time.perf_counter() - started)
        return status

    def _count(self, status: int, seconds: float) -> None:
        with self._ledger.lock:
            self._ledger.answers[str(status) if status else "cut off"] += 1
            self._ledger.latencies.setdefault(status, []).append(seconds)


def wait_until(reached: Callable[[], bool], *, seconds: float, what: str, every_s: float = 0.02) -> float:
    """Wait for `reached`; return how long it took. Raises `TimeoutError` naming `what`."""
    started = time.monotonic()
    while not reached():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every_s)
    return time.monotonic() - started


def sample() -> Iterator[dict[str, object]]:
    """Sample events of about 1.25 KB without an id, so that each request is a new event."""
    for document in documents():
        del document["event_id"]
        document["event_data"] |= {"padding": PADDING}
        yield document


def median(values: Iterable[float]) -> float:
    """The middle value."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
