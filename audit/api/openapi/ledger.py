"""What the OpenAPI description says of the sealed log."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from audit.api.openapi.blocks import INTEGER, NULLABLE, OF_BODIES, TEXT, TEXT_SENT, object_schema, operation, responses

_CHECKPOINT = object_schema({"number": INTEGER, "size": INTEGER, "root": TEXT, "created_at": TEXT, "note": TEXT})
_CHECKPOINTS = object_schema({"data": {"type": "array", "items": _CHECKPOINT}, "next": {"type": ["integer", "null"]}})
_CONSISTENCY = object_schema({"first": INTEGER, "second": INTEGER, "proof": {"type": "array", "items": TEXT}})
_TAMPERED = object_schema(
    dict.fromkeys(("event_id", "expected_hash", "actual_hash", "previous_hash", "message"), TEXT)
    | {"event_timestamp": NULLABLE}
)
_CHAIN = object_schema(
    dict.fromkeys(("correlation_id", "verdict", "verification_time", "message"), TEXT)
    | dict.fromkeys(("total_events", "verified_events", "unsealed_events"), INTEGER)
    | {"is_valid": {"type": "boolean"}}
    | {"tampered_events": {"type": "array", "items": _TAMPERED}, "not_covered": {"type": "array", "items": TEXT}}
)
# The server reads 18 digits; so many records no log has.
_MOST = 10**18 - 1
_OF_THE_LOG = {409: "Not sealed yet: try again in a second", 500: "The log is damaged, or its keys are missing"}
_ABSENT = {404: "There is no such thing"}
_ADDRESS = OpenApiParameter("address", TEXT, OpenApiParameter.PATH, description="x001/x234/067, or 000.p/17 for a part")
_LEVEL = OpenApiParameter("level", {"type": "integer", "minimum": 0, "maximum": 63}, OpenApiParameter.PATH)


def answer_as(media_type: str, text: str, problems: dict[int, str]) -> dict[Any, Any]:
    documented = responses({}, _OF_THE_LOG | problems)
    documented[200, media_type] = OpenApiResponse(TEXT, text)
    return documented


def _number(name: str, text: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(
        name, {"type": "integer", "minimum": 0, "maximum": _MOST}, description=text, required=required
    )


GET_PROOF = operation("get_proof", answer_as("text/plain", "The proof of one record (C2SP tlog-proof)", _ABSENT))
GET_BUNDLE = operation(
    "get_bundle", answer_as("application/jsonl", "Record and proof in one file, for verify.py", _ABSENT)
)
GET_CHECKPOINT = operation(
    "get_checkpoint", answer_as("text/plain", "The newest signed tree head (C2SP tlog-checkpoint)", {})
)
GET_KEYS = operation(
    "get_checkpoint_keys", answer_as("text/plain", "The log's public keys, a line each, the newest first", {})
)
GET_CHECKPOINTS = operation(
    "get_checkpoints",
    responses({200: (_CHECKPOINTS, "Tree heads, newest first")}, _OF_THE_LOG),
    parameters=[_number("before", "a checkpoint's number, from next: older ones follow")],
)
GET_CONSISTENCY = operation(
    "get_consistency",
    responses({200: (_CONSISTENCY, "The proof, base64 hashes (RFC 9162, 2.1.4)")}, _OF_THE_LOG),
    parameters=[_number("first", "the older size", required=True), _number("second", "the newer size; now's")],
)
GET_TILE = operation(
    "get_tile",
    answer_as("application/octet-stream", "Hashes of 32 bytes (C2SP tlog-tiles)", _ABSENT),
    parameters=[_LEVEL, _ADDRESS],
)
GET_ENTRIES = operation(
    "get_entries",
    answer_as("application/octet-stream", "Entries, each after its length in two bytes", _ABSENT),
    parameters=[_ADDRESS],
)
_LINE = {"type": "object", "additionalProperties": True, "required": ["leaf_index", "event_id", "state"]}
GET_LOG_ENTRIES = operation(
    "get_log_entries",
    responses(
        {
            200: (
                object_schema({"size": INTEGER, "next": INTEGER, "entries": {"type": "array", "items": _LINE}}),
                "What follows in the log: `next` is where to go on; it is `from` where nothing is sealed behind it",
            )
        },
        _OF_THE_LOG | _ABSENT,
    ),
    parameters=[
        _number("from", "the first log entry", required=True),
        OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, description="100"),
    ],
)
VERIFY_CHAIN = operation(
    "verify_chain",
    responses({200: (_CHAIN, "What was found; is_valid only where all was sealed and fits")}, _OF_THE_LOG | OF_BODIES),
    body=object_schema({"correlation_id": TEXT_SENT | {"minLength": 1, "maxLength": 255}}),
)
