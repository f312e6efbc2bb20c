"""Count refused events per day, writer and reason, and keep a few of them to look at.

Counted in Redis, in one round trip, at a refusal only; without Redis in PostgreSQL; without both in the log and the
metric of this process alone. A task brings counts and samples to PostgreSQL. The only commands to Redis outside `dlq`
beside `access/api_keys.py`.
"""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.db import transaction

import dlq.client
from audit import metrics
from audit.errors import AuditError
from audit.ingest import rejections
from audit.ingest.rejections import Refusal
from audit.models import RejectedSample
from audit.postgres import sql
from audit.postgres.gateway import gateway
from audit.safe_text import storable
from dlq.errors import Refused
from dlq.scripts import refusing

log = structlog.get_logger(__name__)

# The newest of each writer and reason are kept.
SAMPLES_KEPT = 20
SAMPLE_BYTES = 2048
SAMPLES_PER_REQUEST = 5
DETAIL_CHARACTERS = 500
TIMEOUT_S = 0.5
_API_KEY = re.compile(rb"aw_[A-Za-z0-9_-]{8,}")
_ADD = """
INSERT INTO audit_rejection (day, writer, reason, life, events)
SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::text[], %s::bigint[])
ON CONFLICT (day, writer, reason, life) DO UPDATE SET events =
"""
_COUNT_HERE = (_ADD + "audit_rejection.events + excluded.events").encode()
_COPY = _ADD + "greatest(audit_rejection.events, excluded.events)"
_TRIM = """
DELETE FROM audit_rejectedsample WHERE writer = %s AND reason = %s AND id NOT IN (
    SELECT id FROM audit_rejectedsample WHERE writer = %s AND reason = %s ORDER BY at DESC, id DESC LIMIT %s)
"""


def count(writer: str, refusals: Sequence[Refusal]) -> None:
    """Count them, and keep samples. Never raises: the answer to the sender does not wait for it."""
    for refusal in refusals:
        if refusal.reason in rejections.NO_EVENTS:
            continue
        metrics.rejected_events.labels(reason=refusal.reason).inc(refusal.events)
    now = datetime.now(UTC)
    try:
        _count_in_redis(writer, refusals, now)
    except Refused:
        _count_in_postgresql(writer, refusals, now.date())


def gather() -> int:
    """Bring counts and samples from Redis to PostgreSQL; return how many lines. Raises `Refused`, database errors.

    Counts are absolute, so a crash in between does no harm; a day that is over is dropped once it is kept.
    """
    connection: Any = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS, "audit")
    with refusing():
        days = sorted(text.decode() for text in connection.smembers(_key("days")))
    lines = sum(_gather_day(connection, day) for day in days)
    with refusing():
        lists = sorted(connection.smembers(_key("samples")))
    for name in lists:
        _gather_samples(connection, name)
    return lines


def _count_in_redis(writer: str, refusals: Sequence[Refusal], now: datetime) -> None:
    connection: Any = dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit")
    day = now.date().isoformat()
    with refusing(), connection.pipeline(transaction=True) as pipe:
        pipe.sadd(_key("days"), day)
        pipe.hsetnx(_key(day), "life", uuid.uuid4().hex)
        for reason, events in _totals(refusals).items():
            pipe.hincrby(_key(day), f"n|{writer}|{reason}", events)
        for refusal in [refusal for refusal in refusals if refusal.body][:SAMPLES_PER_REQUEST]:
            name = _key(f"of|{writer}|{refusal.reason}")
            pipe.sadd(_key("samples"), name)
            pipe.lpush(name, _sample(refusal, now))
            pipe.ltrim(name, 0, SAMPLES_KEPT - 1)
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
    for refusal in refusals:
        counts[refusal.reason] += refusal.events
    return counts


def _sample(refusal: Refusal, now: datetime) -> str:
    """The first bytes of the body, as text that holds any byte; what looks like a key is never kept."""
    body = _API_KEY.sub(b"aw_(a key, left out)", refusal.body[: SAMPLE_BYTES + 100])[:SAMPLE_BYTES]
    detail = refusal.detail[:DETAIL_CHARACTERS]
    return json.dumps({"id": uuid.uuid4().hex, "at": now.isoformat(), "detail": detail, "body": body.hex()})


def _gather_day(connection: Any, day: str) -> int:
    with refusing():
        counts = {name.decode(): value.decode() for name, value in connection.hgetall(_key(day)).items()}
    life, on = counts.pop("life", ""), date.fromisoformat(day)
    rows = [(on, *name.split("|", 2)[1:], life, int(events)) for name, events in sorted(counts.items())]
    if rows:
        sql.run(_COPY, [list(column) for column in zip(*rows, strict=True)])
    if on < datetime.now(UTC).date() - timedelta(days=1):
        with refusing():
            connection.delete(_key(day))
            connection.srem(_key("days"), day)
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
                detail=storable(row["detail"]),
                body=bytes.fromhex(row["body"]),
            )
            for row in rows
        ],
        ignore_conflicts=True,
    )
    sql.run(_TRIM, [writer, reason, writer, reason, SAMPLES_KEPT])
    with refusing():
        # New ones come on the left: what was read goes on the right. An emptied list is gone by itself.
        connection.ltrim(name, 0, -len(rows) - 1)


def _key(part: str) -> str:
    return dlq.client.app_key("audit", "rejected", part)
