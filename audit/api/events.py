"""POST and GET of events: parse, call one verb, render."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

import dlq.errors
import dlq.stream
from audit import visibility
from audit.access import limits
from audit.api.auth import writer_name
from audit.api.base import Answer, ApiView, is_lenient, parameters, with_preference
from audit.api.openapi import events as openapi
from audit.api.parsers import text_of
from audit.errors import Conflict, Invalid, Unavailable
from audit.evidence.download import spooled
from audit.formats import canonical, event, times
from audit.formats.canonical import Unreadable
from audit.formats.event import Accepted
from audit.ingest import again, invalid
from audit.ingest.accept import accept
from audit.ingest.invalid import InvalidEvent
from audit.ingest.record import Recorded, record
from audit.ledger import purged
from audit.models import Record
from audit.postgres import gateway
from audit.queue import corrections, visible
from audit.receipts import issue
from audit.schemas import in_force
from audit.search import query, unasked
from dlq.authenticity import is_authentic
from dlq.message import Message

log = structlog.get_logger(__name__)

MESSAGES = {
    "stored": "audit event stored",
    "duplicate": "audit event was stored before: the same id, the same content",
    "parked": "audit event queued for async processing",
    "dead": "not valid: kept as it came in the dead letter queue, where a person corrects it",
}
CONFLICT = {"event_id": "was used before with other content"}
# What is wrong with the events of a batch, by place and field.
Errors = dict[int, dict[str, str]]


class EventsView(ApiView):
    """One event in, or a page of records out."""

    scopes: ClassVar = {"POST": "write", "GET": "read"}
    works_without_postgres = ("POST",)
    takes_events = True
    many = False

    @extend_schema(**openapi.POST_EVENT)
    def post(self, request: Request) -> HttpResponse:
        try:
            accepted = _accept(request.data, writer_name(request))
            structlog.contextvars.bind_contextvars(event_id=str(accepted.id))
            (recorded,) = record([accepted])
        except (Invalid, Conflict) as error:
            if not is_lenient(request):
                raise
            return _keep_single(request, error)
        log.debug("event_recorded", state=recorded.state)
        return with_preference(request, _receipt(recorded))

    @extend_schema(**openapi.GET_EVENTS)
    def get(self, request: Request) -> HttpResponseBase:
        asked = {name: value for name, value in parameters(request).items() if name != "format"}
        search = query.parse(asked)
        query.admit(search, asked)
        asked_for = unasked.left_out(asked)
        ids, has_more = query.page_ids(search, asked_for)
        # A count that takes too long gives way to what is known: that there are so many at least.
        total, capped = query.count(query.matching(search, asked_for)) or (search.offset + len(ids), True)
        pagination = {
            "limit": search.limit,
            "offset": search.offset,
            "total": total,
            "total_is_capped": capped,
            "has_more": has_more,
        }
        return spooled(_as_json(ids, pagination), "application/json")


class BatchView(ApiView):
    """Many events at once: all of them, or none; or, where that is asked for, what is valid."""

    scopes: ClassVar = {"POST": "write"}
    works_without_postgres = ("POST",)
    takes_events = many = True

    @extend_schema(**openapi.POST_BATCH)
    def post(self, request: Request) -> HttpResponse:
        accepted, errors = _accept_each(request.data, writer_name(request))
        if is_lenient(request):
            return _keep_each(request, accepted, errors)
        if errors:
            raise Invalid(_by_place(errors))
        body, status = _receipts(request, record(list(accepted.values())))
        return Answer(body, status)


class EventView(ApiView):
    """One record, or the event as it waits in the DLQ."""

    scopes: ClassVar = {"GET": "read"}
    works_without_postgres = ("GET", "HEAD")

    @extend_schema(**openapi.GET_EVENT)
    def get(self, request: Request, event_id: UUID) -> Response:
        try:
            gateway.require()
            return Response(_stored(event_id))
        except (Record.DoesNotExist, DatabaseError, Unavailable) as error:
            # What waits in the queue can be shown while PostgreSQL is down.
            if (parked := _parked(event_id)) is not None:
                return Response(parked)
            if not isinstance(error, Record.DoesNotExist):
                raise
        try:
            return Response(_stored(event_id))  # a drain may have moved it between the two looks
        except Record.DoesNotExist:
            raise NotFound(purged.absent(event_id)) from None


def _as_json(ids: Sequence[UUID], pagination: dict[str, Any]) -> Iterator[bytes]:
    """Yield a page of these records as JSON, a record at a time, and where the next one begins."""
    write, last = JSONRenderer().render, None
    yield b'{"data":['
    for portion in query.in_portions(ids):
        for row in portion:
            yield (b"," if last else b"") + write(row.as_json())
            last = row
    after = query.cursor(last) if pagination["has_more"] and last else None
    yield b'],"pagination":' + write(pagination | {"next": after}) + b"}"


def _may_be_sent_again(documents: Any) -> bool:
    """Whether each event has an id of its sender's. A client that reads 202 as a failure would store others twice."""
    return all(isinstance(document, dict) and document.get("event_id") for document in documents)


def _receipt(recorded: Recorded) -> Answer:
    body: dict[str, Any] = {"event_id": str(recorded.event.id), "message": MESSAGES[recorded.state]}
    body["receipt"] = issue.sign([recorded])
    if recorded.state == "parked":
        return Answer(body | {"status": "accepted", "state": "parked"}, 202)
    body |= {
        "event_timestamp": times.timestamp_text(recorded.event.event_timestamp),
        "state": "stored",
        "digest": recorded.event.digest.hex(),
    }
    return Answer(body, 201 if recorded.state == "stored" else 200)


def _accept(document: Any, writer: str) -> Accepted:
    """Accept an event that fits the schema of its type, where there is one. Raises `Invalid`."""
    accepted = accept(document, writer)
    in_force.check(document, accepted.id if document.get("event_id") else None)
    return accepted


def _accept_each(documents: Any, writer: str) -> tuple[dict[int, Accepted], Errors]:
    """Return the valid events of a batch by place, and what is wrong with each of the others. Raises `Invalid`."""
    if isinstance(documents, Unreadable):
        raise Invalid(documents.faults)
    if not isinstance(documents, list) or not 1 <= len(documents) <= event.MAX_BATCH:
        raise Invalid({"": f"expected a JSON array of 1 to {event.MAX_BATCH} events (the batch size limit)"})
    accepted: dict[int, Accepted] = {}
    errors: Errors = {}
    first: dict[UUID, Accepted] = {}
    for place, document in enumerate(documents):
        try:
            item = _accept(document, writer)
        except Invalid as error:
            errors[place] = error.errors
            continue
        # An id may stand twice in a batch only with the same content.
        before = first.setdefault(item.id, item)
        if again.is_same(before, item):
            accepted[place] = before
        else:
            errors[place] = {"event_id": "stands in this batch before, with other content"}
    return accepted, errors


def _by_place(errors: Errors) -> dict[str, str]:
    return {
        f"{place}.{field}".rstrip("."): text for place, of_event in errors.items() for field, text in of_event.items()
    }


def _receipts(request: Request, recorded: list[Recorded]) -> tuple[dict[str, Any], int]:
    """The answer for events that were recorded together, and its status."""
    ids = [str(item.event.id) for item in recorded]
    states = {item.state for item in recorded}
    body: dict[str, Any] = {"event_ids": ids, "count": len(ids), "receipt": issue.sign(recorded)}
    if "parked" in states:
        status = 202 if _may_be_sent_again(request.data) else 201
        return body | {"status": "accepted", "message": MESSAGES["parked"], "state": "parked"}, status
    message = f"{len(ids)} audit events stored"
    status = 200 if states == {"duplicate"} else 201
    return body | {"message": message, "state": "stored"}, status


def _keep_single(request: Request, error: Invalid | Conflict) -> HttpResponse:
    """Keep one event that is not valid, as it came, and answer 202. Raises the error again where that may not be."""
    errors = error.errors if isinstance(error, Invalid) else CONFLICT
    (event_id,) = _keep(request, [InvalidEvent(text_of(request._request), errors)], error)
    body = {"event_id": str(event_id), "status": "accepted", "message": MESSAGES["dead"], "state": "dead"}
    return with_preference(request, Answer(body | {"receipt": None, "field_errors": errors}, 202))


def _keep_each(request: Request, accepted: dict[int, Accepted], errors: Errors) -> HttpResponse:
    """Record what is valid of a batch, keep what is not, and answer what became of each."""
    raw = canonical.texts(text_of(request._request)) if errors else []
    ids: dict[int, UUID] = _keep_places(request, raw, errors)
    recorded: list[Recorded] = []
    while accepted:
        try:
            recorded = record(list(accepted.values()))
            break
        except Conflict as conflict:
            places = list(accepted)
            refused = {places[position]: CONFLICT for position in conflict.positions}
            ids |= _keep_places(request, canonical.texts(text_of(request._request)), refused)
            errors |= refused
            accepted = {place: item for place, item in accepted.items() if place not in refused}
    body, status = _receipts(request, recorded)
    states = {
        place: "parked" if item.state == "parked" else "stored" for place, item in zip(accepted, recorded, strict=True)
    }
    ids |= {place: item.id for place, item in accepted.items()}
    if errors:
        body["message"] += f"; {len(errors)} are not valid, and wait for a person in the dead letter queue"
    if not recorded:
        body |= {"status": "accepted", "message": MESSAGES["dead"], "state": "dead", "receipt": None}
        status = 202
    body |= {"event_ids": [str(ids[place]) for place in sorted(ids)], "count": len(ids)}
    body["events"] = [
        {"event_id": str(ids[place]), "state": states.get(place, "dead")}
        | ({"field_errors": errors[place]} if place in errors else {})
        for place in sorted(ids)
    ]
    return with_preference(request, Answer(body, status))


def _keep_places(request: Request, raw: list[str], errors: Errors) -> dict[int, UUID]:
    if not errors:
        return {}
    events = [InvalidEvent(raw[place].encode(), of_event) for place, of_event in errors.items()]
    return dict(zip(errors, _keep(request, events, Invalid(_by_place(errors))), strict=True))


def _keep(request: Request, events: list[InvalidEvent], refusal: Exception) -> list[UUID]:
    """Keep events that are not valid; where their writer has used up what is kept of that, raise the refusal."""
    writer = writer_name(request)
    if not limits.may_keep_invalid(writer, len(events), sum(len(each.raw) for each in events)):
        log.warning("invalid_events_refused", writer=writer, events=len(events))
        raise refusal
    return invalid.keep(events, writer=writer)


def _stored(event_id: UUID) -> dict[str, Any]:
    return Record.objects.with_state().get(id=event_id).as_json()


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
    if invalid.is_kept(message.kind):
        return {"invalid": message.last_error or "kept as it came: it is not valid"}
    if not is_authentic(message):
        return {"damaged": "this store did not park it as it is: the content is not shown"}
    if not message.digest_ok:
        return {"damaged": "the content does not match the digest, and is not shown"}
    try:
        return dict(canonical.loads(corrections.as_sent(message)))
    except (canonical.NotCanonical, TypeError, ValueError):
        return {"damaged": "the content cannot be read, and is not shown"}
