"""What the OpenAPI description says of calls of Kubernaut's Data Storage service."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from audit.api.openapi.blocks import (
    ANY_MEMBERS,
    INTEGER,
    NULLABLE,
    OF_BODIES,
    PROBLEM,
    TEXT,
    TEXT_SENT,
    object_schema,
    operation,
    responses,
)
from audit.api.problems import CONTENT_TYPE
from audit.search.unasked import STATUSES

_NON_EMPTY = TEXT_SENT | {"minLength": 1}
_ID = _NON_EMPTY | {"maxLength": 255}
_STATUS = {"type": "string", "enum": list(STATUSES)}
_SENT = {
    "remediation_id": _ID,
    "notification_id": _ID,
    **dict.fromkeys(("recipient", "channel", "message_summary"), _NON_EMPTY),
    "status": _STATUS,
    "sent_at": {"type": "string", "format": "date-time"},
}
_STATED = _SENT | dict.fromkeys(("event_id", "state", "digest", "created_at", "updated_at"), TEXT)
POST_NOTIFICATION = operation(
    "record_notification",
    responses(
        {
            201: (object_schema(_STATED | {"id": INTEGER, "receipt": NULLABLE}), "Stored"),
            202: (
                object_schema(dict.fromkeys(("status", "message", "state", "event_id"), TEXT) | {"receipt": NULLABLE}),
                "Parked: durable in the dead letter queue, on its way to PostgreSQL",
            ),
        },
        {409: "The notification id was used before"} | OF_BODIES,
    ),
    body=object_schema(_SENT) | ANY_MEMBERS,
)


def _refused(name: str, *parameters: OpenApiParameter) -> dict[str, Any]:
    answers = responses({}, {})
    answers[501, CONTENT_TYPE] = OpenApiResponse(PROBLEM, "This store does not do this: the detail says why")
    return operation(name, answers, parameters=list(parameters))


_CORRELATION = OpenApiParameter("correlation_id", TEXT, OpenApiParameter.PATH)
RECONSTRUCT: dict[str, Any] = _refused("refuse_reconstruct", _CORRELATION) | {"request": None}
EFFECTIVENESS = _refused("refuse_effectiveness", _CORRELATION)
REMEDIATION_HISTORY = _refused("refuse_remediation_history")
