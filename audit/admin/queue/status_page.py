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
from audit.admin.charts import queue as queue_charts
from audit.admin.display import age

DAY_MINUTES = 24 * 60


def status_page(request: HttpRequest) -> HttpResponse:
    """Figures of the queue and the state of both servers; nothing of any event."""
    context: dict[str, Any] = {"servers": health.servers().items(), "now": datetime.now(UTC)}
    try:
        context |= _queue()
    except dlq.errors.Refused:
        context["unreadable"] = True
    return render(request, "pages/status.html", context)


def _queue() -> dict[str, Any]:
    queue = dlq.stream.for_drain()
    stats, hours, now = queue.totals.stats(), dlq.durability.hours_left(queue), datetime.now(UTC)
    return {
        "stats": stats,
        "oldest": age(queue.pages.oldest_age()),
        "paused": queue.activity.paused(),
        "room": "" if hours is None else f"{hours:,.0f} hours at the rate of the last one",
        "beats": [
            (name.removesuffix("_at").replace("_", " "), age((now - at).total_seconds()))
            for name, at in sorted(queue.activity.beats().items())
        ],
        "chart": queue_charts.queue_chart(dlq.history.samples(queue, DAY_MINUTES), DAY_MINUTES),
    }
