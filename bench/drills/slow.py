"""`make slow SECONDS=60`: CONNECTIONS slow clients of each kind at every port, while events are sent at load.

Each kind in its own phase: headers that drip, bodies that drip, answers that nobody takes; without a key, and with
one. A client that is cut off comes again. Exit status 0 only when in every phase ingest kept KEPT of its rate, its p99
within what it was / KEPT (judged from JUDGED_FROM_S), and /livez of both roles always answered. What it was is measured
right before and right after: the speed of a machine drifts.
"""

import argparse
import json
import resource
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from statistics import fmean
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.load import EVENTS, sample
from bench.wire import Load, fire, request

CONNECTIONS = 500
KEPT = 0.9
JUDGED_FROM_S = 30
# A client sends something so often, and comes from one of so many addresses.
DRIP_S, ADDRESSES = 1.0, 50
# Long answers, and as many as are asked for at once on a connection.
PAGE, ASKED = "/api/schema/", 20
FILES_BESIDE = 200
MIB = 1024 * 1024
console = Console(width=None if sys.stdout.isatty() else 130)


@dataclass(frozen=True)
class Kind:
    """A way to be slow: what is sent at once, and what is dripped after it."""

    name: str
    at_once: bytes
    drips: bytes


def kinds(key: str) -> Iterator[Kind]:
    """All of them, each without a key and with one."""
    for whose, line in (("no key", ""), ("a key", f"Authorization: Bearer {key}\r\n")):
        post = f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{line}"
        form = f"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken={'x' * 32}\r\n"
        yield Kind(f"headers, {whose}", post.encode(), b"X-Padding: x\r\n")
        yield Kind(f"body, {whose}", (post if line else form).encode() + b"Content-Length: 1000000\r\n\r\n", b" ")
        page = f"GET {PAGE} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"
        yield Kind(f"reading, {whose}", page.encode() * ASKED, b"")


class Crowd(threading.Thread):
    """So many slow clients of a kind at each of the ports, until told to stop."""

    def __init__(self, kind: Kind, ports: tuple[int, ...], size: int):
        super().__init__(daemon=True)
        self.kind = kind
        self._targets = [port for port in ports for _ in range(size)]
        self._numbers = count()
        self._open: dict[socket.socket, int] = {}
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        self.is_there = threading.Event()
        self.cut_off = 0

    def run(self) -> None:
        """Keep all of them connected; drip; come again when cut off."""
        for port in self._targets:
            self._connect(port)
        self.is_there.set()
        while not self._ended.wait(DRIP_S):
            for client in list(self._open):
                self._drip(client)
            if self.kind.drips:
                self._look_for_the_end()
        for client in self._open:
            client.close()
        self._selector.close()

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _connect(self, port: int) -> None:
        client = socket.socket()
        number = next(self._numbers)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.bind((f"127.0.1.{number % ADDRESSES + 1}", 0))
        client.settimeout(5)
        try:
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.send(self.kind.at_once)
        except OSError:
            client.close()
            self.cut_off += 1
            return
        self._open[client] = port
        self._selector.register(client, selectors.EVENT_READ)

    def _drip(self, client: socket.socket) -> None:
        try:
            # Who only does not read learns of its end by sending.
            client.send(self.kind.drips or b"\r\n")
        except BlockingIOError:
            pass
        except OSError:
            self._again(client)

    def _look_for_the_end(self) -> None:
        for key, _ in self._selector.select(0):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            try:
                is_over = not client.recv(4096)
            except BlockingIOError:
                is_over = False
            except OSError:
                is_over = True
            if is_over:
                self._again(client)

    def _again(self, client: socket.socket) -> None:
        port = self._open.pop(client)
        self._selector.unregister(client)
        client.close()
        self.cut_off += 1
        self._connect(port)


class Alive(threading.Thread):
    """Asks /livez of every port, and remembers the longest answer and who did not answer."""

    def __init__(self, ports: tuple[int, ...]):
        super().__init__(daemon=True)
        self._ports = ports
        self._ended = threading.Event()
        self.worst_ms = 0.0
        self.missed = 0

    def run(self) -> None:
        while not self._ended.wait(0.25):
            for port in self._ports:
                started = time.monotonic()
                try:
                    urlopen(f"http://127.0.0.1:{port}/livez", timeout=5).close()
                except OSError:
                    self.missed += 1
                self.worst_ms = max(self.worst_ms, (time.monotonic() - started) * 1000)

    def stop(self) -> None:
        self._ended.set()
        self.join()


@dataclass(frozen=True)
class Phase:
    """What was seen while a kind of slow clients was there; memory before, and at most, in MiB."""

    name: str
    load: Load
    alive: Alive
    cut_off: int
    memory: tuple[float, float]


class Slow:
    """One run."""

    def __init__(self, seconds: float, connections: int):
        self.seconds = seconds
        self.connections = connections
        self.fleet = Fleet(drainers=0)
        self.table = Table("phase", "events/s", "of quiet", "p99 ms", "worst /livez ms", "missed", "cut off", "MiB")

    def run(self) -> bool:
        """Measure without and with each kind, in turns; print the table and say whether ingest kept its pace."""
        self.fleet.start()
        key = self.fleet.new_writer()
        bodies = [json.dumps(document).encode() for document in islice(sample(), 200)]
        requests = [request(EVENTS, body, key) for body in bodies]
        self._fire(requests, min(self.seconds, 3))
        before, passed = self._quiet(requests), True
        for kind in kinds(key):
            phase = self._phase(kind, requests)
            after = self._quiet(requests)
            passed = self._judge(phase, [before, after]) and passed
            before = after
        self.table.add_row("after", "", "", "", "", "", "", f"{self._memory():.0f}")
        console.print(self.table)
        return passed

    def _quiet(self, requests: list[bytes]) -> Load:
        return self._fire(requests, self.seconds / 2)

    def _phase(self, kind: Kind, requests: list[bytes]) -> Phase:
        before = self._memory()
        ports = (self.fleet.port, self.fleet.site_port)
        crowd, alive = Crowd(kind, ports, self.connections), Alive(ports)
        crowd.start()
        alive.start()
        crowd.is_there.wait()
        peak: list[float] = []
        load = self._while(lambda: peak.append(self._memory()), requests)
        alive.stop()
        crowd.stop()
        return Phase(kind.name, load, alive, crowd.cut_off, (before, max(peak, default=before)))

    def _judge(self, phase: Phase, quiet: list[Load]) -> bool:
        """Add the phase to the table; return whether ingest kept its pace in it, and all was answered."""
        load, alive = phase.load, phase.alive
        share = load.rate / fmean(each.rate for each in quiet)
        p99, p99_quiet = load.percentile(0.99), fmean(each.percentile(0.99) for each in quiet)
        self.table.add_row(
            phase.name,
            f"{load.rate:.0f}",
            f"{share:.2f}",
            f"{p99_quiet:.0f} -> {p99:.0f}",
            f"{alive.worst_ms:.0f}",
            str(alive.missed),
            str(phase.cut_off),
            f"{phase.memory[0]:.0f} -> {phase.memory[1]:.0f}",
        )
        in_pace = share >= KEPT and p99 <= p99_quiet / KEPT
        only_kept = load.statuses.keys() <= {201, 202}
        return not alive.missed and only_kept and (in_pace or self.seconds < JUDGED_FROM_S)

    def _while(self, look: Callable[[], None], requests: list[bytes]) -> Load:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        load = self._fire(requests, self.seconds)
        ended.set()
        watcher.join()
        return load

    def _fire(self, requests: list[bytes], seconds: float) -> Load:
        return fire(self.fleet.port, requests, seconds=seconds, connections=8)

    def _memory(self) -> float:
        """MiB that both groups of processes hold."""
        processes = [process for name in ("ingest", "web") for process in self.fleet.processes(name)]
        return sum(process.memory_info().rss for process in processes) / MIB


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser(prog="python -m bench.drills.slow")
    parser.add_argument("--seconds", type=float, default=60, help="of each kind")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of each kind at each port")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections = min(options.connections, (hard - FILES_BESIDE) // 2)
    slow, started = Slow(options.seconds, connections), time.monotonic()
    try:
        passed = slow.run()
    finally:
        slow.fleet.stop()
    verdict = f"{connections} slow clients of each kind at each port held nothing up" if passed else "FAILED"
    console.print(f"{verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
