"""restored: what to do with a queue that was restored from an older file, or replaced by another.

1. Take out what had left it before: what is stored, quarantined or discarded does not come back.
2. Begin another generation, and note what its counters say: that is counted already.
3. Record what was found, and raise the alarm until it was heard.

Safe to be killed anywhere, and to run in several processes at once: until step 2 is done, the next call does it again.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Greatest

import dlq.counters
import dlq.stream
from audit.ingest import own_event
from audit.ingest.notify import notify
from audit.models import OWN_WRITER, Discard, Passage, Quarantined, QueueGeneration
from audit.postgres import sql
from dlq import generation
from dlq.message import Message, moment, stream_order
from dlq.stats import WayOut
from dlq.stream import Stream

log = structlog.get_logger(__name__)

EVENT_TYPE = "audit.queue.restored"
CHUNK = 1_000
# As a queue says that it never gave an id.
NONE = "0-0"
DAYS_IN_DOUBT_MAX = 1_000
COUNTED = ("came", "again", "drained", "duplicate", "quarantined", "discarded")
LOCK = "SELECT pg_advisory_xact_lock(hashtext('audit_passage')), clock_timestamp()"
_STORED = "SELECT id::text, digest FROM audit_record WHERE id = ANY(%s)"


def settle(queue: Stream) -> generation.Generation:
    """Settle the queue, should it have been restored or replaced; return how far it has come.

    Before a drain and before a copy of the counters. Costs one query and one look at Redis otherwise. Raises `Refused`,
    `NothingKept`, database errors.
    """
    reached = progress(queue) or _settle(queue)
    _notify_unheard()
    return reached


def progress(queue: Stream) -> generation.Generation | None:
    """How far the queue has come; None where it was restored or replaced. To be read before its counters."""
    relation, reached = _relation(queue)
    return reached if relation == "same" else None


def note(reached: generation.Generation) -> None:
    """Note how far the queue has come, so that a queue that has come less far is known as an older one."""
    rows = QueueGeneration.objects.filter(queue=settings.DLQ_PREFIX)
    # Not over another generation that began meanwhile.
    if not rows.filter(generation=reached.id).update(**_columns(reached)) and not rows.exists():
        QueueGeneration.objects.bulk_create(
            [QueueGeneration(queue=settings.DLQ_PREFIX, **_columns(reached))], ignore_conflicts=True
        )


def note_left(start: generation.Generation, left: int) -> None:
    """Note that so many have left the queue since it had come that far, without asking Redis, which may be away."""
    row = QueueGeneration.objects.filter(queue=settings.DLQ_PREFIX, generation=start.id)
    if not row.update(gone=Greatest("gone", Value(start.gone + left))):
        note(start._replace(gone=start.gone + left))


def note_progress(queue: Stream) -> None:
    """Note it at once, for what a person took out of the queue must not come back with an older one."""
    if (reached := progress(queue)) is not None:
        note(reached)


def not_kept(keys: Sequence[str]) -> list[str]:
    """Those of these event ids that are neither a record, nor quarantined, nor discarded. Raises database errors."""
    kept: set[str] = set()
    for start in range(0, len(keys), CHUNK):
        chunk = list(keys[start : start + CHUNK])
        kept |= stored_digests(chunk).keys() | set(
            Quarantined.objects.filter(key__in=chunk).values_list("key", flat=True)
        )
        kept |= set(Discard.objects.filter(key__in=chunk, decision="discarded").values_list("key", flat=True))
    return [key for key in keys if key not in kept]


def base_of() -> tuple[str, dict[str, dict[str, int]]]:
    """The generation, and what of its counters is counted already, by `label first`."""
    row = QueueGeneration.objects.filter(queue=settings.DLQ_PREFIX).first()
    return ("", {}) if row is None else (row.generation, row.base)


def days_in_doubt() -> set[date]:
    """The days of which the queue may have lost counts, for it was restored: of them records know better."""
    rows = QueueGeneration.objects.filter(queue=settings.DLQ_PREFIX).values_list("restored", flat=True)
    return {date.fromisoformat(day) for restored in rows for day in restored.get("days", ())}


def _days_in_doubt(reached: generation.Generation, today: date) -> list[str]:
    """From the last that the older file knows to now, and the days of the times before."""
    row = QueueGeneration.objects.get(queue=settings.DLQ_PREFIX)
    lasts = [last_id for last_id in (row.last_id, reached.last_id) if last_id != NONE]
    first = min([moment(stream_order(last_id)[0]).date() for last_id in lasts] + [today])
    days = {first + timedelta(days=past) for past in range((today - first).days + 1)}
    return sorted({day.isoformat() for day in days} | set(row.restored.get("days", ())))[-DAYS_IN_DOUBT_MAX:]


def _relation(queue: Stream) -> tuple[generation.Relation, generation.Generation]:
    # What is known is read first, so that the queue has come at least as far as when that was noted.
    row = QueueGeneration.objects.filter(queue=settings.DLQ_PREFIX).first()
    reached = generation.read(queue)
    if row is None:
        return "same", reached
    known = generation.Generation(row.generation, row.last_id, row.enqueued, row.gone)
    return generation.compare(known, reached), reached


@transaction.atomic
def _settle(queue: Stream) -> generation.Generation:
    ((_, now),) = sql.rows(LOCK)
    relation, reached = _relation(queue)
    if relation == "same":
        return reached  # another process did it
    log.error("dlq_restored", relation=relation)
    taken_out: Counter[str] = Counter()
    for way, messages in _had_left(queue):
        taken_out[way] += queue.acknowledge(messages, way)
    counters = dlq.counters.read(queue)
    base = {f"{line.label} {line.first}": base for line in counters.all if (base := _base(line))}
    days = _days_in_doubt(reached, now.date())
    facts = {"relation": relation, "taken_out": dict(taken_out), "here": counters.depth, "days": days}
    renewed = generation.renew(queue)
    columns = _columns(renewed) | {"base": base, "restored": facts, "told_at": None}
    QueueGeneration.objects.update_or_create(queue=settings.DLQ_PREFIX, defaults=columns)
    return renewed


def _had_left(queue: Stream) -> Iterator[tuple[WayOut, list[Message]]]:
    """What is in the queue, and had left it: with the way by which it leaves again, a chunk after the other."""
    for rows in queue.pages.entries(chunk=CHUNK):
        messages = queue.pages.get_all([message_id for message_id, _ in rows])
        keys = [message.key for message in messages]
        stored = stored_digests(keys)
        quarantined = set(Quarantined.objects.filter(key__in=keys).values_list("key", "message_id"))
        discarded = set(Discard.objects.filter(key__in=keys, decision="discarded").values_list("key", "message_id"))
        by_way: dict[WayOut, list[Message]] = {"duplicate": [], "quarantined": [], "discarded": []}
        for message in messages:
            if (message.key, message.id) in discarded:
                by_way["discarded"].append(message)
            elif (message.key, message.id) in quarantined:
                by_way["quarantined"].append(message)
            elif stored.get(message.key) == message.digest:
                by_way["duplicate"].append(message)
        yield from ((way, leaving) for way, leaving in by_way.items() if leaving)


def stored_digests(keys: list[str]) -> dict[str, bytes]:
    """The digest of each of these event ids that is a record, by id. Raises database errors."""
    return {event_id: bytes(digest) for event_id, digest in sql.rows(_STORED, [[key for key in keys if _is_uuid(key)]])}


def _is_uuid(key: str) -> bool:
    try:
        return str(UUID(key)) == key
    except ValueError:
        return False


def _base(line: dlq.counters.SourceDay) -> dict[str, int]:
    """What is copied of this counter already, in earlier generations; empty where it was never copied.

    What left the queue and was not copied before the restart is counted now, for it was taken out once more. What came
    counts once: as much of it as the older file knows is copied already.
    """
    of_day = Passage.objects.filter(
        queue=settings.DLQ_PREFIX, day=line.day, writer=line.source.replace("\x00", "\ufffd")
    )
    rows = [row for row in of_day if row.first.partition("@")[0] == line.first]
    if not rows:
        return {}
    copied = {name: sum(getattr(row, name) for row in rows) for name in COUNTED}
    return copied | {name: min(copied[name], getattr(line, name)) for name in ("came", "again")}


def _columns(reached: generation.Generation) -> dict[str, Any]:
    return {
        "generation": reached.id,
        "last_id": reached.last_id,
        "enqueued": reached.enqueued,
        "gone": reached.gone,
    }


def _notify_unheard() -> None:
    """Tell of a restored queue that nobody heard of yet: one process at a time, the others leave it to that one."""
    untold = QueueGeneration.objects.filter(queue=settings.DLQ_PREFIX, told_at=None).exclude(restored={})
    if not untold.exists():
        return
    with transaction.atomic():
        [(is_ours,)] = sql.rows("SELECT pg_try_advisory_xact_lock(hashtext('audit_queuegeneration_told'))")
        if is_ours and (row := untold.first()) is not None:
            _notify(row)


def _notify(row: QueueGeneration) -> None:
    taken_out = sum(row.restored["taken_out"].values())
    kind = "an older state of itself" if row.restored["relation"] == "older" else "another queue"
    notify(
        "dlq.restored",
        f"The queue in Redis was replaced by {kind}: was it restored, or failed over to a replica that lagged? "
        f"{taken_out} events that had left it were taken out again; {row.restored['here']} wait. See the account.",
        event=own_event.document(
            EVENT_TYPE, actor=OWN_WRITER, outcome="failure", correlation="dead-letter-queue", **row.restored
        ),
        told=lambda: QueueGeneration.objects.filter(pk=row.pk).update(told_at=datetime.now(UTC)),
        taken_out=taken_out,
    )
