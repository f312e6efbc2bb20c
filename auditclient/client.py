"""The client: `record` keeps an event on this host before it returns, and a thread brings it to the store.

Safe to use from any thread, in a signal handler, and in the children of a fork: each process has files, numbers, and a
thread of its own, made at its first event.
"""

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from auditclient import spool
from auditclient.completeness import Numbers
from auditclient.config import Config, Durability
from auditclient.errors import Closed, InvalidEvent, NotKept, not_kept
from auditclient.events import complete, encode, moment
from auditclient.ids import uuid7
from auditclient.metrics import Counts, Hook
from auditclient.sender import Sender
from auditclient.spool import Appended, Writer
from auditclient.wake import Wake

log = logging.getLogger("auditclient")

RECOUNT_S = 1.0
ROOM_PAUSE_S = 0.05
# What "process" leaves to the cache of the kernel at most. Each flush makes the service's own commits wait.
SYNC_PAUSE_S = 1.0


class Receipt(msgspec.Struct, frozen=True):
    """What is promised for one event when `record` returns.

    spooled: in a file of this host. queued: in the store's dead letter queue, by this client. parked, stored: the store
    says so. rejected: the store will never take it; kept in the folder of rejected events.
    """

    event_id: str
    state: str
    source_seq: int
    source_epoch: str


class Flushed(NamedTuple):
    """How far a flush came: whether all is sent, and how many events wait in the spool still, where they are safe."""

    is_done: bool
    left: int


class Wait:
    """Somebody who waits until an event has left the spool."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.state = ""


class Depth(threading.local):
    """At how many calls of `record` a thread is: more than one where a signal handler records as well."""

    now = 0


class Client:
    """Records events for one writer. Raises `ConfigError` where the configuration does not hold."""

    def __init__(self, config: Config | None = None, *, metrics: Hook | None = None):
        self.config = config or Config.of_environment()
        self.config.check()
        self._hook = metrics
        self._is_closed = False
        self._begin()
        _clients.add(self)

    def record(self, event: Mapping[str, Any], *, wait_s: float = 0.0, durability: Durability | None = None) -> Receipt:
        """Keep an event; return once it is durable, on this host or elsewhere. With `wait_s`, wait for the store.

        Raises `InvalidEvent`, `Closed`, and `NotKept` where no tier took it within `block_s`.
        """
        if self._is_closed:
            raise Closed
        if "source_seq" in event or "source_epoch" in event:
            raise InvalidEvent("source_seq and source_epoch: this client numbers events itself. Nothing was kept.")
        document = complete(event)
        return self._record(document["event_id"], encode(document), wait_s, durability)

    def record_encoded(self, body: bytes, *, durability: Durability | None = None) -> Receipt:
        """Keep an event as `auditclient.events.encode_plain` wrote it, that has all but its id, time and numbers.

        It costs the caller half as much. Nothing is completed or looked at. Raises `Closed`, `NotKept`.
        """
        if self._is_closed:
            raise Closed
        event_id = uuid7()
        end = f',"event_id":"{event_id}","event_timestamp":"{moment()}"}}'
        return self._record(event_id, body[:-1] + end.encode(), 0.0, durability)

    def sync(self) -> None:
        """Return when the disk has all that was recorded before. Raises `OSError`."""
        for writer in list(self._writers):
            for segment in list(writer.segments):
                segment.sync(segment.written)

    def flush(self, timeout_s: float = 30.0) -> Flushed:
        """Send all that this process has recorded before; say whether it is sent, and what is left in the spool."""
        targets = [(writer, writer.spooled) for writer in list(self._writers)]
        until = time.monotonic() + timeout_s
        self._sender.hurry()
        while not all(writer.delivered >= target for writer, target in targets) and time.monotonic() < until:
            self._start()
            self._wake.call()
            self._full.call()
            with self._moved:
                self._moved.wait(min(0.1, timeout_s))
        left = sum(max(target - writer.delivered, 0) for writer, target in targets)
        return Flushed(left == 0, left)

    def close(self, timeout_s: float | None = None) -> Flushed:
        """Take no more events, send what is there, and end. What is left waits in the spool for the next process."""
        if self._is_closed:
            return Flushed(not self.pending, self.pending)
        self._is_closed = True
        flushed = self.flush(self.config.exit_s if timeout_s is None else timeout_s) if self.pending else None
        self._is_stopping = True
        self._wake.call()
        self._full.call()
        if self._thread is not None:
            self._thread.join(self.config.timeout_s + 1)
            if self._thread.is_alive():
                # It has a request in hand: its files stay locked until this process ends.
                return Flushed(not self.pending, self.pending)
        if self.pending:
            self._try_to_sync()
        for writer in self._writers:
            writer.close()
        self._sender.close()
        _clients.discard(self)  # a fork would make all anew that it had
        return Flushed(not self.pending, self.pending) if flushed is not None else Flushed(True, 0)

    @property
    def pending(self) -> int:
        """How many events of this process are in the spool and nowhere else."""
        return sum(max(writer.spooled - writer.delivered, 0) for writer in list(self._writers))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _begin(self) -> None:
        """Set up what belongs to this process alone."""
        self.counts = Counts(self._hook)
        self._depth = Depth()
        self._writers: list[Writer] = []
        self._numbers = Numbers(self.config, self._writers, self.counts)
        self._sender = Sender(self.config, self._writers, self.counts, self._tell)
        self._direct: Sender | None = None
        self._direct_lock = threading.Lock()
        self._wake, self._full, self._unsynced = Wake(), Wake(), Wake()
        self._moved = threading.Condition()
        self._waits: dict[str, Wait] = {}
        self._thread: threading.Thread | None = None
        self._syncer: threading.Thread | None = None
        self._is_stopping = self._is_waiting = self._is_sending = False
        # Held by who starts a thread. Others leave it to them: a signal handler must not wait for what it interrupted.
        self._starting, self._starting_syncer = threading.Lock(), threading.Lock()
        # Held by the thread that sends.
        self._sending = threading.Lock()
        self._held, self._recount_at = 0, 0.0

    def _after_fork(self) -> None:
        for writer in self._writers:
            writer.forget()
        self._sender.forget()
        self._begin()

    # From here on few calls, and nothing that is not needed each time: a busy service comes with cold caches, and what
    # a request costs is how much code it runs through.

    def _record(self, event_id: str, body: bytes, wait_s: float, durability: Durability | None) -> Receipt:
        depth = self._depth.now
        self._depth.now = depth + 1
        try:
            writer = self._writers[depth] if depth < len(self._writers) else self._new_writer(depth)
            if wait_s:
                return self._keep_and_wait(writer, event_id, body, wait_s, durability)
            return self._keep(writer, event_id, body, durability)
        finally:
            self._depth.now = depth

    def _new_writer(self, depth: int) -> Writer:
        while len(self._writers) <= depth:
            self._writers.append(Writer(self.config.spool_dir))
        return self._writers[depth]

    def _keep_and_wait(
        self, writer: Writer, event_id: str, body: bytes, wait_s: float, durability: Durability | None
    ) -> Receipt:
        wait = self._waits[event_id] = Wait()
        try:
            receipt = self._keep(writer, event_id, body, durability)
            if receipt.state == "spooled":
                self._full.call()
                if wait.told.wait(wait_s):
                    return msgspec.structs.replace(receipt, state=wait.state)
            return receipt
        finally:
            del self._waits[event_id]

    def _keep(self, writer: Writer, event_id: str, body: bytes, durability: Durability | None) -> Receipt:
        number, state = self._spool_or_send(writer, body, durability or self.config.durability)
        self.counts.add("recorded")
        if state == "spooled":
            if not self._is_sending:
                self._start()
            self._wake.call()
            if not self._is_waiting and self.pending >= self.config.batch_events:
                self._full.call()
        return Receipt(event_id, state, number, writer.epoch)

    def _spool_or_send(self, writer: Writer, body: bytes, durability: Durability) -> tuple[int, str]:
        """Return the number of the event, and which tier has it: the spool, or where that does not take it, another."""
        until = number = None
        appended: Appended | None = None
        try:
            while True:
                try:
                    if appended is None and self._has_room(len(body)):
                        appended = writer.append(body, number)
                    if appended is not None:
                        self._sync_or_leave(appended, durability)
                        return appended.number, "spooled"
                    fault = f"the spool is full (spool_max_mb is {self.config.spool_max_mb})"
                except OSError as error:
                    fault = f"the spool cannot be written to ({error.strerror})"
                    log.error("%s: events go past it", fault)
                until = time.monotonic() + self.config.block_s if until is None else until
                number = appended.number if appended is not None else number
                number, state = self._send_past(writer, body, number, until)
                if number is not None and state:
                    self.counts.add("direct")
                    return number, state
                if time.monotonic() >= until:
                    self.counts.add("refused")
                    raise NotKept(not_kept(fault, is_written=appended is not None), msgspec.json.decode(body))
                self._start()
                time.sleep(ROOM_PAUSE_S)
        finally:
            if number is not None and appended is None:
                writer.end_past()

    def _sync_or_leave(self, appended: Appended, durability: Durability) -> None:
        """Have the disk have it now, or within a second. Raises `OSError`."""
        if durability == "disk":
            appended.segment.sync(appended.end)
            return
        if self._syncer is None:
            self._start_syncer()
        self._unsynced.call()

    def _send_past(self, writer: Writer, body: bytes, number: int | None, until: float) -> tuple[int | None, str]:
        """Try the tiers elsewhere once; return the event's number, if it has one now, and its state, empty at first.

        A signal handler that interrupted this very thread here would wait for itself: it leaves the tiers to others.
        """
        patience_s = max(until - time.monotonic(), 0.0) if self._depth.now == 1 else 0.0
        if not self._direct_lock.acquire(timeout=patience_s):
            return number, ""
        try:
            if self._direct is None:
                self._direct = Sender(self.config, [], self.counts, lambda event_id, state: None)
            if self._direct.waits:
                return number, ""
            number = writer.take_number() if number is None else number
            return number, self._direct.direct(writer.numbered(body, number))
        finally:
            self._direct_lock.release()

    def _has_room(self, length: int) -> bool:
        if time.monotonic() >= self._recount_at:
            self._held = spool.size(self.config.spool_dir)
            self._recount_at = time.monotonic() + RECOUNT_S
        self._held += length
        return self._held <= self.config.spool_max_mb << 20

    def _tell(self, event_id: str, state: str) -> None:
        if (wait := self._waits.get(event_id)) is not None:
            wait.state = state
            wait.told.set()

    def _start(self) -> None:
        """See to it that a thread sends; never two, which would send the same lines side by side."""
        if not self._is_sending and self._starting.acquire(blocking=False):
            try:
                if not self._is_sending:
                    self._thread = threading.Thread(target=self._run, name="auditclient", daemon=True)
                    self._is_sending = True
                    self._thread.start()
            except RuntimeError as error:
                self._thread, self._is_sending = None, False
                log.error(
                    "the audit client's sender cannot start (%s): events wait in the spool, and each that comes tries "
                    "again; allow this service more threads",
                    error,
                )
            except BaseException:
                self._is_sending = False
                raise
            finally:
                self._starting.release()

    def _start_syncer(self) -> None:
        if self._starting_syncer.acquire(blocking=False):
            try:
                if self._syncer is None:
                    syncer = threading.Thread(target=self._sync_again, name="auditclient-sync", daemon=True)
                    syncer.start()
                    self._syncer = syncer
            except RuntimeError as error:
                log.error(
                    "the audit client's spool is not flushed each second (%s): the next event tries again; allow this "
                    "service more threads",
                    error,
                )
            finally:
                self._starting_syncer.release()

    def _sync_again(self) -> None:
        while not self._is_stopping:
            if self._unsynced.wait(1.0):
                self._try_to_sync()
                time.sleep(SYNC_PAUSE_S)

    def _try_to_sync(self) -> None:
        try:
            self.sync()
        except OSError as error:
            log.error("the spool cannot be flushed (%s)", error.strerror)

    def _run(self) -> None:
        # A signal's exception while a thread is started says nothing of whether it runs.
        if not self._sending.acquire(blocking=False):
            return
        try:
            self._send_until_closed()
        finally:
            self._sending.release()
            self._is_sending = False

    def _send_until_closed(self) -> None:
        """Send until the client is closed: when there are enough for a batch, or the oldest is old enough."""
        wait_s: float | None = 0.0
        while True:
            try:
                wait_s = self._sender.turn()
                if wait_s is None:
                    self._numbers.tell(self._sender, is_last=self._is_stopping)
            except Exception:
                log.exception("the audit client's sender failed, and goes on")
                wait_s = 1.0
            with self._moved:
                self._moved.notify_all()
            if self._is_stopping:
                return
            if wait_s is None:
                if self._wake.wait(self._numbers.due_in_s()) and self.pending < self.config.batch_events:
                    self._full.wait(self.config.batch_age_s)
            else:
                self._is_waiting = True
                self._full.wait(wait_s)
                self._is_waiting = False


_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _begin_anew() -> None:
    for client in list(_clients):
        client._after_fork()


def _close_all() -> None:
    for client in list(_clients):
        client.close()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(_close_all)
