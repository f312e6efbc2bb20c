"""What the start page says: each part of the store in one line, good or not, and what to do."""

from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import connections
from django.db.models import Q
from django.urls import reverse

import dlq.checks
import dlq.errors
import dlq.stream
from audit import query
from audit.admin.format import age
from audit.models import Record
from audit.postgres import gateway

STALE_S = 180


class Part(NamedTuple):
    """One line of the start page. `level` is ok, warning or error."""

    name: str
    level: str
    value: str
    remark: str = ""
    url: str = ""


def parts(user: Any) -> list[Part]:
    """The state of the store, for whoever may look at it."""
    return [*(_records() if user.has_perm("audit.view_record") else []), *_postgresql(), *_queue(), *_redis()]


def about_how_many() -> str:
    """The planner's idea of how many records there are; it costs nothing, and is called an estimate."""
    with connections["reader"].cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint "
            "FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'audit_record'::regclass"
        )
        (estimate,) = cursor.fetchone()
    counted, capped = query.capped_count(Q())
    return f"≈ {intcomma(max(estimate, counted))}" if capped else intcomma(counted)


def _records() -> list[Part]:
    last = Record.objects.order_by("-event_timestamp", "-id").first()
    found = [Part("Records", "ok", about_how_many(), url=reverse("admin:audit_record_changelist"))]
    if last is None:
        return [*found, Part("Last record", "warning", "none yet", "Create a writer and send an event.")]
    when = age((datetime.now(UTC) - last.event_timestamp).total_seconds())
    url = reverse("admin:audit_record_change", args=[last.pk])
    return [*found, Part("Last record", "ok", f"{when} ago", last.event_type, url)]


def _postgresql() -> list[Part]:
    breaker = gateway().breaker
    with connections["reader"].cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
    if breaker.is_open:
        return [Part("PostgreSQL", "error", version, f"The breaker is open ({breaker.reason}): events are parked.")]
    return [Part("PostgreSQL", "ok", version, "The breaker is closed: events are stored at once.")]


def _queue() -> list[Part]:
    url = reverse("admin:audit_parked_changelist")
    try:
        queue = dlq.stream.for_drain()
        stats, oldest, beats = queue.stats(), queue.oldest_age(), queue.beats()
    except dlq.errors.Refused:
        return [Part("Dead letter queue", "error", "not readable", "Redis does not answer.", url)]
    level = "error" if stats.depth > settings.DLQ_ALERT_DEPTH else "warning" if stats.depth else "ok"
    remark = f"the oldest for {age(oldest)}" if stats.depth else "Nothing waits."
    found = [Part("Dead letter queue", level, f"{intcomma(stats.depth)} parked", remark, url)]
    if stats.dead:
        found.append(
            Part(
                "Dead events",
                "error",
                intcomma(stats.dead),
                "They need a person: look, then retry.",
                f"{url}?state=dead",
            )
        )
    if not stats.balanced:
        found.append(Part("Queue indexes", "error", "not balanced", "The indexes disagree with the stream."))
    return [*found, _beat("Drain watcher", beats.get("last_watch_at")), _beat("Schedule", beats.get("last_tick_at"))]


def _beat(name: str, at: datetime | None) -> Part:
    if at is None:
        return Part(name, "warning", "never ran", "Is the worker running?")
    seconds = (datetime.now(UTC) - at).total_seconds()
    if seconds > STALE_S:
        return Part(name, "error", f"{age(seconds)} ago", "It should run each minute: is the worker running?")
    return Part(name, "ok", f"{age(seconds)} ago")


def _redis() -> list[Part]:
    findings = dlq.checks.durability(None, databases=["default"])
    if not findings:
        return [Part("Redis", "ok", "durable", "Append-only file, fsync at every write, nothing evicted.")]
    worst = max(findings, key=attrgetter("level"))
    return [Part("Redis", "error", worst.msg, str(worst.hint))]
