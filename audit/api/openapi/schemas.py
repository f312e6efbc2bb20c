"""What the OpenAPI description says of schemas of event types."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from audit.api.openapi.blocks import (
    INTEGER,
    OF_BODIES,
    TEXT,
    TEXT_SENT,
    WITH_A_LETTER,
    object_schema,
    operation,
    responses,
)
from audit.formats.event import DOTTED
from audit.models import EventSchema

_MODE = {"type": "string", "enum": list(EventSchema.MODES)}
_ROW = {
    **dict.fromkeys(("event_type", "version", "reason", "made_by", "made_at"), TEXT),
    "revision": INTEGER,
    "mode": _MODE,
}
_SHOWN: dict[str, Any] = object_schema(_ROW | {"schema": {"type": "object"}})
_LIST = object_schema({"schemas": {"type": "array", "items": object_schema(_ROW)}, "total": INTEGER})
_ASKED = object_schema(
    {
        "event_type": {"type": "string", "pattern": DOTTED.removesuffix(r"(?!\n)"), "maxLength": 100},
        "version": TEXT_SENT | {"maxLength": 20, "description": "only events with this version; left out: all others"},
        "mode": _MODE,
        "reason": {"type": "string", "pattern": WITH_A_LETTER, "maxLength": 1_000},
        "schema": {
            "type": "object",
            "description": "JSON Schema 2020-12 of event_data, as docs/schemas.md bounds it; left out: that of the "
            "newest revision, to set another mode",
        },
    },
    required=["event_type", "mode", "reason"],
) | {"additionalProperties": False}
_TYPE = OpenApiParameter("event_type", TEXT, OpenApiParameter.PATH, description="the type of events")
_VERSION = OpenApiParameter("version", TEXT, description="of a schema that is for one version of events alone")
_NONE = {404: "There is no such schema"}

GET_SCHEMAS = operation("list_schemas", responses({200: (_LIST, "The newest revision of each")}, {}))
POST_SCHEMA = operation(
    "register_schema",
    responses({201: (_SHOWN, "Registered: it holds within ten seconds")}, OF_BODIES),
    body=_ASKED,
)
GET_REVISIONS = operation(
    "list_schema_revisions",
    responses({200: (_LIST, "Its revisions, the newest first")}, _NONE),
    parameters=[_TYPE, _VERSION],
)
GET_REVISION = operation(
    "get_schema_revision",
    responses({200: (_SHOWN, "The revision, with its schema")}, _NONE),
    parameters=[
        _TYPE,
        OpenApiParameter("revision", INTEGER, OpenApiParameter.PATH, description="its number"),
        _VERSION,
    ],
)
