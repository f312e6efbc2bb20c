"""A load generator that costs little beside the server it measures: ready-made bytes on open sockets, one thread."""

import pickle
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANSWER_TIMEOUT_S = 30.0


@dataclass
class Load:
    """What one run of the generator saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds, in the order of the answers. At a fixed rate they begin when the request was due, sent or not."""
    statuses: Counter[int] = field(default_factory=Counter)
    spent: float = 0.0
    """Processor seconds of the generator in these seconds: without its start and its end."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    @property
    def kept_rate(self) -> float:
        """Requests per second that were answered with a promise."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300) / self.seconds

    @property
    def worst(self) -> float:
        """Milliseconds of the slowest answer."""
        return max(self.latencies) * 1000

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the requests was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


def request(path: str, body: bytes, key: str) -> bytes:
    """The bytes of one POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def fire(
    port: int | Sequence[int],
    requests: Sequence[bytes],
    *,
    seconds: float,
    connections: int = 16,
    rate: float | None = None,
) -> Load:
    """Send the requests in turn over `connections` sockets for `seconds`, from a process of its own.

    Of several ports each gets as many of the sockets.

    Each socket sends its next request when the last is answered; with a `rate`, so many requests a second are due,
    whatever the server does, and one that finds every socket busy waits, which its latency holds.
    Raises `ConnectionError` or `TimeoutError` where the server did not answer.
    """
    ports = [port] if isinstance(port, int) else list(port)
    asked = pickle.dumps((ports, list(requests), seconds, connections, rate))
    # Not multiprocessing: it would import what the bench imports, a second of processor time before each load.
    done = subprocess.run(
        [sys.executable, "-m", "bench.wire"], input=asked, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    outcome = pickle.loads(done.stdout)
    if isinstance(outcome, OSError):
        raise outcome
    return Load(*outcome)


def main() -> None:
    """Do what standard input asks for, and write what was seen to standard output, both pickled."""
    ports, requests, seconds, connections, rate = pickle.load(sys.stdin.buffer)
    try:
        generator = _Generator(ports, requests, connections)
        load = generator.steady(seconds, rate) if rate else generator.saturate(seconds)
        outcome: tuple[object, ...] | OSError = (load.seconds, load.latencies, load.statuses, load.spent)
    except OSError as error:
        outcome = error
    sys.stdout.buffer.write(pickle.dumps(outcome))


class _Connection:
    """One socket, with at most one request under way."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._received = b""

    def send(self, data: bytes, due: float) -> None:
        self.due = due
        self._received = b""
        self.socket.sendall(data)

    def status(self) -> int | None:
        """Read what has come; the status once the answer is whole."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._received[:end].lower()
        _, named, length = head.partition(b"\r\ncontent-length:")
        if not named:
            raise ConnectionError(f"an answer without a length: {head!r}")
        whole = end + 4 + int(length.partition(b"\r\n")[0])
        return int(head[9:12]) if len(self._received) >= whole else None


class _Generator:
    """All connections of one run."""

    def __init__(self, ports: list[int], requests: list[bytes], connections: int):
        self._idle = deque(_Connection(ports[place % len(ports)]) for place in range(connections))
        self._busy: dict[socket.socket, _Connection] = {}
        self._requests = requests
        self._sent = 0
        self._load = Load()

    def saturate(self, seconds: float) -> Load:
        """Keep every socket busy."""
        started = self._start()
        deadline = started + seconds
        while (now := time.perf_counter()) < deadline:
            while self._idle:
                self._send(now)
            self._receive(ANSWER_TIMEOUT_S)
        return self._finished(started)

    def steady(self, seconds: float, rate: float) -> Load:
        """Send what is due; all that was due is sent, however late."""
        started = self._start()
        for turn in range(int(seconds * rate)):
            due = started + turn / rate
            while (wait := due - time.perf_counter()) > 0 or not self._idle:
                self._receive(wait if self._idle else ANSWER_TIMEOUT_S)
            self._send(due)
        return self._finished(started)

    def _start(self) -> float:
        self._load.spent = -time.process_time()
        return time.perf_counter()

    def _send(self, due: float) -> None:
        connection = self._idle.popleft()
        connection.send(self._requests[self._sent % len(self._requests)], due)
        self._sent += 1
        self._busy[connection.socket] = connection

    def _receive(self, timeout: float) -> None:
        """Take the answers that are there, or wait for the first."""
        # select waits for microseconds where epoll knows milliseconds only, and a few dozen sockets cost it nothing.
        ready, _, _ = select.select(self._busy, (), (), timeout)
        if not ready and timeout == ANSWER_TIMEOUT_S:
            raise TimeoutError(f"no answer within {ANSWER_TIMEOUT_S:.0f} s")
        for readable in ready:
            connection = self._busy[readable]
            if (status := connection.status()) is not None:
                self._load.latencies.append(time.perf_counter() - connection.due)
                self._load.statuses[status] += 1
                self._idle.append(self._busy.pop(readable))

    def _finished(self, started: float) -> Load:
        while self._busy:
            self._receive(ANSWER_TIMEOUT_S)
        self._load.seconds = time.perf_counter() - started
        self._load.spent += time.process_time()
        for connection in self._idle:
            connection.socket.close()
        return self._load


if __name__ == "__main__":
    main()
