"""A page for people that needs neither PostgreSQL nor a login: what waits, and whether it is safe. For looking only."""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

import dlq.durability
import dlq.errors
import dlq.history
import dlq.stream
from audit import health
from audit.access.outage import pages
from audit.admin.charts import queue as queue_charts
from audit.admin.display import age
from audit.admin.queue import progress

DAY_MINUTES = 24 * 60
REFRESH_S = 5
BEATS = {
    "last_drain_at": "last drain",
    "last_tick_at": "schedule last ran",
    "last_watch_at": "drain watcher last seen",
    "last_task_at": "last task ended",
}
NO_REDIS = "Redis does not answer, so the queue cannot be read. PostgreSQL answers: events are stored at once."
NEITHER = "Neither PostgreSQL nor Redis answers: events are refused (503) unless a spool keeps them, and senders retry."


def status_page(request: HttpRequest) -> HttpResponse:
    """Figures of the queue and the state of both servers; nothing of any event."""
    servers = health.servers()
    context: dict[str, Any] = {"servers": servers.items(), "now": datetime.now(UTC), "refresh_s": REFRESH_S}
    is_up = servers["postgresql"]["ok"]
    context["may_read_queue"] = not is_up and pages.person_of(request) is not None
    try:
        context |= _queue() | {"sentence": progress.sentence(dlq.stream.for_drain(), database_up=is_up)}
    except dlq.errors.Refused:
        context |= {"unreadable": True, "sentence": NO_REDIS if is_up else NEITHER}
    response = render(request, "pages/status.html", context)
    response["Refresh"] = str(REFRESH_S)
    return response


def _queue() -> dict[str, Any]:
    queue = dlq.stream.for_drain()
    stats, hours, now = queue.totals.stats(), dlq.durability.hours_left(queue), datetime.now(UTC)
    return {
        "stats": stats,
        "oldest": age(queue.pages.oldest_age()),
        "paused": queue.activity.paused(),
        "room": "" if hours is None else f"{hours:,.0f} hours at the rate of the last one",
        "beats": [
            (BEATS.get(name, name.removesuffix("_at").replace("_", " ")), age((now - at).total_seconds()))
            for name, at in sorted(queue.activity.beats().items())
        ],
        "chart": queue_charts.queue_chart(dlq.history.samples(queue, DAY_MINUTES), DAY_MINUTES, stats.depth),
    }
