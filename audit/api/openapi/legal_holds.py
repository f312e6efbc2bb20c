"""What the OpenAPI description says of legal holds."""

from drf_spectacular.utils import OpenApiParameter

from audit.api.openapi.blocks import (
    INTEGER,
    NULLABLE,
    OF_BODIES,
    TEXT,
    TEXT_SENT,
    WITH_A_LETTER,
    object_schema,
    operation,
    responses,
)
from audit.retention.legal_holds import REASON_MAX

_REASON = {"type": "string", "pattern": WITH_A_LETTER, "maxLength": REASON_MAX}
_HOLD = dict.fromkeys(("correlation_id", "reason", "placed_by", "placed_at"), TEXT) | dict.fromkeys(
    ("released_by", "released_at", "release_reason"), NULLABLE
)
_HOLDS = object_schema(
    {"holds": {"type": "array", "items": object_schema(_HOLD | {"events_affected": INTEGER})}, "total": INTEGER}
)
_CORRELATION = TEXT_SENT | {"minLength": 1, "maxLength": 255}
_STRICT = {"additionalProperties": False}
POST_HOLD = operation(
    "place_legal_hold",
    responses(
        {200: (object_schema(_HOLD | {"events_affected": INTEGER}), "The hold is placed")},
        {404: "No record has this correlation", 409: "It is held already"} | OF_BODIES,
    ),
    body=object_schema({"correlation_id": _CORRELATION, "reason": _REASON}) | _STRICT,
)
GET_HOLDS = operation("list_legal_holds", responses({200: (_HOLDS, "Holds in force")}, {}))
DELETE_HOLD = operation(
    "release_legal_hold",
    responses(
        {200: (object_schema(_HOLD | {"events_released": INTEGER}), "The hold is released")},
        {404: "There is no hold on this correlation"} | OF_BODIES,
    ),
    body=object_schema({"release_reason": _REASON}) | _STRICT,
    parameters=[OpenApiParameter("correlation_id", TEXT, OpenApiParameter.PATH, description="which is held")],
)
