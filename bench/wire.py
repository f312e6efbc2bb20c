"""A load generator that costs little beside the server it measures: ready-made bytes on open sockets."""

import multiprocessing
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Load:
    """What one run of the generator saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

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


def fire(port: int, requests: Sequence[bytes], *, seconds: float, connections: int = 16) -> Load:
    """Send the requests in turn over `connections` sockets for `seconds`, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_fire, args=(port, list(requests), seconds, connections, send))
    process.start()
    load: Load = receive.recv()
    process.join()
    return load


def _fire(port: int, requests: list[bytes], seconds: float, connections: int, result: object) -> None:
    load, lock = Load(), threading.Lock()
    deadline = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=_one_socket, args=(port, requests[n:] + requests[:n], deadline, load, lock))
        for n in range(connections)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - started
    result.send(load)  # type: ignore[attr-defined]


def _one_socket(port: int, requests: list[bytes], deadline: float, load: Load, lock: threading.Lock) -> None:
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turn = 0
        while (started := time.perf_counter()) < deadline:
            connection.sendall(requests[turn % len(requests)])
            statuses[_answer(connection)] += 1
            latencies.append(time.perf_counter() - started)
            turn += 1
    with lock:
        load.latencies += latencies
        load.statuses += statuses


def _answer(connection: socket.socket) -> int:
    """Read one response; return its status."""
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += _some(connection)
    length = next(
        int(line.partition(b":")[2])
        for line in received[:end].lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    while len(received) < end + 4 + length:
        received += _some(connection)
    return int(received[9:12])


def _some(connection: socket.socket) -> bytes:
    if not (found := connection.recv(65536)):
        raise ConnectionError("the server closed the connection")
    return found
