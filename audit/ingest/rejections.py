"""rejections: count the events that were refused, per writer and reason, and keep a few of them to look at.

Counted in Redis, in one round trip, at a refusal only; without Redis in PostgreSQL; without both in the log and the
metric of this process, and nowhere else. A task brings counts and samples to PostgreSQL.
"""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import structlog
from django.conf import settings
from django.db import connections, transaction

import dlq.client
from audit import metrics
from audit.errors import AuditError
from audit.formats.event import FIELDS
from audit.models import RejectedSample
from audit.postgres.gateway import gateway
from dlq.errors import Refused
from dlq.scripts import refusing

MISSING, UNKNOWN = "this field is required", "this field is unknown"

WITH_ITS_BATCH = "refused with its batch"

CONFLICT = "event_id: used before with other content"

TOO_LARGE = "body too large"

MEDIA_TYPE = "not application/json"

UNREADABLE = "not readable as JSON"

WHOLE = {
    "expected a JSON object": "not an event",
    "expected a JSON array": "not a batch of 1 to 1000 events",
    "the database cannot hold": "the database cannot hold it",
}
"""What is wrong with an event as a whole, by how the message begins."""
log = structlog.get_logger(__name__)

SAMPLES = 20
"""So many of the newest are kept of each writer and reason."""
SAMPLE_BYTES = 2048
SAMPLES_A_REQUEST = 5
DETAIL_CHARACTERS = 500
TIMEOUT_S = 0.5
_KEY = re.compile(rb"aw_[A-Za-z0-9_-]{8,}")
_ADD = """
INSERT INTO audit_rejection (day, writer, reason, life, events)
SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::text[], %s::bigint[])
ON CONFLICT (day, writer, reason, life) DO UPDATE SET events =
"""
_COUNT_HERE = (_ADD + "audit_rejection.events + excluded.events").encode()
_TAKE_OVER = _ADD + "greatest(audit_rejection.events, excluded.events)"
_TRIM = """
DELETE FROM audit_rejectedsample WHERE writer = %s AND reason = %s AND id NOT IN (
    SELECT id FROM audit_rejectedsample WHERE writer = %s AND reason = %s ORDER BY at DESC, id DESC LIMIT %s)
"""


class Refusal(NamedTuple):
    """Events of one request that were refused for one reason."""

    reason: str
    events: int
    detail: str = ""
    body: bytes = b""
    """The first of them, as far as it is worth keeping; b"" for no sample."""


def count(writer: str, refusals: Sequence[Refusal]) -> None:
    """Count them, and keep samples. Never raises: the answer to the sender does not wait for it."""
    for one in refusals:
        metrics.rejected_events.labels(reason=one.reason).inc(one.events)
    now = datetime.now(UTC)
    try:
        _count_in_redis(writer, refusals, now)
    except Refused:
        _count_in_postgresql(writer, refusals, now.date())


def gather() -> int:
    """Bring counts and samples from Redis to PostgreSQL; return how many lines. Raises `Refused`, database errors.

    Counts are absolute, so a crash in between does no harm; a day that is over is dropped once it is kept.
    """
    connection: Any = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS)
    with refusing():
        days = sorted(text.decode() for text in connection.smembers(_name("days")))
    lines = sum(_gather_day(connection, day) for day in days)
    with refusing():
        lists = sorted(connection.smembers(_name("samples")))
    for name in lists:
        _gather_samples(connection, name)
    return lines


def _count_in_redis(writer: str, refusals: Sequence[Refusal], now: datetime) -> None:
    connection: Any = dlq.client.connect(settings.DLQ_TIMEOUT_MS)
    day = now.date().isoformat()
    with refusing(), connection.pipeline(transaction=True) as pipe:
        pipe.sadd(_name("days"), day)
        pipe.hsetnx(_name(day), "life", uuid.uuid4().hex)
        for reason, events in _totals(refusals).items():
            pipe.hincrby(_name(day), f"n|{writer}|{reason}", events)
        for one in [refusal for refusal in refusals if refusal.body][:SAMPLES_A_REQUEST]:
            name = _name(f"of|{writer}|{one.reason}")
            pipe.sadd(_name("samples"), name)
            pipe.lpush(name, _sample(one, now))
            pipe.ltrim(name, 0, SAMPLES - 1)
        pipe.execute()


def _count_in_postgresql(writer: str, refusals: Sequence[Refusal], day: date) -> None:
    counts = _totals(refusals)
    rows = [(day, writer, reason, "", events) for reason, events in counts.items()]
    try:
        with gateway().connection(TIMEOUT_S) as connection:
            connection.execute(_COUNT_HERE, [list(column) for column in zip(*rows, strict=True)])
    except (psycopg.Error, AuditError) as error:
        metrics.rejected_uncounted.inc(sum(counts.values()))
        log.error("rejected_uncounted", writer=writer, counts=dict(counts), error=type(error).__name__)


def _totals(refusals: Iterable[Refusal]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in refusals:
        counts[one.reason] += one.events
    return counts


def _sample(one: Refusal, now: datetime) -> str:
    """The first bytes of the body, as text that holds any byte; what looks like a key is never kept."""
    body = _KEY.sub(b"aw_(a key, left out)", one.body[: SAMPLE_BYTES + 100])[:SAMPLE_BYTES]
    detail = one.detail[:DETAIL_CHARACTERS]
    return json.dumps({"id": uuid.uuid4().hex, "at": now.isoformat(), "detail": detail, "body": body.hex()})


def _gather_day(connection: Any, day: str) -> int:
    with refusing():
        found = {name.decode(): value.decode() for name, value in connection.hgetall(_name(day)).items()}
    life, on = found.pop("life", ""), date.fromisoformat(day)
    rows = [(on, *name.split("|", 2)[1:], life, int(events)) for name, events in sorted(found.items())]
    if rows:
        with connections["default"].cursor() as cursor:
            cursor.execute(_TAKE_OVER, [list(column) for column in zip(*rows, strict=True)])
    if on < datetime.now(UTC).date() - timedelta(days=1):
        with refusing():
            connection.delete(_name(day))
            connection.srem(_name("days"), day)
    return len(rows)


@transaction.atomic
def _gather_samples(connection: Any, name: bytes) -> None:
    with refusing():
        rows = [json.loads(row) for row in connection.lrange(name, 0, -1)]
    _, writer, reason = name.decode().split("|", 2)
    RejectedSample.objects.bulk_create(
        [
            RejectedSample(
                id=row["id"],
                at=datetime.fromisoformat(row["at"]),
                writer=writer,
                reason=reason,
                detail=row["detail"].encode(errors="backslashreplace").decode().replace("\x00", "\ufffd"),
                body=bytes.fromhex(row["body"]),
            )
            for row in rows
        ],
        ignore_conflicts=True,
    )
    with connections["default"].cursor() as cursor:
        cursor.execute(_TRIM, [writer, reason, writer, reason, SAMPLES])
    with refusing():
        # New ones come on the left: what was read goes on the right. An emptied list is gone by itself.
        connection.ltrim(name, 0, -len(rows) - 1)


def _name(part: str) -> str:
    return dlq.client.app_key("audit", "rejected", part)


def reason_of(errors: Mapping[str, str]) -> str:
    """The first reason among the errors of one event: what is missing goes before what is wrong."""
    field, message = next(iter(errors.items()))
    if message == UNKNOWN:
        return "unknown field"
    if field in FIELDS:
        return f"{field}: {'missing' if message == MISSING else 'not valid'}"
    return next((reason for begins, reason in WHOLE.items() if message.startswith(begins)), UNREADABLE)


def by_place(errors: Mapping[str, str]) -> dict[int | None, dict[str, str]]:
    """The errors of a batch, by the place of the event; None for the batch as a whole."""
    found: dict[int | None, dict[str, str]] = {}
    for name, message in errors.items():
        place, _, field = name.partition(".")
        if place.isascii() and place.isdigit():
            found.setdefault(int(place), {})[field] = message
        else:
            found.setdefault(None, {})[name] = message
    return found
