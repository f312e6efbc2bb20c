"""Bring what is in the spool to the store: by HTTP, else to its dead letter queue. A thread a process; in order."""

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from auditclient import kept_files, receipts, spool
from auditclient.config import Config
from auditclient.contract import Signer
from auditclient.errors import NotAReceipt
from auditclient.metrics import Counts
from auditclient.spool import Line, Segment, Writer
from auditclient.tiers import Answer, Backoff, Queue, Store

log = logging.getLogger("auditclient")

LOOK_FOR_ABANDONED_S = 5.0
# Each is an open file. An outage can leave thousands; the service and the connections need descriptors as well.
ADOPTED_AT_ONCE = 16


class Sent(msgspec.Struct):
    """What is read of an event in the spool."""

    event_id: str
    source_seq: int = 0
    source_epoch: str = ""


class Last(NamedTuple):
    """The last number of an epoch whose process is gone."""

    epoch: str
    number: int


# Told of each event that left the spool: its id, and "stored", "parked", "queued" or "rejected".
Told = Callable[[str, str], None]


class Sender:
    """The way out of the spool. `turn` is taken by one thread at a time."""

    def __init__(self, config: Config, writers: list[Writer], counts: Counts, told: Told):
        self._config, self._writers, self._counts, self._told = config, writers, counts, told
        self._keys = receipts.keys(config.receipt_keys)
        self._signer = Signer(config.key)
        self.store = Store(config)
        self._queue = Queue(config.dlq, self._signer)
        self._http, self._redis, self._blocked = Backoff(), Backoff(), Backoff()
        self._adopted: list[Segment] = []
        self._look_at = 0.0
        # The last look ended with as many as are adopted at once: others may wait for a place.
        self._may_be_more = False
        # Epochs of processes that are gone, of which the store should hear the last number.
        self.ended: list[Last] = []
        self.last_fault = ""

    def hurry(self) -> None:
        """Ask every tier again now, save where the store itself said when."""
        for backoff in (self._http, self._redis, self._blocked):
            backoff.hurry()

    def turn(self) -> float | None:
        """Send what is there; return how long to wait where no tier takes it, None where all is sent."""
        if wait_s := self._wait_s():
            return wait_s
        while True:
            self._look_for_abandoned()
            for segment, writer in self._files():
                if not self._empty(segment, writer):
                    return self._wait_s()
                if self._may_be_more and not self._adopted:
                    break  # those that waited for a place may be older than the files that are left
            else:
                return None

    @property
    def waits(self) -> bool:
        """Whether no tier would be asked now."""
        return self._wait_s() > 0

    def direct(self, body: bytes) -> str:
        """Send one event past the spool, which does not take it; return its state, empty where nobody took it."""
        states: list[str] = []
        told, self._told = self._told, lambda event_id, state: states.append(state)
        try:
            self._deliver([body])
        finally:
            self._told = told
        return states[0] if states else ""

    def close(self) -> None:
        """Let go of everything. What is not sent stays in the spool."""
        for segment in self._adopted:
            segment.close(remove=segment.shipped >= segment.written)
        self._adopted.clear()
        self.store.close()
        self._queue.close()

    def forget(self) -> None:
        """In the child of a fork: close the files that it inherited, and touch no connection of the parent."""
        for segment in self._adopted:
            segment.forget()

    def _files(self) -> list[tuple[Segment, Writer | None]]:
        """Return the files to send, the oldest first, and whose they are: None where they were adopted."""
        files: list[tuple[Segment, Writer | None]] = [(segment, None) for segment in self._adopted]
        # Each file is read once with whose it is: between two looks a writer may have begun another.
        files += [(segment, writer) for writer in self._writers for segment in list(writer.segments)]
        return sorted(files, key=lambda each: each[0].path.name)

    def _look_for_abandoned(self) -> None:
        """Adopt the oldest files of processes that are gone: now and then, at once where others wait for a place."""
        places = ADOPTED_AT_ONCE - len(self._adopted)
        if not places or not (self._may_be_more or time.monotonic() >= self._look_at):
            return
        self._look_at = time.monotonic() + LOOK_FOR_ABANDONED_S
        # Before the look: one that fails must not be repeated each turn, in the way of what could be sent.
        self._may_be_more = False
        own = {segment.path for writer in self._writers for segment in list(writer.segments)}
        own |= {segment.path for segment in self._adopted}
        self._adopted.extend(itertools.islice(spool.abandoned(self._config.spool_dir, own), places))
        self._may_be_more = len(self._adopted) == ADOPTED_AT_ONCE

    def _empty(self, segment: Segment, writer: Writer | None) -> bool:
        """Send all of a file; False where no tier takes it now."""
        last: Last | None = None
        while batch := self._batch(segment):
            events = [line.body for line in batch if line.body is not None]
            self._set_aside_damaged(batch)
            if events and not (self._blocked.is_over() and self._deliver(events)):
                return False
            segment.shipped = batch[-1].end
            if writer is not None:
                writer.delivered += len(events)
            elif events:
                sent = msgspec.json.decode(events[-1], type=Sent)
                last = Last(sent.source_epoch, sent.source_seq)
        if writer is not None:
            writer.let_go(segment)
            return True
        if last is not None and last.number:
            self.ended.append(last)
        self._adopted.remove(segment)
        segment.close(remove=True)
        return True

    def _batch(self, segment: Segment) -> list[Line]:
        batch: list[Line] = []
        size, most = 0, self._most()
        for line in segment.lines():
            size += len(line.raw)
            if batch and (len(batch) == most or size > self._config.batch_kb << 10):
                break
            batch.append(line)
        return batch

    def _most(self) -> int:
        """How many events to try at once: one where the tier failed before. An outage costs the service the less."""
        tier = self._http if self._http.is_over() else self._redis
        return 1 if tier.is_failing or self._blocked.is_failing else self._config.batch_events

    def _set_aside_damaged(self, batch: Sequence[Line]) -> None:
        for line in batch:
            if line.body is None:
                log.error("a line of the spool is damaged: it is kept among the rejected")
                self._counts.add("damaged")
                kept_files.reject(self._config.spool_dir, line.raw, "the line of the spool is damaged")

    def _deliver(self, bodies: Sequence[bytes]) -> bool:
        """Bring a batch to a tier; what it refuses for good is set aside. False where no tier takes it now."""
        if not self._http.is_over():
            return self._park(bodies)
        answer = self.store.send(bodies)
        if answer.verdict == "kept":
            self._http.succeed()
            self._blocked.succeed()
            self._keep_receipt(bodies, answer)
            return self._out(bodies, answer.state)
        if answer.verdict in ("refused", "split"):
            self._http.succeed()
            return self._refused(bodies, answer)
        self._note_failure(answer)
        return answer.verdict == "away" and self._park(bodies)

    def _park(self, bodies: Sequence[bytes]) -> bool:
        if not self._redis.is_over():
            return False
        answer = self._queue.park(bodies)
        if answer.verdict != "kept":
            self._counts.add("failed_redis")
            self._redis.fail()
            return False
        self._redis.succeed()
        return self._out(bodies, answer.state)

    def _refused(self, bodies: Sequence[bytes], answer: Answer) -> bool:
        """Set aside what is at fault, and send the rest again: nothing of a refused batch was kept."""
        if len(bodies) == 1:
            return self._reject(bodies[0], answer.faults.get(0) or answer.detail)
        faults = answer.faults if answer.verdict == "refused" else {}
        if not faults or max(faults) >= len(bodies):
            middle = len(bodies) // 2
            return self._deliver(bodies[:middle]) and self._deliver(bodies[middle:])
        rest = [body for place, body in enumerate(bodies) if place not in faults]
        if rest and not self._deliver(rest):
            return False
        return all(self._reject(bodies[place], f"{answer.detail}: {fault}") for place, fault in faults.items())

    def _reject(self, body: bytes, reason: str) -> bool:
        kept_files.reject(self._config.spool_dir, body, reason)
        log.error("the store will never take an event, it is kept among the rejected: %s", reason)
        return self._out([body], "rejected")

    def _out(self, bodies: Sequence[bytes], state: str) -> bool:
        self._counts.add(state, len(bodies))
        for body in bodies:
            self._told(msgspec.json.decode(body, type=Sent).event_id, state)
        return True

    def _keep_receipt(self, bodies: Sequence[bytes], answer: Answer) -> None:
        """Keep and verify what the store has signed. A bad receipt is told of; the event is kept all the same."""
        if answer.receipt is None:
            return
        try:
            if self._config.keep_receipts:
                kept_files.keep_receipt(self._config.spool_dir, answer.receipt)
            if self._keys:
                named = receipts.verify(answer.receipt, self._keys).keys()
                if not {msgspec.json.decode(body, type=Sent).event_id for body in bodies} <= named:
                    raise NotAReceipt("The receipt does not name all events that were sent.")
            self._counts.add("receipts")
        except (NotAReceipt, OSError) as error:
            self._counts.add("receipts_bad")
            log.error("a receipt of the store is no good: %s", error)

    def _note_failure(self, answer: Answer) -> None:
        self._counts.add("failed_http")
        if answer.detail != self.last_fault:
            log.warning("the store does not take events (%s): %s", answer.verdict, answer.detail)
        self.last_fault = answer.detail
        # A store that is there and takes nothing is no reason to go around it.
        backoff = self._http if answer.verdict == "away" else self._blocked
        backoff.fail(answer.wait_s)

    def _wait_s(self) -> float:
        if not self._blocked.is_over():
            return self._blocked.remaining_s()
        return min(self._http.remaining_s(), self._redis.remaining_s())
