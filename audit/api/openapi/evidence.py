"""What the OpenAPI description says of evidence bundles."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from audit.api.openapi.blocks import INTEGER, NULLABLE, OF_BODIES, TEXT, object_schema, operation, parameter, responses
from audit.formats import sampling
from audit.models import Export
from audit.search import query

MEMBERS: dict[str, dict[str, Any]] = {
    "q": {"type": "string", "maxLength": 2000, "description": "a query; an empty one is everything"},
    "first": {"type": "integer", "minimum": 0, "description": "a range of the log instead: its first leaf"},
    "last": {"type": "integer", "minimum": 1, "description": "the leaf after the last one"},
    "received_since": {"type": "string", "maxLength": 100, "description": "all that was received in a time instead"},
    "received_until": {"type": "string", "maxLength": 100, "description": "before this; without it: now"},
    "csv": {"type": "boolean", "description": "the records as a table, too"},
    "sample": {"type": "integer", "minimum": 1, "maximum": sampling.MOST, "description": "so many of them, drawn"},
    "seed": {"type": "string", "maxLength": sampling.MAX_SEED, "description": "what they are drawn with; yours, best"},
    "unredacted": {"type": "boolean", "description": "without redaction: needs the scope unredacted, too"},
}
REQUEST = {"type": "object", "properties": MEMBERS, "additionalProperties": False}
_EXPORT = object_schema(
    dict.fromkeys(("export_id", "kind", "q", "requested_at", "error", "digest", "seed"), TEXT)
    | {"state": {"type": "string", "enum": list(Export.STATES)}}
    | {name: {"type": ["integer", "null"]} for name in ("first", "last", "of", "sample", "population")}
    | {"redacted_by": {"type": "array", "items": TEXT}}
    | dict.fromkeys(("log_size", "done", "bytes"), INTEGER)
    | dict.fromkeys(("expires_at", "file"), NULLABLE)
    | {name: {"type": ["object", "null"]} for name in ("manifest", "received")}
)
_STATEMENT = object_schema(
    dict.fromkeys(("statement_id", "q", "made_at", "note"), TEXT)
    | dict.fromkeys(("found", "first", "last"), INTEGER)
    | {"records": {"type": "array", "items": object_schema({"leaf": INTEGER, "event_id": TEXT})}}
)
_OF_EXPORTS = {404: "No such bundle of this writer", 409: "Nothing is sealed yet"}
POST_EXPORT = operation(
    "post_export", responses({202: (_EXPORT, "The bundle is begun")}, _OF_EXPORTS | OF_BODIES), body=REQUEST
)
GET_EXPORT = operation("get_export", responses({200: (_EXPORT, "How far the bundle is")}, _OF_EXPORTS))
CANCEL_EXPORT: dict[str, Any] = operation(
    "cancel_export", responses({200: (_EXPORT, "As it stands now")}, _OF_EXPORTS | OF_BODIES)
) | {"request": None}
RESUME_EXPORT = CANCEL_EXPORT | {"operation_id": "resume_export"}
_PARTS: dict[Any, Any] = {
    (status, "application/octet-stream"): OpenApiResponse(TEXT, text)
    for status, text in {200: "The file", 206: "The range of it that was asked for"}.items()
}
GET_EXPORT_FILE = operation(
    "get_export_file",
    responses({}, _OF_EXPORTS) | _PARTS | {416: OpenApiResponse(description="The range lies outside")},
    parameters=[
        OpenApiParameter("name", TEXT, OpenApiParameter.PATH, description="the zip (`file`), or a file that is in it"),
        OpenApiParameter("Range", TEXT, OpenApiParameter.HEADER, description="one range, such as bytes=1000-"),
    ],
)
_OF_STATEMENTS = {404: "No such statement of this writer", 409: "Nothing is sealed yet"}
POST_STATEMENT = operation(
    "post_statement",
    responses({201: (_STATEMENT, "The statement, signed and recorded")}, _OF_STATEMENTS | OF_BODIES),
    body=object_schema({"q": MEMBERS["q"]}) | {"additionalProperties": False},
)
GET_STATEMENT = operation("get_statement", responses({200: (_STATEMENT, "As it was signed")}, _OF_STATEMENTS))
POST_STATEMENT_BUNDLE: dict[str, Any] = POST_EXPORT | {"operation_id": "post_statement_bundle", "request": None}
# Parameters of GET export that are true or false.
SWITCHES = {
    "unredacted": "needs the scope unredacted, too",
    "redact_pii": "mask what is personal, whatever the rules of redaction",
    "include_detached_signature": "the signature of the metadata as a block of text, too",
}
MAX_PAGE = 10_000
_FILTERS = [name for name in query.PARAMETERS if name not in ("limit", "offset", "after")]
_EXTRACT = object_schema(
    {"export_metadata": {"type": "object"}, "events": {"type": "array", "items": {"type": "object"}}}
    | {"verification": {"type": "object"}, "hash_chain_verification": {"type": "object"}, "signature": TEXT}
)
_PAGING = [
    OpenApiParameter("start_time", TEXT, description="as since"),
    OpenApiParameter("end_time", TEXT, description="as until"),
    OpenApiParameter("format", {"type": "string", "enum": ["json"]}),
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1},
        description="records a page, 1,000 of them at most (above 10,000: 413); without it all, 413 above 1,000",
    ),
    parameter("offset"),
]
GET_EXTRACT = operation(
    "get_extract",
    responses(
        {200: (_EXTRACT, "All that match, with their verification, signed")},
        {409: "Nothing is sealed yet", 413: f"More than {query.MAX_LIMIT} match: POST exports"},
    ),
    parameters=[
        *(parameter(name) for name in _FILTERS),
        *_PAGING,
        *(OpenApiParameter(name, {"type": "boolean"}, description=text) for name, text in SWITCHES.items()),
    ],
)
