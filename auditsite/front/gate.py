"""The gate: accepts connections, bounds how many an address may have, hands each to the worker that has fewest.

A worker that ends by itself is replaced. SIGTERM and SIGINT end all: workers answer what was begun first. SIGHUP puts
workers that read the settings anew in the place of all; the address is listened at, and answered, all the while.
"""

import errno
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto

from auditsite.front import bounds
from auditsite.front.network import network_of
from auditsite.front.worker import COMES, LEAVE, READY

BACKLOG = 1_024
# Errors that say that a worker has so many connections to take that it can be sent no more now, or has just ended.
LATER = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS, errno.EPIPE, errno.ECONNRESET)
HELD_PAUSE_S = 0.02
RESTART_PAUSE_S = 0.5
LOG_PAUSE_S = 10.0


@dataclass
class Member:
    """A worker as the gate sees it."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    core: int | None
    # Of the renewal that it was started in.
    generation: int
    is_ready: bool = False
    leaves: bool = False
    received: bytes = b""
    connections: Counter[bytes] = field(default_factory=Counter)

    @property
    def load(self) -> int:
        return self.connections.total()


class Handed(Enum):
    """What became of a connection that the gate had for the workers."""

    OVER = auto()
    LATER = auto()
    NOT = auto()


class Gate:
    """Serves `application` at an address, with `workers` processes of `threads` threads."""

    def __init__(
        self,
        address: tuple[str, int],
        application: str,
        *,
        workers: int,
        threads: int,
        per_address: int,
        stay: bool,
    ) -> None:
        """`per_address` bounds the connections of one address; 0: no bound. With `stay` a worker keeps to one core."""
        self._command = [sys.executable, "-m", "auditsite.front.worker", application, str(threads)]
        self._wanted = workers
        self._cores = bounds.cores() if stay else []
        self._per_address = per_address
        self._most = bounds.connections()
        self._members: list[Member] = []
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(address)
        self._listener.setblocking(False)
        self._listens = False
        # A connection, and its address, that no worker can be sent now: until then the system holds those after it.
        self._held: tuple[socket.socket, str] | None = None
        self._refused = 0
        self._logged = 0.0
        self._stops = False
        self._generation, self._renews, self._is_told_to_renew = 0, False, False

    def serve(self) -> None:
        """Returns when it was told to stop."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, self._signalled)
        self._selector.register(wake_read, selectors.EVENT_READ)
        try:
            while not self._stops:
                self._staff()
                for key, _ in self._selector.select(HELD_PAUSE_S if self._held else 1.0):
                    if key.fd == wake_read:
                        with suppress(BlockingIOError):
                            os.read(wake_read, 64)
                    elif key.data is None:
                        self._accept()
                    else:
                        self._hear(key.data)
                if self._held:
                    self._admit(*self._held)
        finally:
            self._stop()

    def _signalled(self, number: int, _frame: object) -> None:
        self._stops = self._stops or number in (signal.SIGTERM, signal.SIGINT)
        self._is_told_to_renew = self._is_told_to_renew or number == signal.SIGHUP

    # --- Workers ------------------------------------------------------------------------

    def _staff(self) -> None:
        """Replace the workers that have ended, and go on with a renewal."""
        for member in [member for member in self._members if member.process.poll() is not None]:
            self._remove(member)
        if self._is_told_to_renew and not self._renews:
            self._is_told_to_renew, self._renews = False, True
            self._generation += 1
        while len(new := [m for m in self._members if m.generation == self._generation]) < self._wanted:
            self._hire()
        if self._renews and all(member.is_ready for member in new):
            self._renews = False
            self._dismiss([member for member in self._members if member.generation != self._generation])
            _log("workers_renewed", "info", pids=[member.process.pid for member in new])
        self._listen(wanted=not self._held and any(member.is_ready for member in self._members))

    def _hire(self) -> None:
        ours, theirs = socket.socketpair()
        core = self._free_core()
        command = self._command if core is None else [*self._command, str(core)]
        process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=False)
        theirs.close()
        ours.setblocking(False)
        member = Member(process, ours, core, self._generation)
        self._members.append(member)
        self._selector.register(ours, selectors.EVENT_READ, member)

    def _remove(self, member: Member) -> None:
        """Forget a worker that has ended. One of a renewal that cannot even start ends the renewal: the others stay."""
        self._members.remove(member)
        self._selector.unregister(member.channel)
        member.channel.close()
        if member.leaves and member.process.returncode == 0:
            return
        _log("worker_ended", "error", pid=member.process.pid, status=member.process.returncode)
        if self._renews and not member.is_ready and member.generation == self._generation:
            self._renews = False
            self._dismiss([other for other in self._members if other.generation == self._generation])
            for other in self._members:
                other.generation = other.generation if other.leaves else self._generation + 1
            self._generation += 1
            _log("workers_not_renewed", "error", detail="The new ones do not start: mend the settings, and try again.")
        elif not member.is_ready:
            time.sleep(RESTART_PAUSE_S)  # it could not even start

    def _dismiss(self, members: list[Member]) -> None:
        """Have workers answer what comes over the connections that they have, each once more, and end."""
        for member in members:
            member.leaves = True
            with suppress(OSError):
                member.channel.send(LEAVE)

    def _free_core(self) -> int | None:
        """The core that the fewest workers keep to; None where they go where they like."""
        taken = Counter(member.core for member in self._members)
        return min(self._cores, key=lambda core: taken[core], default=None)

    def _listen(self, *, wanted: bool) -> None:
        if wanted and not self._listens:
            self._listener.listen(BACKLOG)  # not before: what answers the door should be at home
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._listens and not wanted:
            self._selector.unregister(self._listener)
        self._listens = wanted

    def _hear(self, member: Member) -> None:
        try:
            member.received += member.channel.recv(65536)
        except OSError:
            return
        whole = len(member.received) // len(READY) * len(READY)
        for start in range(0, whole, len(READY)):
            network = member.received[start : start + len(READY)]
            if network == READY:
                member.is_ready = True
            else:
                member.connections[network] -= 1
                if member.connections[network] <= 0:
                    del member.connections[network]
        member.received = member.received[whole:]

    def _stop(self) -> None:
        self._listener.close()
        for member in self._members:
            member.channel.close()
        deadline = time.monotonic() + bounds.STOP_S + 1
        for member in self._members:
            try:
                member.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()

    # --- Connections --------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, name = self._listener.accept()
        except OSError:  # gone again, or no file is left: then some end soon
            return
        self._admit(sock, str(name[0]))

    def _admit(self, sock: socket.socket, address: str) -> None:
        """Hand a connection to a worker; hold it where none can be sent any now; refuse it where there are too many."""
        self._held = None
        network = network_of(address).packed
        has = sum(member.connections[network] for member in self._members)
        is_one_too_many = bool(self._per_address) and has >= self._per_address
        handed = Handed.NOT if is_one_too_many else self._hand_over(sock, network)
        if handed is Handed.LATER:
            self._held = sock, address
            return
        sock.close()
        if handed is Handed.NOT:
            self._refuse(address, has)

    def _hand_over(self, sock: socket.socket, network: bytes) -> Handed:
        """Send a connection to the worker that has fewest."""
        staying = [member for member in self._members if member.is_ready and not member.leaves]
        handed = Handed.NOT if staying else Handed.LATER  # another is on its way
        for member in sorted(staying, key=lambda member: member.load):
            if member.load >= self._most:
                break
            try:
                socket.send_fds(member.channel, [COMES + network], [sock.fileno()])
            except OSError as error:
                handed = Handed.LATER if error.errno in LATER else handed
                continue
            member.connections[network] += 1
            return Handed.OVER
        return handed

    def _refuse(self, address: str, has: int) -> None:
        self._refused += 1
        if (now := time.monotonic()) - self._logged > LOG_PAUSE_S:
            _log("connections_refused", "warning", count=self._refused, last_address=address, it_has=has)
            self._logged, self._refused = now, 0


def _log(event: str, level: str, **facts: object) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"event": event, "level": level, "logger": __name__, "timestamp": now} | facts
    print(json.dumps(line), file=sys.stderr, flush=True)
