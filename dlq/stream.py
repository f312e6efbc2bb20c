"""The dead letter queue on Redis Streams. The only module that talks to the stream.

The stream is the truth: each entry is one parked document, never changed, never trimmed, removed only when
its document is stored or by an audited act of a person. Everything else is an index that `dlq.rebuild`
can make again from it. All keys share one hash tag, so that every script stays on one node of a cluster.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import inf
from typing import Any

import redis
import structlog
from django.conf import settings

from dlq import client, metrics, policy
from dlq.errors import Refused
from dlq.message import Document, Message, State, decoded, fields_of, microseconds, moment, now_ms, read, state_of
from dlq.scripts import Scripts, refusing
from dlq.stats import Gone, ParkResult, Stats

log = structlog.get_logger(__name__)

CLEAR_SHARE = 0.8
"""The depth alarm clears below this share of the alert depth, so that it does not flicker."""
ERRORS_KEPT = 10
FIND_BATCH = 100
CLAIM_BYTES = 4 * 2**20
ERROR_CHARACTERS = 500
FIELDS = (b"key", b"digest", b"body", b"source", b"kind", b"received_at", b"reason")


class Stream:
    """The queue as one process sees it. Every method raises `Refused` when Redis does not do it."""

    def __init__(self, connection: redis.Redis, prefix: str):
        # redis-py types an answer as the union of what every setting could give; ours are bytes and numbers.
        self.redis: Any = connection
        tag = f"{{{prefix}}}"
        self.stream, self.due, self.leased, self.dead = (f"{tag}:{name}" for name in ("s", "due", "leased", "dead"))
        self.ids, self.stats_key, self.alarm, self.beats_key, self.pause_key, self.passages = (
            f"{tag}:{name}" for name in ("ids", "stats", "alarm", "beats", "paused", "passages")
        )
        self._tag = tag
        self._scripts = Scripts(connection)

    def park(
        self, documents: Sequence[Document], *, reason: str, real_failure: bool = False, again: bool = False
    ) -> ParkResult:
        """Keep all of the documents, or none. `again`: they were here before, and left for the quarantine.

        What waits only for the database is due at once, for a drain starts with a look at the database;
        after a `real_failure` the first retry comes when the policy says.
        """
        now = now_ms()
        delay = policy.next_delay(0) if real_failure else 0
        arguments: list[Any] = [now, now + int((delay or 0) * 1000), reason, settings.DLQ_ALERT_DEPTH, int(again)]
        for one in documents:
            arguments += [one.key, one.digest, one.body, one.source, one.kind, microseconds(one.received_at)]
        keys = [self.stream, self.due, self.ids, self.stats_key, self.alarm, self.passages]
        answer = self._confirmed("park", keys, arguments)
        outcomes = [one.decode() for one in answer[2:]]
        if len(outcomes) != len(documents):
            raise Refused("Redis answered for another number of documents than were to be parked.")
        self._count(outcomes, reason, depth=answer[0], raised=bool(answer[1]))
        return ParkResult(outcomes, answer[0], bool(answer[1]))

    def claim(self, limit: int) -> list[Message]:
        """Lease up to `limit` due messages to the caller, for DLQ_LEASE_S seconds; fewer where they are large.

        A message that cannot be read is dead at once, in sight of a person; never skipped.
        """
        now = now_ms()
        lease_end = now + settings.DLQ_LEASE_S * 1000
        rows = self.run("claim", [self.stream, self.due, self.leased], [now, limit, lease_end, CLAIM_BYTES])
        found: list[tuple[str, dict[bytes, bytes]]] = []
        for raw_id, flat in rows:
            if flat is None:
                log.error("dlq_message_vanished", message_id=raw_id.decode())
                self._remove([(raw_id.decode(), "", "")], "vanished")
                continue
            found.append((raw_id.decode(), fields_of(flat)))
        return [*self._readable(found, "leased", lease_end)]

    def acknowledge(self, messages: Iterable[Message], outcome: Gone) -> int:
        """Remove messages whose documents are kept elsewhere, or were discarded; return how many were still there."""
        return self._remove([(message.id, message.key, message.label) for message in messages], outcome)

    def fail(self, message: Message, kind: str, error: str, *, dead: bool = False) -> State:
        """Note a failure that was not the database's absence: wait for the next try, or be dead."""
        delay = None if dead else policy.next_delay(message.attempts + 1)
        now = now_ms()
        attempt = {"at": moment(now).isoformat(), "kind": kind, "error": error[:ERROR_CHARACTERS]}
        target, score = (self.dead, now) if delay is None else (self.due, now + int(delay * 1000))
        counter = "died" if delay is None else ""
        self._move([(message.id, score)], target, attempts="count", error=json.dumps(attempt), counter=counter)
        metrics.failed.labels(kind=kind, state="dead" if delay is None else "waiting").inc()
        if delay is None:
            log.error("dlq_message_dead", key=message.key, kind=kind, error=error[:ERROR_CHARACTERS])
        return "dead" if delay is None else "waiting"

    def release(self, messages: Iterable[Message], *, delay_s: float = 0.0) -> None:
        """Give leases back untouched: it was the database that was missing."""
        score = now_ms() + int(delay_s * 1000)
        self._move([(message.id, score) for message in messages], self.due)

    def retry_now(self, ids: Sequence[str]) -> int:
        """Make messages due, dead ones too, with all retries before them; their history stays."""
        now = now_ms()
        scored = [(one, now + int(delay * 1000)) for one, delay in zip(ids, policy.spread(len(ids)), strict=True)]
        return self._move(scored, self.due, attempts="reset", counter="retried")

    def snooze(self, ids: Iterable[str], until: datetime) -> int:
        """Leave messages alone until then; attempts and history stay. Dead ones wait again."""
        score = int(until.timestamp() * 1000)
        return self._move([(one, score) for one in ids], self.due, counter="snoozed")

    def pause(self, by: str) -> None:
        """Drains leave the queue alone until `resume`; parking goes on."""
        self.put(self.pause_key, "by", by, "at", now_ms())

    def resume(self) -> None:
        """Drains work again."""
        with refusing():
            self.redis.delete(self.pause_key)

    def paused(self) -> tuple[str, datetime] | None:
        """Who paused drains, and when; None while they work."""
        with refusing():
            found = self.redis.hgetall(self.pause_key)
        return (found[b"by"].decode(), moment(int(found[b"at"]))) if found else None

    def get(self, message_id: str) -> Message | None:
        """The message with this stream id."""
        with refusing():
            rows = self.redis.xrange(self.stream, message_id, message_id)
        return next(iter(self._placed(decoded(rows))), None)

    def find(self, key: str) -> Message | None:
        """The message of the document with this key, at the cost of two look-ups."""
        with refusing():
            message_id = self.redis.hget(self.ids, key)
        return self.get(message_id.decode()) if message_id else None

    def find_all(self, keys: Sequence[str]) -> dict[str, Message]:
        """Those of the documents that are here, by key; a few at a time, for each comes with its body."""
        with refusing():
            ids = [found.decode() for found in self.redis.hmget(self.ids, keys) if found]
        portions = (ids[first : first + FIND_BATCH] for first in range(0, len(ids), FIND_BATCH))
        return {message.key: message for portion in portions for message in self.all_of(portion)}

    def digests(self, keys: Sequence[str]) -> dict[str, bytes] | None:
        """The digests of those documents, by key, that are here; None where nothing at all is here."""
        if not self.depth():
            return None
        return {key: message.digest for key, message in self.find_all(keys).items()}

    def page(
        self,
        *,
        limit: int,
        after: str | None = None,
        until: str = "+",
        state: State | None = None,
        newest_first: bool = False,
    ) -> list[Message]:
        """Messages after the id `after`, at the same cost for every page; of one state if `state` is given."""
        if state is not None:
            return self._page_of(state, limit, after)
        with refusing():
            if newest_first:
                start = f"({after}" if after else "+"
                rows = self.redis.xrevrange(self.stream, start, "-", count=limit)
            else:
                start = f"({after}" if after else "-"
                rows = self.redis.xrange(self.stream, start, until, count=limit)
        return self._placed(decoded(rows))

    def older_than(self, seconds: float, *, chunk: int, after: str | None = None) -> Iterator[list[Message]]:
        """Messages that were parked longer ago than that, oldest first, page by page."""
        while page := self.page(limit=chunk, after=after):
            old = [message for message in page if message.age > seconds]
            if old:
                yield old
            if len(old) < len(page):
                return
            after = page[-1].id

    def depth(self) -> int:
        """How many messages there are."""
        with refusing():
            return int(self.redis.xlen(self.stream))

    def oldest_age(self) -> float:
        """Seconds since the oldest message was parked; 0 when there is none."""
        oldest = self.page(limit=1)
        return oldest[0].age if oldest else 0.0

    def stats(self) -> Stats:
        """How many messages are where, and came and went, at one moment."""
        totals = self.totals()
        return Stats(**{name: totals.get(name, 0) for name in Stats._fields})

    def totals(self) -> dict[str, int]:
        """Every counter at one moment: those of `Stats`, `ready` (due now), and all that scripts count."""
        keys = [self.stream, self.due, self.leased, self.dead, self.stats_key]
        answer = self.run("totals", keys, [now_ms()])
        counters = dict(zip((name.decode() for name in answer[5::2]), map(int, answer[6::2]), strict=True))
        return counters | dict(zip(("depth", "ready", "due", "leased", "dead"), answer[:5], strict=True))

    def beat(self, name: str) -> None:
        """Say that something runs: `last_drain_at`, `last_tick_at`, `last_watch_at`."""
        self.put(self.beats_key, name, now_ms())

    def beats(self) -> dict[str, datetime]:
        """When each thing last ran."""
        with refusing():
            return {name.decode(): moment(int(at)) for name, at in self.redis.hgetall(self.beats_key).items()}

    def alarm_state(self) -> dict[str, str]:
        """What is alarmed now: `depth_since` (ms), and what has been told of it."""
        with refusing():
            return {name.decode(): text.decode() for name, text in self.redis.hgetall(self.alarm).items()}

    def alarm_told(self, name: str, text: str) -> None:
        """Remember that an alarm has been passed on."""
        self.put(self.alarm, name, text)

    def ping(self) -> None:
        """Raise `Refused` unless Redis answers."""
        with refusing():
            self.redis.ping()

    def entries(self, *, chunk: int = 1000, after: str | None = None) -> Iterator[list[tuple[str, dict[bytes, bytes]]]]:
        """All entries of the stream after an id, oldest first, in chunks of ids and raw fields."""
        start = f"({after}" if after else "-"
        while True:
            with refusing():
                rows = decoded(self.redis.xrange(self.stream, start, "+", count=chunk))
            if not rows:
                return
            yield rows
            start = f"({rows[-1][0]}"

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that are not in the stream."""
        with refusing(), self.redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.xrange(self.stream, message_id, message_id)
            return [one for one, rows in zip(ids, pipe.execute(), strict=True) if not rows]

    def ids_of(self, state: State) -> list[str]:
        """Ids of all messages in a state, in the order of its index."""
        index, low, high = self._where(state)
        with refusing():
            return [found.decode() for found in self.redis.zrangebyscore(index, low, high)]

    def all_of(self, ids: Sequence[str]) -> list[Message]:
        """Those of the messages that are still here."""
        with refusing(), self.redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.xrange(self.stream, message_id, message_id)
            return self._placed(decoded(row for rows in pipe.execute() for row in rows))

    def _page_of(self, state: State, limit: int, after: str | None) -> list[Message]:
        index, low, high = self._where(state)
        with refusing():
            rank = self.redis.zrank(index, after) if after else None
            first = self.redis.zcount(index, "-inf", f"({low}") if rank is None else rank + 1
            ids = self.redis.zrange(index, first, first + limit - 1, withscores=True)
        return self.all_of([found.decode() for found, score in ids if low <= score <= high])

    def _where(self, state: State) -> tuple[str, float, float]:
        """The index of a state, and between which scores: what is due comes before what waits, in one index."""
        now = now_ms()
        index = {"due": self.due, "waiting": self.due, "leased": self.leased, "dead": self.dead}[state]
        return (index, *{"due": (0.0, now), "waiting": (now + 1, inf)}.get(state, (0.0, inf)))

    def _readable(self, found: list[tuple[str, dict[bytes, bytes]]], state: State, score: float) -> Iterator[Message]:
        histories = self._histories([message_id for message_id, _ in found])
        for (message_id, fields), history in zip(found, histories, strict=True):
            message = read(message_id, fields, state, score, history)
            if fields.keys() >= set(FIELDS):
                yield message
            else:
                missing = ", ".join(name.decode() for name in FIELDS if name not in fields)
                self.fail(message, "Unparsable", f"the stream entry lacks {missing}", dead=True)

    def _placed(self, rows: list[tuple[str, dict[bytes, bytes]]]) -> list[Message]:
        """Messages with their place and history, in one round trip."""
        with refusing(), self.redis.pipeline(transaction=False) as pipe:
            for message_id, _ in rows:
                for index in (self.due, self.leased, self.dead):
                    pipe.zscore(index, message_id)
            scores = pipe.execute()
        histories = self._histories([message_id for message_id, _ in rows])
        now = now_ms()
        messages = []
        for n, ((message_id, fields), history) in enumerate(zip(rows, histories, strict=True)):
            due, leased, dead = scores[n * 3 : n * 3 + 3]
            score = next((one for one in (due, leased, dead) if one is not None), None)
            messages.append(read(message_id, fields, state_of(due, leased, dead, now), score, history))
        return messages

    def _histories(self, ids: Sequence[str]) -> list[list[bytes | None]]:
        with refusing(), self.redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.hmget(self._history(message_id), "attempts", "errors")
            found: list[list[bytes | None]] = pipe.execute()
            return found

    def _remove(self, left: Sequence[tuple[str, str, str]], counter: str) -> int:
        if not left:
            return 0
        arguments: list[Any] = [counter, int(settings.DLQ_ALERT_DEPTH * CLEAR_SHARE)]
        for message_id, key, label in left:
            arguments += [message_id, key, self._history(message_id), label]
        keys = [self.stream, self.due, self.leased, self.dead, self.ids, self.stats_key, self.alarm, self.passages]
        removed, cleared = self.run("remove", keys, arguments)
        metrics.drained.labels(outcome=counter).inc(removed)
        if cleared:
            log.warning("dlq_depth_alarm_cleared")
        return int(removed)

    def _move(
        self,
        scored: Sequence[tuple[str, int]],
        target: str,
        *,
        attempts: str = "keep",
        error: str = "",
        counter: str = "",
    ) -> int:
        if not scored:
            return 0
        arguments: list[Any] = [attempts, error, ERRORS_KEPT, counter]
        for message_id, score in scored:
            arguments += [message_id, score, self._history(message_id)]
        keys = [self.stream, self.due, self.leased, self.dead, self.stats_key, target, self.passages]
        return int(self.run("move", keys, arguments))

    def _history(self, message_id: str) -> str:
        return f"{self._tag}:m:{message_id}"

    def _confirmed(self, name: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script, and have as many replicas confirm it as DLQ_MIN_REPLICAS asks for: on the one connection.

        Raises `Refused` where they do not. What was parked stays: the sender sends it again, and it is a duplicate.
        """
        if not settings.DLQ_MIN_REPLICAS:
            return self.run(name, keys, arguments, frees=False)
        with refusing(), self.redis.pipeline(transaction=False) as pipe:
            self._scripts.get(name, False)(keys=keys, args=arguments, client=pipe)
            pipe.execute_command("WAIT", settings.DLQ_MIN_REPLICAS, settings.DLQ_TIMEOUT_MS // 2)
            answer, confirmed = pipe.execute()
        if confirmed < settings.DLQ_MIN_REPLICAS:
            metrics.refused.labels(error="TooFewReplicas").inc()
            raise Refused(f"{confirmed} replicas confirmed what was parked, {settings.DLQ_MIN_REPLICAS} must.")
        return answer

    def put(self, key: str, *pairs: Any) -> None:
        """Set fields of a small hash, also while Redis is full: name, value, and so on. Raises `Refused`."""
        self.run("put", [key], list(pairs))

    def run(self, name: str, keys: list[str], arguments: list[Any], *, frees: bool = True) -> Any:
        """Run a script of `dlq/lua`; one that `frees` first may run while Redis is full. Raises `Refused`."""
        with refusing():
            return self._scripts.get(name, frees)(keys=keys, args=arguments)

    def _count(self, outcomes: Sequence[str], reason: str, *, depth: int, raised: bool) -> None:
        if parked := outcomes.count("parked") if "conflict" not in outcomes else 0:
            metrics.parked.labels(reason=reason).inc(parked)
        if raised:
            log.error("dlq_depth_alarm_raised", depth=depth, alert_depth=settings.DLQ_ALERT_DEPTH)


def default() -> Stream:
    """The queue for the way of a request: short timeouts."""
    return _of_process(settings.DLQ_TIMEOUT_MS)


def for_drain() -> Stream:
    """The queue for drains and pages: a batch of bodies may take longer."""
    return _of_process(client.DRAIN_TIMEOUT_MS)


def _of_process(timeout_ms: int) -> Stream:
    connection = client.connect(timeout_ms)
    place = (id(connection), settings.DLQ_PREFIX)
    if (found := _streams.get(place)) is None:
        found = _streams.setdefault(place, Stream(connection, settings.DLQ_PREFIX))
    return found


_streams: dict[tuple[int, str], Stream] = {}
