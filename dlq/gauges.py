"""The queue as Prometheus sees it: read from Redis at each scrape."""

from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dlq import durability, outage, spool, stream
from dlq.errors import Refused

TOTALS = {
    "enqueued": "Messages that ever came",
    "drained": "Messages that left because their document is stored",
    "duplicate": "Messages that left because their document was stored before",
    "quarantined": "Messages that left for the quarantine",
    "discarded": "Messages that two people gave up",
    "lost": "Messages that came and are nowhere: other hands removed them from Redis",
}


class QueueGauges(Collector):
    """The queue as it is now. Without Redis only `dlq_redis_up 0` is given."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from _of_spool()
        try:
            yield from _gauges(stream.for_drain())
        except Refused:
            yield _gauge("dlq_redis_up", "1 while Redis answers", 0)


def _gauges(queue: stream.Stream) -> list[GaugeMetricFamily]:
    durable, hours = durability.durability(), durability.hours_left(queue)
    paused = queue.activity.paused() is not None
    blips = outage.blips(queue)
    kept = queue.kept.size()
    stats, beats, alarm = queue.totals.stats(), queue.activity.beats(), queue.alarms.read()
    gauges = [
        _gauge("dlq_redis_up", "1 while Redis answers", 1),
        _gauge("dlq_depth", "Messages in the queue", stats.depth),
        _gauge("dlq_inbox", "Entries that writers parked by themselves, not in the queue yet", queue.inbox.depth()),
        _gauge("dlq_kept", "Drained messages that are kept for a store that is restored from a backup", kept.messages),
        _gauge("dlq_kept_bytes", "Bytes in them", kept.bytes),
        *_known_gauge(
            "dlq_kept_since_timestamp_seconds",
            "When the oldest of them left the queue, in seconds since 1970",
            None if kept.since is None else kept.since.timestamp(),
        ),
        _gauge("dlq_due", "Messages due or waiting", stats.due),
        _gauge("dlq_leased", "Messages that a drainer has in hand", stats.leased),
        _gauge("dlq_dead", "Messages that need a person", stats.dead),
        _gauge("dlq_oldest_age_seconds", "Age of the oldest message", queue.pages.oldest_age()),
        _gauge("dlq_durable", "1 while Redis keeps what it is given: append-only file, no eviction", float(durable.ok)),
        *_known_gauge("dlq_room_messages", "Messages of 1 KB that still fit", durable.room),
        *_known_gauge("dlq_room_hours", "Until Redis is full, at the last hour's rate", hours),
        _gauge("dlq_paused", "1 while a person keeps drains from the queue", float(paused)),
        *(_gauge(f"dlq_account_{name}", text, getattr(stats, name)) for name, text in TOTALS.items()),
        _gauge("dlq_balanced", "1 while enqueued = gone + there, each message in one place", float(stats.balanced)),
        _gauge("dlq_blips", "Outages so far that were too short and too small to be one", blips.number),
        _gauge("dlq_blip_events", "Events that were parked in them", blips.events),
        _gauge("dlq_depth_alarm", "1 while the depth is alarmed", float("depth_since" in alarm)),
    ]
    for name, at in sorted(beats.items()):
        name = f"dlq_{name.removesuffix('_at')}_timestamp_seconds"
        gauges.append(_gauge(name, "When this last ran, in seconds since 1970", at.timestamp()))
    return gauges


def _of_spool() -> Iterator[GaugeMetricFamily]:
    """Of the files that this machine holds, where it has a spool."""
    with suppress(Refused):
        files, size = (0, 0) if settings.DLQ_SPOOL_DIR is None else spool.size()
        yield _gauge("dlq_spool_files", "Local files that wait for a drain or a person", files)
        yield _gauge("dlq_spool_bytes", "Bytes in them", size)


def _known_gauge(name: str, text: str, value: float | None) -> list[GaugeMetricFamily]:
    return [] if value is None else [_gauge(name, text, value)]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
