"""What the OpenAPI description says of events."""

from drf_spectacular.utils import OpenApiParameter

from audit.api.openapi.blocks import (
    ANY_MEMBERS,
    NULLABLE,
    OF_BODIES,
    TEXT,
    declared,
    object_schema,
    operation,
    parameter,
    responses,
)
from audit.formats import canonical, event
from audit.formats.erasable.commitments import ERASED, MEMBER, SALTS
from audit.search import query

STATE = {"type": "string", "enum": ["stored", "parked", "sealed", "dead"]}
ERRORS = {"type": "object", "additionalProperties": TEXT}
PREFER = OpenApiParameter(
    "Prefer",
    TEXT,
    OpenApiParameter.HEADER,
    description="handling=lenient: keep what is valid; what is not is kept as it came, for a person to correct",
)
EVENT = declared(event.Event)
_NOTHING = {"type": "null"}
_NOT_AHEAD = "at most 60 minutes ahead of the server's clock"
_UUID7 = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
# What the declaration leaves to code.
EVENT["properties"] |= {
    "event_timestamp": EVENT["properties"]["event_timestamp"] | {"description": f"cut to microseconds; {_NOT_AHEAD}"},
    "event_id": {
        "anyOf": [{"type": "string", "format": "uuid", "pattern": _UUID7}, _NOTHING],
        "description": f"a UUIDv7 of a time {_NOT_AHEAD}",
    },
    "actor_ip": {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}, _NOTHING]},
    "event_data": {
        "type": "object",
        "description": f"at most {event.MAX_DATA_BYTES // 1024} KiB and {canonical.MAX_DEPTH} levels",
    }
    | ANY_MEMBERS,
}
# Read, and left out.
SENT = EVENT | {
    "properties": EVENT["properties"]
    | {
        event.PARENT_DATE: {
            "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}, {"type": "null"}]
        }
    }
}
RECORD = object_schema(
    EVENT["properties"]
    | {"writer": TEXT, "state": STATE, "digest": TEXT, "received_at": TEXT}
    | dict.fromkeys(("parked_at", "stored_at"), NULLABLE)
    # By path; only of a record of which something can be erased.
    | dict.fromkeys((MEMBER, SALTS, ERASED), {"type": "object"} | ANY_MEMBERS),
    required=[*event.REQUIRED, "event_id", "writer", "state", "digest", "received_at"],
)

_SIGNED = {"state": STATE, "receipt": NULLABLE}
RECEIPT = object_schema(dict.fromkeys(("event_id", "event_timestamp", "message", "digest"), TEXT) | _SIGNED)
QUEUED = object_schema(
    dict.fromkeys(("event_id", "message", "status"), TEXT) | _SIGNED | {"field_errors": ERRORS},
    required=["event_id", "message", "status", *_SIGNED],
)
_EACH = object_schema({"event_id": TEXT, "state": STATE, "field_errors": ERRORS}, required=["event_id", "state"])
_ALL = {"event_ids": {"type": "array", "items": TEXT}, "count": {"type": "integer"}, "message": TEXT} | _SIGNED
BATCH = object_schema(_ALL | {"events": {"type": "array", "items": _EACH}}, required=list(_ALL))

PAGE = object_schema(
    {
        "data": {"type": "array", "items": RECORD},
        "pagination": object_schema(
            {name: {"type": "integer"} for name in ("limit", "offset", "total")}
            | {name: {"type": "boolean"} for name in ("total_is_capped", "has_more")}
            | {"next": {"type": ["string", "null"]}}
        ),
    }
)

_OF_WRITING = {409: "The event id is used already, with other content", **OF_BODIES}
POST_EVENT = operation(
    "record_event",
    responses(
        {
            201: (RECEIPT, "Stored: durable in PostgreSQL"),
            200: (RECEIPT, "The same receipt for the same id and content"),
            202: (QUEUED, "Parked: durable in the dead letter queue, on its way to PostgreSQL; or kept, not valid"),
        },
        _OF_WRITING,
    ),
    body=SENT,
    parameters=[PREFER],
)
POST_BATCH = operation(
    "record_batch",
    responses(
        {
            201: (BATCH, "All stored, in one transaction; asked leniently, all that are valid"),
            200: (BATCH, "All were stored before"),
            202: (BATCH, "All parked, or kept though not valid; parked is 201 where not every event came with its id"),
        },
        _OF_WRITING,
    ),
    body={"type": "array", "items": SENT, "minItems": 1, "maxItems": event.MAX_BATCH},
    parameters=[PREFER],
)
GET_EVENTS = operation(
    "find_events",
    responses({200: (PAGE, "A page, newest first")}, {}),
    parameters=[parameter(name) for name in query.PARAMETERS],
)
GET_EVENT = operation(
    "get_event", responses({200: (RECORD, "The record with its state")}, {404: "No event has this id"})
)
