"""stream: give a target what it lacks of the log: in order, no leaf left out, each record at least once.

The cursor moves once the target has taken a batch. A streamer that is killed in between sends the batch again.
"""

import random
import threading
import time
from collections import deque
from contextlib import closing
from functools import partial

import structlog
from django.db import DatabaseError, InterfaceError, connections

from audit import metrics
from audit.errors import Invalid, LogDamaged, NothingKept
from audit.ledger import reader
from audit.models import Leaf
from audit.streams import cursor as cursors
from audit.streams import leaves
from audit.streams.batches import Batch, batches
from audit.streams.cursor import Cursor, CursorLost, StreamHeld
from audit.streams.faults import Misconfigured, RecordsRefused, TargetFault, Unavailable
from audit.streams.kinds import Plan

log = structlog.get_logger(__name__)

# Leaves read in one go: then rules of redaction are asked for again.
LEAVES_PER_PASS = 20_000
POLL_S = 0.5
HELD_POLL_S = 2.0
BACKOFF_S, BACKOFF_MOST_S = 0.5, 60.0
# What a person has to change is not asked again at once.
MISCONFIGURED_S = 5.0
SEEN_EVERY_S = 10.0
# A target that refuses so many records in a row does not refuse records: it is not set up for them.
REFUSED_IN_A_ROW = 100
# Of a run that does not follow: then it gives up.
TRIES = 5

Fault = TargetFault | Invalid | LogDamaged


class GaveUp(Exception):
    """The target did not take what it was given, several times in a row; the text is its last answer."""


def stream(plan: Plan, stop: threading.Event, *, follow: bool) -> int:
    """Give the target what it lacks; return how many records it took. With `follow` it goes on until `stop`.

    With `follow` no fault ends it: it waits, longer each time, and as long as the target asks for. Without, raises
    `GaveUp` after five tries in a row, `StreamHeld` where another streamer is at work, `NothingKept`, `Invalid`, and
    database errors.
    """
    if not follow:
        return _hold(plan, stop, follow=False)
    taken, is_told = 0, False
    while not stop.is_set():
        try:
            taken += _hold(plan, stop, follow=True)
            is_told = False
        except (StreamHeld, CursorLost) as held:
            if not is_told:
                log.warning("stream_held", target=plan.name, reason=str(held))
            is_told = True
            stop.wait(HELD_POLL_S)
        except (DatabaseError, InterfaceError, NothingKept) as error:
            log.warning("stream_interrupted", target=plan.name, error=type(error).__name__)
            connections.close_all()
            stop.wait(HELD_POLL_S)
        except Exception:
            log.exception("stream_failed", target=plan.name)
            connections.close_all()
            stop.wait(BACKOFF_MOST_S)
    return taken


def _hold(plan: Plan, stop: threading.Event, *, follow: bool) -> int:
    # By whoever holds it alone: another one, with another file, must not say where it goes.
    begins = partial(
        cursors.begin,
        plan.name,
        kind=plan.kind,
        place=plan.target.place,
        unredacted=plan.unredacted,
        first=plan.first,
    )
    with cursors.hold(plan.name, begins) as cursor, closing(plan.target), closing(leaves.Log()) as records:
        return _Streamer(plan, cursor, records, stop).run(follow=follow)


class _Streamer:
    def __init__(self, plan: Plan, cursor: Cursor, records: leaves.Log, stop: threading.Event):
        self._plan, self._cursor, self._log, self._stop = plan, cursor, records, stop
        self._taken = self._tries = self._in_a_row = self._size = 0
        self._is_resumed = False
        self._waiting_since: float | None = None

    def run(self, *, follow: bool) -> int:
        while not self._stop.is_set():
            try:
                if self._pass(follow) or not self._is_done(follow):
                    continue
                break
            except (TargetFault, Invalid, LogDamaged) as fault:
                self._note(fault)
                self._tries += 1
                if not follow and self._tries >= TRIES:
                    raise GaveUp(str(fault)) from fault
                self._wait(_pause_s(fault, self._tries))
        return self._taken

    def _is_done(self, follow: bool) -> bool:
        """Nothing is left now: whether that is the end, after a pause where it is not."""
        if follow:
            self._stop.wait(POLL_S)
        return not follow

    def _pass(self, follow: bool) -> bool:
        """Give what is sealed, up to a bound; return whether there was any, and enough of it."""
        self._size = reader.signed_size()
        if not self._is_resumed:
            self._resume()
        first, last = self._cursor.position, min(self._cursor.position + LEAVES_PER_PASS, self._size)
        if first >= last or (follow and self._is_held(last - first)):
            self._cursor.seen(self._size)
            return False
        redactor = None if self._plan.unredacted else leaves.redactor_of(self._plan.name)
        with closing(self._log.read(first, last, redactor)) as lines:
            for batch in batches(
                lines,
                most_records=self._plan.most_records,
                most_bytes=self._plan.most_bytes,
                most_record_bytes=self._plan.most_record_bytes,
            ):
                self._give(batch)
                if self._stop.is_set():
                    break
        self._waiting_since = None
        return True

    def _is_held(self, records: int) -> bool:
        """Whether so few records still wait for more of them, to go together."""
        if records >= self._plan.most_records:
            return False
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return time.monotonic() - self._waiting_since < self._plan.hold_s

    def _resume(self) -> None:
        """Take over what the target has beyond the cursor: a batch at most, of a streamer that was killed.

        Not where somebody has placed it back: what the target has there it is to be given again.
        """
        taken, position = self._plan.target.resume(), self._cursor.position
        self._is_resumed = True
        if taken is None or position < cursors.reached(self._plan.name):
            return
        if not position <= taken.leaf < min(position + self._plan.most_records, self._size):
            return
        # A restored log may have another record at this place.
        if Leaf.objects.filter(index=taken.leaf, record_id=taken.event_id).exists():
            self._cursor.move(
                taken.leaf + 1, records=taken.leaf + 1 - position, size=self._size, refused={}, taken_bytes=0
            )

    def _give(self, batch: Batch) -> None:
        """Let the target take a batch, in parts and with references where it refuses some. Raises `TargetFault`."""
        waiting = deque([batch])
        while waiting:
            part = waiting.popleft()
            try:
                self._plan.target.send(part.lines)
            except RecordsRefused as refusal:
                waiting.extendleft(reversed(self._after(refusal, part)))
                continue
            self._note_taken(part)

    def _after(self, refusal: RecordsRefused, part: Batch) -> list[Batch]:
        """What to send in the place of a part that was refused. Raises `Misconfigured`."""
        if not refusal.is_sure and len(part.lines) > 1:
            return list(part.halves())
        index, why = next(iter(refusal.why.items()))
        if refusal.why.keys() & part.refused.keys():
            raise Misconfigured(f"it refuses log entry {index} even without its content: {why}")
        following = part.with_references(refusal.why)
        if _longest_row(following, self._in_a_row) > REFUSED_IN_A_ROW:
            raise Misconfigured(f"it refuses {REFUSED_IN_A_ROW} records in a row, now log entry {index}: {why}")
        return [following]

    def _note_taken(self, part: Batch) -> None:
        self._cursor.move(
            part.last, records=len(part.lines), size=self._size, refused=part.refused, taken_bytes=part.bytes
        )
        for line in part.lines:
            self._in_a_row = self._in_a_row + 1 if line.leaf in part.refused else 0
        self._taken += len(part.lines)
        self._tries = 0
        metrics.streamed.labels(target=self._plan.name).inc(len(part.lines))
        if part.refused:
            log.error("stream_left_out", target=self._plan.name, records=len(part.refused), first=min(part.refused))

    def _note(self, fault: Fault) -> None:
        kind = type(fault).__name__
        metrics.stream_faults.labels(target=self._plan.name, fault=kind).inc()
        if self._cursor.problem != str(fault):
            log.warning("stream_fault", target=self._plan.name, fault=kind, text=str(fault))
        self._cursor.failed(str(fault), self._size)
        self._plan.target.close()

    def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not self._stop.wait(max(min(ends - time.monotonic(), SEEN_EVERY_S), 0)) and time.monotonic() < ends:
            self._cursor.seen(self._size)


def _longest_row(batch: Batch, begun: int) -> int:
    """How many records in a row are refused at most, with those that were before the batch."""
    longest = row = begun
    for line in batch.lines:
        row = row + 1 if line.leaf in batch.refused else 0
        longest = max(longest, row)
    return longest


def _pause_s(fault: Fault, tries: int) -> float:
    """How long to wait: longer each time, never at the same moment as others, and as long as the target asks for."""
    backoff = float(min(BACKOFF_S * 2.0 ** min(tries - 1, 10), BACKOFF_MOST_S) * random.uniform(0.5, 1))
    if isinstance(fault, Unavailable):
        return backoff if fault.retry_after_s is None else fault.retry_after_s + min(backoff, 1.0)
    return max(backoff, MISCONFIGURED_S)
