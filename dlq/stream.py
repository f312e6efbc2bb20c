"""The life of a message in the dead letter queue on Redis Streams: parked, claimed, and taken out or tried again.

The stream is the truth: each entry is one parked document, never changed, never trimmed, removed only when its document
is stored or by an audited act of a person. Everything else is an index that `dlq.rebuild` can make again from it.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import redis
import structlog
from django.conf import settings

from dlq import client, metrics, policy
from dlq.activity import Activity
from dlq.alarm_state import AlarmState
from dlq.authenticity import FORGED, sign
from dlq.errors import Paused, Refused
from dlq.inbox import Inbox
from dlq.kept import Kept
from dlq.message import (
    Document,
    Message,
    State,
    damaged_history,
    is_stream_id,
    microseconds,
    moment,
    read,
    readable_moment,
    stream_order,
)
from dlq.pages import Pages
from dlq.scripts import Connection, refusing
from dlq.stats import ParkResult, WayOut
from dlq.totals import Totals

log = structlog.get_logger(__name__)

# The depth alarm clears below this share of the alert depth, so that it does not flicker.
CLEAR_SHARE = 0.8
ERRORS_KEPT = 10
CLAIM_BYTES = 4 * 2**20
LONGEST_LEASE_S = 3600
# The ways out whose documents are in the store.
TO_THE_STORE = ("drained", "duplicate")
# So often room is made for what is parked, while Redis is full.
ROOM_TRIES = 3
# The totals that deaths of a kind are counted in; all others in "died".
DEATHS = {FORGED: "forged"}
ERROR_CHARACTERS = 500
# What every entry has; all others need none of them, or are of before there were any.
FIELDS = (b"key", b"digest", b"body", b"source", b"kind", b"received_at", b"reason")
NO_HISTORY = (None, None)

# What becomes of the count of attempts when a message is moved.
Attempts = Literal["count", "keep", "reset"]


class _Lease(NamedTuple):
    """Messages that were leased at `now` until `end` (ms), and whether some of them have a history."""

    ids: list[str]
    now: int
    end: int
    have_history: bool


class Stream(Connection):
    """The queue as one process sees it. Every method raises `Refused` when Redis does not do it."""

    def __init__(self, client: redis.Redis, prefix: str):
        super().__init__(client, prefix)
        self.pages = Pages(self)
        self.totals = Totals(self)
        self.activity = Activity(self)
        self.alarms = AlarmState(self)
        self.inbox = Inbox(self)
        self.kept = Kept(self)

    def park(
        self,
        documents: Sequence[Document],
        *,
        reason: str,
        real_failure: bool = False,
        again: bool = False,
        each: bool = False,
    ) -> ParkResult:
        """Keep all of the documents, or none where one is in conflict; `each`: all but those that are.

        `again`: they were here before, and left for the quarantine.

        What waits only for the database is due at once, for a drain starts with a look at the database;
        after a `real_failure` the first retry comes when the policy says.
        """
        delay_ms = int((policy.next_delay(0) or 0) * 1000) if real_failure else 0
        confirm = int(settings.DLQ_MIN_REPLICAS > 0)
        arguments: list[Any] = [delay_ms, reason, settings.DLQ_ALERT_DEPTH, int(again), confirm, int(each)]
        for document in documents:
            arguments += [document.key, document.digest, document.body, document.source, document.kind]
            arguments += [microseconds(document.received_at), sign(document) if document.mac is None else document.mac]
            arguments += [document.beside, document.trace]
        keys = self.keys
        places = [keys.stream, keys.due, keys.ids, keys.stats, keys.alarm, keys.counters]
        answer = self._with_room(lambda: self._confirmed("park", places, arguments), documents)
        outcomes = [outcome.decode() for outcome in answer[2:]]
        if len(outcomes) != len(documents):
            raise Refused("Redis answered for another number of documents than were to be parked.")
        result = ParkResult(outcomes, answer[0], bool(answer[1]))
        _count_parked(result, reason, each)
        return result

    def claim(self, limit: int) -> list[Message]:
        """Lease up to `limit` due messages to the caller, for DLQ_LEASE_S seconds; fewer where they are large.

        A message that cannot be read is dead at once, in sight of a person; never skipped. Raises `Paused` while a
        person keeps drains from the queue.
        """
        lease = self._lease(limit)
        histories = self._histories(lease)
        messages, seen, later, size = list[Message](), set[str](), list[str](), 0
        for message_id, fields in self.pages.entries_of(lease.ids):
            if size > CLAIM_BYTES:
                later = [other for other in lease.ids if stream_order(other) >= stream_order(message_id)]
                break
            seen.add(message_id)
            size += sum(map(len, fields.values()))
            message = read(message_id, fields, "leased", lease.end, histories.get(message_id, NO_HISTORY), lease.now)
            if missing := [name.decode() for name in FIELDS if name not in fields]:
                self.fail(message, "Unparsable", f"the stream entry lacks {', '.join(missing)}", dead=True)
            elif readable_moment(fields[b"received_at"]) is None:
                self.fail(message, "Unparsable", "received_at of the stream entry is no time", dead=True)
            else:
                messages.append(message)
        self._give_back(lease, later)
        self._take_out_vanished({*lease.ids} - seen - {*later})
        return messages

    def acknowledge(self, messages: Iterable[Message], way: WayOut) -> int:
        """Remove messages whose documents are kept elsewhere, or were discarded; return how many were still there.

        What leaves for the store is kept for a while beside the queue, before it leaves (`dlq.kept`).
        """
        leaving = list(messages)
        if way in TO_THE_STORE:
            self.kept.keep(leaving)
        return self._remove([(message.id, message.key, message.label) for message in leaving], way)

    def fail(self, message: Message, kind: str, error: str, *, dead: bool = False) -> State:
        """Note a failure that was not the database's absence: wait for the next try, or be dead."""
        delay = None if dead else policy.next_delay(message.attempts + 1)
        at = moment(self.now_ms()).isoformat()
        attempt = json.dumps({"at": at, "kind": kind, "error": error[:ERROR_CHARACTERS]})
        target, total = (self.keys.due, "") if delay is not None else (self.keys.dead, DEATHS.get(kind, "died"))
        self._move([(message.id, delay or 0.0)], target, attempts="count", error=attempt, total=total)
        metrics.failed.labels(kind=kind, state="dead" if delay is None else "waiting").inc()
        if delay is None:
            log.error("dlq_message_dead", key=message.key, kind=kind, error=error[:ERROR_CHARACTERS])
        return "dead" if delay is None else "waiting"

    def release(self, messages: Iterable[Message], *, delay_s: float = 0.0) -> None:
        """Give leases back untouched: it was the database that was missing."""
        self._move([(message.id, delay_s) for message in messages], self.keys.due)

    def retry_now(self, ids: Sequence[str]) -> int:
        """Make messages due, dead ones too, with all retries before them; their history stays."""
        delayed = zip(ids, policy.spread(len(ids)), strict=True)
        return self._move([*delayed], self.keys.due, attempts="reset", total="retried")

    def snooze(self, ids: Iterable[str], *, for_s: float) -> int:
        """Leave messages alone for so many seconds; attempts and history stay. Dead ones wait again."""
        return self._move([(message_id, for_s) for message_id in ids], self.keys.due, total="snoozed")

    def _lease(self, limit: int) -> _Lease:
        """Lease so many due messages. Raises `Paused`."""
        keys = self.keys
        lengths = [settings.DLQ_LEASE_S * 1000, LONGEST_LEASE_S * 1000, int(policy.LONGEST_WAIT_S * 1000)]
        places = [keys.due, keys.leased, keys.pause]
        paused, now, end, have_history, ids = self.run("claim", places, [limit, *lengths, keys.history("")])
        if paused:
            raise Paused
        # What is no id was put into the index by somebody else: it keeps no message back.
        sound = [text for text in (raw_id.decode(errors="replace") for raw_id in ids) if is_stream_id(text)]
        return _Lease(sound, now, end, bool(have_history))

    def _histories(self, lease: _Lease) -> dict[str, list[bytes | None]]:
        """Return the histories of what was leased. What cannot be read is taken out: nothing could be added to it."""
        if not lease.have_history:
            return {}
        histories = dict(zip(lease.ids, self.pages.histories(lease.ids), strict=True))
        for message_id, history in histories.items():
            if damaged := damaged_history(history):
                log.error("dlq_history_damaged", message_id=message_id, damaged=damaged)
                with refusing():
                    self.redis.hdel(self.keys.history(message_id), *damaged)
        return histories

    def _give_back(self, lease: _Lease, ids: Sequence[str]) -> None:
        """Have messages due as before they were leased: since they were parked, before what was parked after them."""
        if ids:
            since = [argument for message_id in ids for argument in (message_id, stream_order(message_id)[0])]
            self.run("give_back", [self.keys.due, self.keys.leased], [lease.end, *since])

    def _take_out_vanished(self, absent: Iterable[str]) -> None:
        """Take out of the indexes what the stream lacks.

        Whoever drained or discarded a message since it was leased took its lease with it: that is gone by right.
        """
        for message_id in self.pages.leased([*absent]):
            log.error("dlq_message_vanished", message_id=message_id)
            self._remove([(message_id, "", "")], "vanished")

    def _remove(self, leaving: Sequence[tuple[str, str, str]], counter: str) -> int:
        """Take out messages, given as id, key and label; return how many were there."""
        if not leaving:
            return 0
        keys = self.keys
        arguments: list[Any] = [counter, int(settings.DLQ_ALERT_DEPTH * CLEAR_SHARE), keys.history("")]
        by_label: dict[str, list[str]] = {}
        for message_id, key, label in leaving:
            by_label.setdefault(label, []).extend((message_id, key))
        for label, pairs in by_label.items():
            arguments += [label, len(pairs) // 2, *pairs]
        places = [keys.stream, keys.due, keys.leased, keys.dead, keys.ids, keys.stats, keys.alarm, keys.counters]
        removed, cleared = self.run("remove", places, arguments)
        metrics.drained.labels(outcome=counter).inc(removed)
        if cleared:
            log.warning("dlq_depth_alarm_cleared")
        return int(removed)

    def _move(
        self,
        delayed: Sequence[tuple[str, float]],
        target: str,
        *,
        attempts: Attempts = "keep",
        error: str = "",
        total: str = "",
    ) -> int:
        """Move messages, given as id and seconds from now, to an index; return how many were there."""
        if not delayed:
            return 0
        keys = self.keys
        arguments: list[Any] = [attempts, error, ERRORS_KEPT, total]
        for message_id, delay_s in delayed:
            arguments += [message_id, int(delay_s * 1000), keys.history(message_id)]
        places = [keys.stream, keys.due, keys.leased, keys.dead, keys.stats, target, keys.counters]
        return int(self.run("move", places, arguments))

    def _with_room(self, park: Callable[[], Any], documents: Sequence[Document]) -> Any:
        """Park; where Redis is full, what it keeps of drained messages goes first. Raises `Refused`."""
        wanted = 4 * sum(len(document.body) + len(document.beside) for document in documents)
        for _ in range(ROOM_TRIES):
            try:
                return park()
            except Refused as error:
                if not _is_full(error) or not self.kept.make_room(wanted):
                    raise
        return park()

    def _confirmed(self, name: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script that writes, and have as many replicas confirm it as DLQ_MIN_REPLICAS asks for.

        Both on one connection, for Redis answers for the last write of the connection that asks. Where Redis can say so
        (7.2 and later), confirmed means on the disk of this server and of the replicas; before, in their memory. Raises
        `Refused` where too few confirm. What was parked stays: the sender sends it again, and it is a duplicate.
        """
        if not settings.DLQ_MIN_REPLICAS:
            return self.run(name, keys, arguments, frees=False)
        with refusing(), self.redis.pipeline(transaction=False) as pipe:
            self.script(name, False)(keys=keys, args=arguments, client=pipe)
            pipe.execute_command("WAIT", settings.DLQ_MIN_REPLICAS, settings.DLQ_TIMEOUT_MS // 2)
            if self.waits_for_disks():
                # After WAIT, for a replica tells of its disk only when asked, or once a second: asked together with the
                # write it would answer before its disk has it.
                pipe.execute_command("WAITAOF", 1, settings.DLQ_MIN_REPLICAS, settings.DLQ_TIMEOUT_MS // 4)
            answer, confirmed, *on_disk = pipe.execute()
        if on_disk:
            own_disk, confirmed = on_disk[0]
            confirmed = confirmed if own_disk else 0
        if confirmed < settings.DLQ_MIN_REPLICAS:
            metrics.refused.labels(error="TooFewReplicas").inc()
            raise Refused(f"{confirmed} replicas confirmed what was parked, {settings.DLQ_MIN_REPLICAS} must.")
        return answer


def default() -> Stream:
    """Return the queue for the way of a request: short timeouts."""
    return _of_process(settings.DLQ_TIMEOUT_MS)


def for_drain() -> Stream:
    """Return the queue for drains and pages: a batch of bodies may take longer."""
    return _of_process(client.DRAIN_TIMEOUT_MS)


def _is_full(error: Refused) -> bool:
    """Whether Redis has no memory left. Redis 6.2 says so within the error of the script."""
    return isinstance(error.__cause__, redis.exceptions.OutOfMemoryError) or "-OOM " in str(error.__cause__)


def _count_parked(result: ParkResult, reason: str, each: bool) -> None:
    parked = result.outcomes.count("parked") if each or "conflict" not in result.outcomes else 0
    if parked:
        metrics.parked.labels(reason=reason).inc(parked)
    if result.alarm_raised:
        log.error("dlq_depth_alarm_raised", depth=result.depth, alert_depth=settings.DLQ_ALERT_DEPTH)


def _of_process(timeout_ms: int) -> Stream:
    connection = client.connect(timeout_ms)
    place = (id(connection), settings.DLQ_PREFIX)
    if (stream := _streams.get(place)) is None:
        stream = _streams.setdefault(place, Stream(connection, settings.DLQ_PREFIX))
    return stream


_streams: dict[tuple[int, str], Stream] = {}
