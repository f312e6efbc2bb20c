"""What the OpenAPI description says of legal holds."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from audit.api.openapi.blocks import INTEGER, NULLABLE, OF_BODIES, TEXT, object_schema, responses
from audit.evidence.legal_holds import REASON_MAX

_REASON = {"type": "string", "minLength": 1, "maxLength": REASON_MAX}
_HOLD = dict.fromkeys(("correlation_id", "reason", "placed_by", "placed_at"), TEXT) | dict.fromkeys(
    ("released_by", "released_at", "release_reason"), NULLABLE
)
POST_HOLD: dict[str, Any] = {
    "operation_id": "place_legal_hold",
    "request": {
        "application/json": {
            "type": "object",
            "properties": {"correlation_id": {"type": "string", "minLength": 1, "maxLength": 255}, "reason": _REASON},
            "required": ["correlation_id", "reason"],
            "additionalProperties": False,
        }
    },
    "responses": responses(
        {200: (object_schema(_HOLD | {"events_affected": INTEGER}), "The hold is placed")},
        {404: "No record has this correlation", 409: "It is held already"} | OF_BODIES,
    ),
}
GET_HOLDS: dict[str, Any] = {
    "operation_id": "list_legal_holds",
    "responses": responses(
        {
            200: (
                object_schema({"holds": {"type": "array", "items": object_schema(_HOLD)}, "total": INTEGER}),
                "Holds in force",
            )
        },
        {},
    ),
}
DELETE_HOLD: dict[str, Any] = {
    "operation_id": "release_legal_hold",
    "parameters": [OpenApiParameter("correlation_id", TEXT, OpenApiParameter.PATH, description="which is held")],
    "request": {
        "application/json": {
            "type": "object",
            "properties": {"release_reason": _REASON},
            "required": ["release_reason"],
            "additionalProperties": False,
        }
    },
    "responses": responses(
        {200: (object_schema(_HOLD | {"events_released": INTEGER}), "The hold is released")},
        {404: "There is no hold on this correlation"} | OF_BODIES,
    ),
}
