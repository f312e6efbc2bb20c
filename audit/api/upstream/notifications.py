"""POST notifications: what became of a notification, stored as an event with the promises of any other."""

import hashlib
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.auth import writer_name
from audit.api.base import ApiView
from audit.api.openapi import upstream as openapi
from audit.api.problems import CONTENT_TYPE, problem
from audit.errors import Conflict, Invalid, Unavailable
from audit.formats import canonical, event, times
from audit.formats.event import Accepted
from audit.ingest import erasure_rules
from audit.ingest.record import record
from audit.postgres import clock
from audit.postgres.gateway import gateway
from audit.receipts import issue
from audit.search.unasked import DELIVERIES

REQUIRED = ("remediation_id", "notification_id", "recipient", "channel", "message_summary", "status", "sent_at")
OUTCOMES = {"sent": "success", "failed": "failure", "pending": "pending"}
OUTCOMES |= {"acknowledged": "success", "escalated": "success"}
_ANOTHER = b"""
SELECT 1 FROM audit_record
WHERE resource_id = %s AND writer = %s AND id <> %s AND starts_with(event_type, %s) LIMIT 1
"""
# An id that a client reads into a double stays the same.
MAX_NUMBER = 2**53 - 1


class Taken(Conflict):
    """This notification_id was used before, for another notification audit: nothing was kept."""

    field = "notification_id"


class NotificationsView(ApiView):
    """One notification audit in."""

    scopes: ClassVar = {"POST": "write"}
    works_without_postgres = ("POST",)
    takes_events = True
    many = False

    @extend_schema(**openapi.POST_NOTIFICATION)
    def post(self, request: Request) -> Response:
        sent, writer = _checked(request.data), writer_name(request)
        accepted = _accept(sent, writer)
        if _is_taken(sent["notification_id"], accepted):
            raise Taken([0])
        try:
            (recorded,) = record([accepted])
        except Conflict as conflict:
            raise Taken(conflict.positions) from None
        body = {"event_id": str(accepted.id), "receipt": issue.sign([recorded])}
        if recorded.state == "duplicate":
            return _stored_before(sent["notification_id"], request.path, body)
        if recorded.state == "parked":
            message = "notification audit queued for async processing"
            return Response(body | {"status": "accepted", "message": message, "state": "parked"}, 202)
        received = times.timestamp_text(accepted.received_at)
        body |= {"state": "stored", "digest": accepted.digest.hex(), "created_at": received, "updated_at": received}
        return Response(sent | body | {"id": accepted.id.int % MAX_NUMBER + 1}, 201)


def _stored_before(notification_id: str, path: str, receipt: dict[str, Any]) -> Response:
    """Clients of this call expect a conflict where events are answered 200."""
    detail = f"The notification audit {notification_id} is stored already, with the same content."
    fields = {"notification_id": "was used before, with the same content"}
    body = problem(409, "conflict", detail, instance=path, field_errors=fields)
    return Response(body | receipt, 409, content_type=CONTENT_TYPE)


def _checked(document: Any) -> dict[str, Any]:
    """The notification audit, which has what an event needs. What else it has is kept. Raises `Invalid`."""
    if isinstance(document, canonical.Unreadable):
        raise Invalid(document.faults)
    if not isinstance(document, dict):
        raise Invalid({"": "expected a JSON object, one notification audit"})
    errors = {
        name: "is required: text" for name in REQUIRED if not isinstance(document.get(name), str) or not document[name]
    }
    if "status" not in errors and document["status"] not in OUTCOMES:
        errors["status"] = f"must be one of {', '.join(OUTCOMES)}"
    if errors:
        raise Invalid(errors)
    return document


def _accept(sent: dict[str, Any], writer: str) -> Accepted:
    try:
        return event.accept(
            _as_event(sent, writer), writer=writer, now=clock.latest_now(), erasing=erasure_rules.in_force()
        )
    except Invalid as invalid:
        named = {"event_timestamp": "sent_at", "correlation_id": "remediation_id", "resource_id": "notification_id"}
        raise Invalid({named.get(field, field): text for field, text in invalid.errors.items()}) from None


def _as_event(sent: dict[str, Any], writer: str) -> dict[str, Any]:
    error = sent.get("error_message")
    return {
        "version": "1.0",
        "event_id": str(_event_id(sent, writer)),
        "event_type": f"{DELIVERIES}{sent['status']}",
        "event_timestamp": sent["sent_at"],
        "event_category": "notification",
        "event_action": sent["status"],
        "event_outcome": OUTCOMES[sent["status"]],
        "correlation_id": sent["remediation_id"],
        "resource_type": "Notification",
        "resource_id": sent["notification_id"],
        "error_message": error if isinstance(error, str) and error else None,
        "event_data": sent,
    }


def _event_id(sent: dict[str, Any], writer: str) -> UUID:
    """The same for the same notification of a writer, so that one that is sent again is stored once."""
    try:
        moment = datetime.fromisoformat(times.in_microseconds(sent["sent_at"]))
        milliseconds = max(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000), 0)
    except (ValueError, OverflowError):
        raise Invalid({"sent_at": "must be an RFC 3339 time"}) from None
    name = f"{writer}\n{sent['notification_id']}".encode(errors="replace")
    return event.another_id(UUID(int=milliseconds << 80), hashlib.sha256(name).digest())


def _is_taken(notification_id: str, accepted: Accepted) -> bool:
    """Whether this writer sent another notification audit with this id. Not looked for while PostgreSQL is away."""
    try:
        with gateway().connection(gateway().patience.seconds) as connection:
            parameters = (notification_id, accepted.writer, accepted.id, DELIVERIES)
            return connection.execute(_ANOTHER, parameters).fetchone() is not None
    except (psycopg.Error, Unavailable):
        return False
