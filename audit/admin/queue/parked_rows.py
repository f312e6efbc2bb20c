"""What the pages of the queue show: which messages were asked for, and each as a row."""

import json
from datetime import datetime
from itertools import islice
from typing import Any

from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString

import dlq.history
import dlq.sample
import dlq.stream
from audit.admin.charts import queue as queue_charts
from audit.admin.display import STATES, age, badge, pretty, time_tag
from audit.formats import times
from audit.queue import actions
from audit.queue.visible import visible
from dlq import policy
from dlq.message import STATES as MESSAGE_STATES
from dlq.message import Message, is_stream_id
from dlq.selection import Selection

PAGE = 50
LOOKS = 2_500
"""How many messages one page looks at for those that pass the filters."""
SPANS = {"1h": 60, "24h": 24 * 60, "7d": 7 * 24 * 60}


def selection(parameters: QueryDict) -> Selection:
    asked = parameters.get("state", "")
    state = next((one for one in MESSAGE_STATES if one == asked), None)
    source, kind, error = (parameters.get(name, "").strip() for name in ("writer", "type", "error"))
    return Selection(state=state, source=source, kind=kind, error=error, since=since(parameters)[0])


def since(parameters: QueryDict) -> tuple[datetime | None, str]:
    """From when on, and what is wrong with what was asked for."""
    text = parameters.get("since", "").strip()
    try:
        return (times.read_time(text), "") if text else (None, "")
    except ValueError as error:
        return None, str(error)


def figures() -> list[SafeString]:
    """What the queue is made of, drawn."""
    found = dlq.sample.makeup(dlq.stream.for_drain())
    if not found.drawn:
        return []
    of = f" (of {found.drawn} drawn at random)" if found.drawn >= dlq.sample.DRAWN else ""
    return [
        queue_charts.bars(f"Age{of}", found.ages),
        queue_charts.bars(f"Why{of}", dict(list(found.reasons.items())[:8])),
    ]


def chosen(parameters: QueryDict) -> list[Message]:
    """The messages that were ticked, or all that match, up to the cap."""
    queue = dlq.stream.for_drain()
    if parameters.get("scope") == "all":
        return list(islice(visible(selection(parameters).all(queue)), actions.CAP))
    found = (get(message_id) for message_id in parameters.getlist("id")[:PAGE])
    return [message for message in found if message is not None]


def span(request: HttpRequest) -> str:
    asked = request.GET.get("span", "")
    return asked if asked in SPANS else "24h"


def chart(request: HttpRequest) -> str:
    minutes = SPANS[span(request)]
    return queue_charts.queue_chart(dlq.history.samples(dlq.stream.for_drain(), minutes), minutes)


def get(message_id: str) -> Message | None:
    found = dlq.stream.for_drain().pages.get(message_id) if is_stream_id(message_id) else None
    return next(visible([found] if found else []), None)


def row(message: Message) -> dict[str, Any]:
    return {
        "message": message,
        "age": age(message.age),
        "state": badge(STATES[message.state], message.state),
        "attempts": f"{message.attempts}/{policy.MAX_RETRIES}",
        "next_try": _next_try(message),
        "size": len(message.body),
        "url": reverse("admin:audit_parked_change", args=[message.id]),
    }


def _next_try(message: Message) -> str:
    if message.state == "dead":
        return "only by a person"
    if message.state == "due":
        return "at the next drain"
    if message.state == "leased":
        return "in hand now"
    assert message.next_try is not None
    return f"in {age(message.next_try.timestamp() - message.parked_at.timestamp() - message.age)}"


def detail(message: Message) -> dict[str, Any]:
    return row(message) | {
        "title": f"Parked event {message.key}",
        "payload": _payload(message.body),
        "raw": message.body.decode("utf-8", errors="backslashreplace"),
        "digest": message.digest.hex(),
        "parked_at": time_tag(message.parked_at),
        "received_at": time_tag(message.received_at),
    }


def _payload(body: bytes) -> str:
    try:
        return pretty(json.loads(body)).encode(errors="backslashreplace").decode()
    except (ValueError, RecursionError):
        return "not readable as JSON: see the raw bytes"
