"""What the OpenAPI description says of erasures."""

from drf_spectacular.utils import OpenApiParameter

from audit.api.openapi.blocks import (
    INTEGER,
    NULLABLE,
    OF_BODIES,
    TEXT,
    WITH_A_LETTER,
    object_schema,
    operation,
    responses,
)
from audit.evidence.erasure.requests import BASIS_MAX, REASON_MAX, SUBJECT_MAX, SUBJECTS

_TEXTS = {"type": "array", "items": TEXT}
_ERASURE = {
    **dict.fromkeys(("id", "records", "erased", "held"), INTEGER),
    "state": {"type": "string", "enum": ["waiting", "refused", "approved", "done"]},
    "paths": _TEXTS,
    **dict.fromkeys(("asked_at", "basis", "reason"), TEXT),
    **dict.fromkeys(("decided_by", "decided_at", "ground", "done_at"), NULLABLE),
}
_PLACE = object_schema(
    {"what": TEXT, "advice": {"type": "string"}, "known": INTEGER | {"nullable": True}, "names": _TEXTS}
)
_REACH = {"not_reached": {"type": "array", "items": _PLACE}}


def _said(most: int) -> dict[str, object]:
    return {"type": "string", "pattern": WITH_A_LETTER, "maxLength": most}


_ASKED = object_schema(
    {
        "kind": {"type": "string", "enum": list(SUBJECTS)},
        "subject": _said(SUBJECT_MAX),
        "paths": {"type": "array", "items": {"type": "string"}},
        "basis": _said(BASIS_MAX),
        "reason": _said(REASON_MAX),
    }
) | {"additionalProperties": False, "required": ["kind", "subject", "basis", "reason"]}
POST_ERASURE = operation(
    "ask_erasure",
    responses({202: (object_schema(_ERASURE | _REACH), "It is asked for: a second person decides")}, OF_BODIES),
    body=_ASKED,
)
GET_ERASURES = operation(
    "list_erasures",
    responses(
        {
            200: (
                object_schema({"erasures": {"type": "array", "items": object_schema(_ERASURE)}, "total": INTEGER}),
                "What the key has asked for, the newest first",
            )
        },
        {},
    ),
)
GET_ERASURE = operation(
    "get_erasure",
    responses(
        {200: (object_schema(_ERASURE | _REACH | {"held_records": _TEXTS}), "What became of it")},
        {404: "The key has asked for no such erasure"},
    ),
    parameters=[OpenApiParameter("number", INTEGER, OpenApiParameter.PATH, description="of the erasure")],
)
