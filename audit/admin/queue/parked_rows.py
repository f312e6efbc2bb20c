"""Which parked messages a page of the queue shows, and each of them as a row."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString

import dlq.history
import dlq.sample
import dlq.stream
from audit import visibility
from audit.admin.charts import queue as queue_charts
from audit.admin.display import STATES, age, badge, pretty, time_tag
from audit.formats import times
from audit.models import OWN_WRITER, Discard
from audit.models.base import visible_raw
from audit.postgres.gateway import gateway
from audit.queue import actions, corrections, discards
from audit.queue.corrections import Correction
from audit.queue.visible import may_see, visible
from dlq import policy
from dlq.message import STATES as MESSAGE_STATES
from dlq.message import Message, is_stream_id
from dlq.selection import Selection

PAGE = 50
# One page looks at this many messages for those that pass the filters.
LOOKS_PER_PAGE = 2_500
NOTHING_SAID: dict[str, Any] = {"correction": None, "corrected_at": "", "discard": None}
SPAN_MINUTES = {"1h": 60, "24h": 24 * 60, "7d": 7 * 24 * 60}


def selection(parameters: QueryDict) -> Selection:
    state = next((state for state in MESSAGE_STATES if state == parameters.get("state")), None)
    source, kind, error, text = (parameters.get(name, "").strip() for name in ("writer", "type", "error", "text"))
    # Among the filters, so that neither a page nor a count tells that something outside matches.
    where = may_see if visibility.scopes() else None
    asked = Selection(state=state, source=source, kind=kind, error=error, text=text, where=where)
    return replace(asked, since=since(parameters)[0])


def since(parameters: QueryDict) -> tuple[datetime | None, str]:
    """The time of the filter, and what is wrong with its text ("" for nothing)."""
    text = parameters.get("since", "").strip()
    try:
        return (times.read_time(text), "") if text else (None, "")
    except ValueError as error:
        return None, str(error)


def figures() -> list[SafeString]:
    makeup = dlq.sample.makeup(dlq.stream.for_drain())
    if not makeup.drawn:
        return []
    of = f" (of {makeup.drawn} drawn at random)" if makeup.drawn >= dlq.sample.DRAWN else ""
    return [
        queue_charts.bars(f"Age{of}", {age: number for age, number in makeup.ages.items() if number}),
        queue_charts.bars(f"Why{of}", dict(list(makeup.reasons.items())[:8])),
    ]


def chosen(parameters: QueryDict) -> list[Message]:
    """The messages that were ticked, or all that match, up to the cap."""
    queue = dlq.stream.for_drain()
    if parameters.get("scope") == "all":
        return list(islice(visible(selection(parameters).all(queue)), actions.MESSAGES_PER_ACT))
    ticked = (get(message_id) for message_id in parameters.getlist("id")[:PAGE])
    return [message for message in ticked if message is not None]


def span(request: HttpRequest) -> str:
    name = request.GET.get("span", "")
    return name if name in SPAN_MINUTES else "24h"


def chart(request: HttpRequest) -> str:
    minutes = SPAN_MINUTES[span(request)]
    queue = dlq.stream.for_drain()
    return queue_charts.queue_chart(dlq.history.samples(queue, minutes), minutes, queue.totals.depth())


def get(message_id: str) -> Message | None:
    message = dlq.stream.for_drain().pages.get(message_id) if is_stream_id(message_id) else None
    return next(visible([message] if message else []), None)


def row(message: Message) -> dict[str, Any]:
    return {
        "message": message,
        "age": age(message.age),
        "parked_at": time_tag(message.parked_at),
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
        return "once draining is resumed" if dlq.stream.for_drain().activity.paused() else "at the next drain"
    if message.state == "leased":
        return "leased now"
    assert message.next_try is not None
    return f"in {age(message.next_try.timestamp() - message.parked_at.timestamp() - message.age)}"


def corrections_of(messages: Sequence[Message]) -> dict[str, Correction]:
    """Which of these were corrected; while PostgreSQL is away the queue is shown without."""
    if gateway().breaker.is_open:
        return {}
    try:
        return corrections.among(messages)
    except DatabaseError:
        return {}


def said_of(message: Message) -> dict[str, Any]:
    """What people did about a message: its correction, and a discard that waits; without, while PostgreSQL is away."""
    if gateway().breaker.is_open:
        return NOTHING_SAID
    try:
        correction = corrections.find(message) if message.state == "dead" else None
        said = {"correction": correction, "discard": discards.waiting(message)}
    except DatabaseError:
        return NOTHING_SAID
    return said | {"corrected_at": time_tag(correction.at) if correction else ""}


def discarded(key: str) -> QuerySet[Discard]:
    """The discard of what had this id, where a second person approved it and the viewer may see its writer."""
    return Discard.objects.filter(visible_raw("source"), key=key, decision="discarded").order_by("-id")[:1]


def payload_id(message: Message) -> str:
    """The event_id that the payload has, where the queue calls the event by another one; else empty."""
    try:
        document = json.loads(message.body)
    except (ValueError, RecursionError):
        return ""
    own = document.get("event_id") if isinstance(document, dict) else None
    return own if isinstance(own, str) and own.lower() != message.key.lower() else ""


def is_invalid(message: Message) -> bool:
    """Whether no retry can store it: it is dead since it is no valid event."""
    return message.state == "dead" and message.last_error_class == "Invalid"


def detail(message: Message) -> dict[str, Any]:
    return row(message) | {
        "is_invalid": is_invalid(message),
        "is_correctable": message.state == "dead" and message.source != OWN_WRITER,
        "payload_id": payload_id(message),
        "title": f"Parked event {message.key}",
        "payload": pretty_body(corrections.as_sent(message)),
        "failures": [(_moment(error["at"]), error["kind"], error["error"]) for error in message.errors],
        "raw": message.body.decode("utf-8", errors="backslashreplace"),
        "digest": message.digest.hex(),
        "received_at": time_tag(message.received_at),
    }


def _moment(text: str) -> SafeString | str:
    """A time of the queue as pages show times; as it is, where it is none."""
    try:
        return time_tag(times.read_time(text))
    except ValueError:
        return text


def pretty_body(body: bytes) -> str:
    try:
        return pretty(json.loads(body)).encode(errors="backslashreplace").decode()
    except (ValueError, RecursionError):
        return "not readable as JSON: see the raw bytes"
