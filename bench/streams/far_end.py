"""A server that takes batches of lines as it is told, and notes which records it has taken, in which order."""

import hashlib
import json
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from typing import Any

from bench.ports import free_port

# What it answers is a status, or no answer at all: it hangs up.
HANGS_UP = 0


class FarEnd:
    """It is away at first, as if nobody listened: nobody does."""

    def __init__(self) -> None:
        self.port = free_port()
        # The log entries that it took, as they came; SHA-256 of each record as it came first.
        self.entries = array("q")
        self.digests: dict[int, bytes] = {}
        # Entries that came again as another record.
        self.changed: list[int] = []
        self.answered: Counter[int] = Counter()
        self.slow_s = 0.0
        self._statuses: Iterator[int] = repeat(200)
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def reached(self) -> int:
        """The log entry after the last one that it has."""
        return max(self.digests, default=-1) + 1

    def come(self) -> None:
        """Listen from now on."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def go(self) -> None:
        """Be away from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answers(self, statuses: Iterator[int], *, slow_s: float = 0.0) -> None:
        """Answer so from now on, each time after so long."""
        self._statuses, self.slow_s = statuses, slow_s

    def faults(self, first: int) -> list[str]:
        """What is wrong with what it was given from an entry on: each once at least, in order, none left out."""
        expected, found = first, []
        for entry in self.entries:
            if entry > expected:
                found.append(f"entry {entry} came where {expected} was due")
            expected = max(expected, entry + 1)
        return [*found[:5], *(f"entry {entry} came again as another record" for entry in self.changed[:5])]

    def twice(self) -> int:
        """How many records came again."""
        return len(self.entries) - len(self.digests)

    def _take(self, body: bytes) -> int:
        time.sleep(self.slow_s)
        with self._lock:
            status = next(self._statuses)
            self.answered[status] += 1
            if status == 200:
                for line in body.splitlines():
                    self._note(json.loads(line))
            return status

    def _note(self, record: dict[str, Any]) -> None:
        entry, digest = record["leaf_index"], digest_of(record)
        self.entries.append(entry)
        if self.digests.setdefault(entry, digest) != digest:
            self.changed.append(entry)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        far_end = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Take a batch, or refuse it."""
                status = far_end._take(self.rfile.read(int(self.headers["Content-Length"])))
                if status == HANGS_UP or far_end._server is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler


def digest_of(record: dict[str, Any]) -> bytes:
    """SHA-256 of a record, however it is written."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).digest()
