"""A worker: threads that each take whichever connection is ready, and one that watches over time.

While all threads are at work (they wait for PostgreSQL, say) the watching one reads and answers what needs no Django,
/livez first of all, and queues the rest.
"""

import gc
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from auditsite.front import bounds
from auditsite.front.answer import Answer
from auditsite.front.body import Unread
from auditsite.front.connection import Connection, Next
from auditsite.front.network import network_of
from auditsite.front.poller import Poller
from auditsite.front.request import Refused, Request

# To the gate: the worker is ready. No network has this name.
READY = b"\xff" * 16
# From the gate, as long: a connection comes, followed by the name of its network; others have been started for you.
COMES, LEAVE = b"c", b"l" + READY
TICK_S = 0.05
SWEEP_S = 0.25
# Garbage in cycles is looked for when there are so many new objects: a request makes some hundreds.
GARBAGE_OBJECTS = 10_000
_JSON = ("Content-Type", "application/json")
_PROBES = {"/livez": json.dumps({"status": "alive"}).encode()}


class Worker:
    """Serves the connections that come over `gate`, a socket, until it is closed, or says that others take over."""

    def __init__(
        self,
        gate: socket.socket,
        application: Callable[..., Any],
        *,
        threads: int,
        limit_bytes: int,
        lets_in: Callable[[dict[str, Any]], bool],
        refuse: Callable[[str, int, str], tuple[str, bytes]],
    ) -> None:
        """`lets_in` decides by the headers whether a body may come; `refuse` makes the content of a refusal."""
        self._gate = gate
        self._application = application
        self._limit_bytes = limit_bytes
        self._lets_in, self._refuse = lets_in, refuse
        self._connections: dict[int, Connection] = {}
        self._queue: deque[Connection] = deque()
        self._at_work = [False] * threads
        self._poller = Poller()
        self._wake_read, self._wake_write = os.pipe()
        self._unreported = bytearray()
        self._reporting = threading.Lock()
        self._stopping = threading.Event()
        # From then on (monotonic) each connection is ended with its next answer.
        self._leaving_since: float | None = None
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        gate.setblocking(False)
        self._poller.watch(self._wake_read)
        self._poller.add(gate.fileno())

    def serve(self) -> None:
        """Returns when the gate has closed and what was begun is answered."""
        for number in range(len(self._at_work)):
            threading.Thread(target=self._work, args=(number,), name=f"web-{number}", daemon=True).start()
        self._report(READY)
        self._watch()

    # --- Threads ------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        while True:
            self._at_work[number] = False
            queued = self._next_queued()
            fd = self._poller.next() if queued is None else None
            self._at_work[number] = True
            if queued is not None:
                self._advance(queued, Next.WORK, may_wait=True)
            elif fd is not None:
                self._take(fd, may_wait=True)

    def _next_queued(self) -> Connection | None:
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _watch(self) -> None:
        swept = time.monotonic()
        deadline = float("inf")
        while True:
            if all(self._at_work):
                fd = self._poller.next(TICK_S)
                if fd is not None:
                    self._take(fd, may_wait=False)
            else:
                if self._queue:  # all were at work when it was filled, and look at it before they wait again
                    with suppress(BlockingIOError):
                        os.write(self._wake_write, b"x")
                time.sleep(TICK_S)
            now = time.monotonic()
            if now - swept > SWEEP_S:
                swept = now
                self._report(b"")
                self._sweep(now)
            since = self._leaving_since
            if since is not None and (not self._connections or now - since > bounds.LEAVE_S):
                self._stopping.set()
            if self._stopping.is_set():
                deadline = min(deadline, now + bounds.STOP_S)
                if now > deadline or not self._connections:
                    return

    def _take(self, fd: int, *, may_wait: bool) -> None:
        if fd == self._wake_read:
            with suppress(BlockingIOError):
                os.read(self._wake_read, 64)
        elif fd == self._gate.fileno():
            self._welcome()
        elif (connection := self._connections.get(fd)) is not None:
            self._advance(connection, None, may_wait=may_wait)

    # --- Connections --------------------------------------------------------------------

    def _welcome(self) -> None:
        """Take what the gate hands over."""
        try:
            data, fds, _, _ = socket.recv_fds(self._gate, len(LEAVE), 1)
        except BlockingIOError:
            data, fds = b"-", []
        if not data:
            self._stopping.set()
            return
        if data == LEAVE:
            self._leaving_since = time.monotonic()
        for fd in fds:
            sock = socket.socket(fileno=fd)
            try:
                connection = Connection(sock, self._limit_bytes)
            except OSError:  # it is gone again, and nobody but the gate knows whose it was
                sock.close()
                self._report(data[len(COMES) :])
                continue
            self._connections[connection.fd] = connection
            self._poller.add(connection.fd)
        self._poller.again(self._gate.fileno())

    def _advance(self, connection: Connection, what: Next | None, *, may_wait: bool) -> None:
        """Do what can be done for a connection that is ready, until it waits for the other side."""
        connection.lock.acquire()  # whoever has it is about to let it go: it has asked for this event
        try:
            if self._connections.get(connection.fd) is not connection:
                return  # it was ended meanwhile
            connection.is_queued = False
            if what is None:
                what = self._go_on(connection)
            elif connection.is_given_up:
                what = Next.CLOSE
            while what is Next.WORK:
                if not (may_wait or self._needs_no_thread(connection)):
                    connection.is_queued = True
                    self._queue.append(connection)
                    return
                what = self._work_for(connection)
            if what is Next.CLOSE or (self._stopping.is_set() and connection.is_idle):
                self._end(connection)
            else:
                self._poller.again(connection.fd, write=what is Next.WRITE)
        except Exception:
            traceback.print_exc()
            self._end(connection)
        finally:
            connection.lock.release()

    def _go_on(self, connection: Connection) -> Next:
        return connection.receive() if connection.answer is None else connection.send()

    def _needs_no_thread(self, connection: Connection) -> bool:
        first = connection.requests[0] if connection.requests else None
        return first.path in _PROBES if first else connection.refused is not None

    def _work_for(self, connection: Connection) -> Next:
        if connection.answer is not None:
            return connection.send()
        if (request := connection.next_request()) is not None:
            connection.begin(self._handle(connection, request), request, is_last=self._leaving_since is not None)
            return connection.send()
        if (refused := connection.refused) is not None:
            connection.begin(self._refusal(refused), None)
            return connection.send()
        if (request := connection.asks) is not None:
            if self._may_send(connection, request):
                connection.let_in()
            else:
                connection.turn_away()
                return Next.WORK
        return connection.receive()

    def _end(self, connection: Connection) -> None:
        if self._connections.pop(connection.fd, None) is not None:
            connection.close()
            self._report(network_of(connection.client).packed)

    # --- Requests -----------------------------------------------------------------------

    def _handle(self, connection: Connection, request: Request) -> Answer:
        if (probe := _PROBES.get(request.path)) is not None and request.is_complete:
            return Answer(request, 200, [_JSON], probe)
        body: Any = Unread() if request.is_cut_short else request.body.open()
        environ = request.environ(connection.server, connection.client, body)
        begun: list[Any] = []
        try:
            response = self._application(environ, lambda *status_and_headers: begun.extend(status_and_headers))
            content: Any = response
            if not response.streaming:
                content = response.content
                response.close()
            return Answer(request, int(begun[0][:3]), begun[1], content)
        except Exception:
            traceback.print_exc()
            return self._refusal(Refused(500, "The server failed: the error is logged."), request)
        finally:
            request.body.close()

    def _may_send(self, connection: Connection, request: Request) -> bool:
        """Whether the body of a request is wanted, by what its headers say."""
        try:
            return self._lets_in(request.environ(connection.server, connection.client, Unread()))
        except Exception:
            traceback.print_exc()
            return False

    def _refusal(self, refused: Refused, request: Request | None = None) -> Answer:
        request = request or Request()
        kind, content = self._refuse(request.path, refused.status, refused.detail)
        return Answer(request, refused.status, [("Content-Type", kind)], content)

    # --- Time ---------------------------------------------------------------------------

    def _sweep(self, now: float) -> None:
        """End the connections whose other side takes too long; the idle ones, too, when this process stops."""
        for connection in list(self._connections.values()):
            if not connection.lock.acquire(blocking=False):
                continue  # a thread is at it
            try:
                refused = connection.overdue(now)
                if refused is not None and refused.status:
                    answer = self._refusal(refused)
                    connection.begin(answer, None)
                    with suppress(OSError):
                        answer.send(connection.sock)
                if refused is not None or (self._stopping.is_set() and connection.is_idle):
                    self._end(connection)
            finally:
                connection.lock.release()

    def _report(self, what: bytes) -> None:
        """Tell the gate that the worker is ready, or of which network a connection ended."""
        with self._reporting:
            self._unreported += what
            with suppress(OSError):
                while self._unreported:
                    del self._unreported[: self._gate.send(self._unreported)]


def main() -> None:
    """`python -m auditsite.front.worker APPLICATION THREADS [CORE]`, with the gate's socket as standard input."""
    gate = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the gate says when to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    bounds.connections()
    application, threads, *core = sys.argv[1:]
    if core and sys.platform == "linux":
        # One thread of Python's runs at a time: on several cores they would only wait for each other's caches.
        with suppress(OSError):  # it is faster so, and no more
            os.sched_setaffinity(0, map(int, core))
    from importlib import import_module

    module, _, name = application.partition(":")
    wsgi = getattr(import_module(module), name)
    from django.conf import settings

    from auditsite import admission, connections

    connections.look_after_used_ones()
    import_module(settings.ROOT_URLCONF)  # it is the first request that would wait for it

    # What is loaded now stays: to look through it for garbage, again and again, costs each request a tenth.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)

    worker = Worker(
        gate,
        wsgi,
        threads=int(threads),
        limit_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        lets_in=admission.lets_in,
        refuse=admission.refuse,
    )
    worker.serve()
    sys.stdout.flush()
    os._exit(0)  # threads that still wait are not waited for


if __name__ == "__main__":
    main()
