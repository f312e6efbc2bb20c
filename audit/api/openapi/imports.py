"""What the OpenAPI description says of imports."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from audit.api.openapi.blocks import INTEGER, NULLABLE, OF_BODIES, TEXT, object_schema, operation, responses

_STATE = {"type": "string", "enum": ["stored", "duplicate", "parked", "dead", "refused"]}
_EACH = object_schema({"event_id": NULLABLE, "state": _STATE})
_TAKEN = object_schema(
    {
        "message": TEXT,
        "mapping": TEXT,
        "count": INTEGER,
        "states": {"type": "object", "additionalProperties": INTEGER},
        "receipts": {"type": "array", "items": TEXT},
        "events": {"type": "array", "items": _EACH},
        "field_errors": {"type": "object", "additionalProperties": TEXT},
        "unmapped": {"type": "array", "items": TEXT},
    }
)
_ANSWERS = {
    201: (_TAKEN, "Some are stored now"),
    200: (_TAKEN, "All were here before"),
    202: (_TAKEN, "Parked, or kept as they came for a person, since the mapping does not map them"),
}
_OF_BODIES = {413: OF_BODIES[413], 415: "The encoding is not gzip"}
_SOURCE = OpenApiParameter("source", TEXT, OpenApiParameter.PATH, description="the name of a mapping: docs/imports.md")


def _body(description: str) -> dict[str, Any]:
    """Whatever comes is kept: what the mapping does not map waits, as it came, for a person."""
    return {"type": ["object", "array", "string", "number", "boolean", "null"], "description": description}


IMPORT = operation(
    "import_events",
    responses(_ANSWERS, {404: "There is no mapping of this name"} | _OF_BODIES),
    body=_body("Events as their source writes them: one, an array, lines, or an object in which an array holds them"),
    parameters=[_SOURCE],
)
_STATUS = object_schema(dict.fromkeys(("kind", "apiVersion", "status", "message"), TEXT) | {"code": INTEGER})
KUBERNETES = operation(
    "import_kubernetes",
    responses({200: (_STATUS, "Stored, parked, or kept for a person")}, _OF_BODIES),
    body=_body("An EventList of audit.k8s.io/v1"),
)
CLOUDEVENTS = operation(
    "import_cloudevents",
    responses(_ANSWERS, _OF_BODIES),
    body=_body("A CloudEvent, or an array of them; in binary mode the data, with the attributes as headers (ce-id)"),
)
OTLP = operation(
    "import_otlp",
    responses(
        {200: ({"type": "object"}, "Stored, parked, or kept for a person; partialSuccess says how many are not")},
        _OF_BODIES,
    ),
    body=_body("An ExportLogsServiceRequest of OTLP, in JSON; or in protobuf, as application/x-protobuf"),
)
