"""POST and GET of events: parse, call one verb, render."""

from typing import Any, ClassVar
from uuid import UUID

import structlog
from django.db import DatabaseError
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

import dlq.errors
import dlq.stream
from audit import visibility
from audit.api.auth import writer_name
from audit.api.base import ApiView
from audit.api.openapi import events as openapi
from audit.errors import Invalid, Unavailable
from audit.formats import canonical, event, times
from audit.formats.event import Accepted
from audit.ingest.record import Recorded, record
from audit.models import Record
from audit.postgres import clock, gateway
from audit.queue import visible
from audit.receipts import issue
from audit.search import query, unasked
from dlq.authenticity import is_authentic
from dlq.message import Message

log = structlog.get_logger(__name__)

MESSAGES = {
    "stored": "audit event stored",
    "duplicate": "audit event was stored before: the same id, the same content",
    "parked": "audit event queued for async processing",
}


class EventsView(ApiView):
    """One event in, or a page of records out."""

    scopes: ClassVar = {"POST": "write", "GET": "read"}
    works_without_postgres = ("POST",)
    takes_events = True
    many = False

    @extend_schema(**openapi.POST_EVENT)
    def post(self, request: Request) -> Response:
        accepted = _accept(request.data, writer_name(request))
        structlog.contextvars.bind_contextvars(event_id=str(accepted.id))
        (recorded,) = record([accepted])
        log.debug("event_recorded", state=recorded.state)
        return _receipt(recorded)

    @extend_schema(**openapi.GET_EVENTS)
    def get(self, request: Request) -> Response:
        parameters = request.query_params.dict()
        search = query.parse(parameters)
        query.admit(search, parameters)
        asked_for = unasked.left_out(parameters)
        records, has_more = query.page(search, asked_for)
        # A count that takes too long gives way to what is known: that there are so many at least.
        total, capped = query.count(query.matching(search, asked_for)) or (search.offset + len(records), True)
        pagination = {
            "limit": search.limit,
            "offset": search.offset,
            "total": total,
            "total_is_capped": capped,
            "has_more": has_more,
            "next": query.cursor(records[-1]) if has_more else None,
        }
        return Response({"data": [row.as_json() for row in records], "pagination": pagination})


class BatchView(ApiView):
    """Many events at once: all of them, or none."""

    scopes: ClassVar = {"POST": "write"}
    works_without_postgres = ("POST",)
    takes_events = many = True

    @extend_schema(**openapi.POST_BATCH)
    def post(self, request: Request) -> Response:
        recorded = record(_accept_all(request.data, writer_name(request)))
        ids = [str(item.event.id) for item in recorded]
        states = {item.state for item in recorded}
        body: dict[str, Any] = {"event_ids": ids, "count": len(ids), "receipt": issue.sign(recorded)}
        if "parked" in states:
            status = 202 if _may_be_sent_again(request.data) else 201
            return Response(body | {"status": "accepted", "message": MESSAGES["parked"], "state": "parked"}, status)
        message = f"{len(ids)} audit events stored"
        status = 200 if states == {"duplicate"} else 201
        return Response(body | {"message": message, "state": "stored"}, status)


class EventView(ApiView):
    """One record, or the event as it waits in the DLQ."""

    scopes: ClassVar = {"GET": "read"}
    works_without_postgres = ("GET", "HEAD")

    @extend_schema(**openapi.GET_EVENT)
    def get(self, request: Request, event_id: UUID) -> Response:
        try:
            gateway.require()
            return Response(Record.objects.with_state().get(id=event_id).as_json())
        except (Record.DoesNotExist, DatabaseError, Unavailable) as error:
            # What waits in the queue can be shown while PostgreSQL is down.
            if (parked := _parked(event_id)) is not None:
                return Response(parked)
            if not isinstance(error, Record.DoesNotExist):
                raise
            raise NotFound(f"No event has the id {event_id}.") from None


def _may_be_sent_again(documents: Any) -> bool:
    """Whether each event has an id of its sender's. A client that reads 202 as a failure would store others twice."""
    return all(isinstance(document, dict) and document.get("event_id") for document in documents)


def _receipt(recorded: Recorded) -> Response:
    body: dict[str, Any] = {"event_id": str(recorded.event.id), "message": MESSAGES[recorded.state]}
    body["receipt"] = issue.sign([recorded])
    if recorded.state == "parked":
        return Response(body | {"status": "accepted", "state": "parked"}, status=202)
    body |= {
        "event_timestamp": times.timestamp_text(recorded.event.event_timestamp),
        "state": "stored",
        "digest": recorded.event.digest.hex(),
    }
    return Response(body, status=201 if recorded.state == "stored" else 200)


def _accept(document: Any, writer: str) -> Accepted:
    """Accept an event. One from the future is refused by the clock that is furthest ahead: ours may be behind."""
    try:
        return event.accept(document, writer=writer, now=clock.local_now())
    except Invalid as invalid:
        if not any(event.AHEAD in message for message in invalid.errors.values()):
            raise
    return event.accept(document, writer=writer, now=clock.latest_now())


def _accept_all(documents: Any, writer: str) -> list[Accepted]:
    if not isinstance(documents, list) or not 1 <= len(documents) <= event.MAX_BATCH:
        raise Invalid({"": f"expected a JSON array of 1 to {event.MAX_BATCH} events (the batch size limit)"})
    accepted: list[Accepted] = []
    errors: dict[str, str] = {}
    for place, document in enumerate(documents):
        try:
            accepted.append(_accept(document, writer))
        except Invalid as invalid:
            errors |= {f"{place}.{field}".rstrip("."): message for field, message in invalid.errors.items()}
    errors |= _twice(accepted) if not errors else {}
    if errors:
        raise Invalid(errors)
    return accepted


def _twice(accepted: list[Accepted]) -> dict[str, str]:
    """An id may stand twice in a batch only with the same content."""
    first: dict[UUID, bytes] = {}
    return {
        f"{place}.event_id": "stands in this batch before, with other content"
        for place, item in enumerate(accepted)
        if first.setdefault(item.id, item.digest) != item.digest
    }


def _parked(event_id: UUID) -> dict[str, Any] | None:
    try:
        message = dlq.stream.default().pages.find(str(event_id))
    except dlq.errors.Refused:
        return None
    if message is None or not visible.may_see(message):
        return None
    visibility.note_read([message.key])
    facts = {
        "event_id": message.key,
        "state": "parked",
        "digest": message.digest.hex(),
        "received_at": times.timestamp_text(message.received_at),
        "parked_at": times.timestamp_text(message.parked_at),
        "stored_at": None,
    }
    if message.state == "dead":
        facts["dead"] = message.last_error_class
    return _content(message) | facts


def _content(message: Message) -> dict[str, Any]:
    if not is_authentic(message):
        return {"damaged": "this store did not park it as it is: the content is not shown"}
    if not message.digest_ok:
        return {"damaged": "the content does not match the digest, and is not shown"}
    try:
        return dict(canonical.loads(message.body))
    except (canonical.NotCanonical, TypeError, ValueError):
        return {"damaged": "the content cannot be read, and is not shown"}
