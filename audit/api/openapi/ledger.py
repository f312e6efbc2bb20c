"""What the OpenAPI description says of the sealed log."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from audit.api.openapi.blocks import INTEGER, NULLABLE, OF_BODIES, TEXT, object_schema, responses

_CHECKPOINT = object_schema({"number": INTEGER, "size": INTEGER, "root": TEXT, "created_at": TEXT, "note": TEXT})

_TAMPERED = object_schema(
    dict.fromkeys(("event_id", "expected_hash", "actual_hash", "previous_hash", "message"), TEXT)
    | {"event_timestamp": NULLABLE}
)

CHAIN = object_schema(
    dict.fromkeys(("correlation_id", "verdict", "verification_time", "message"), TEXT)
    | dict.fromkeys(("total_events", "verified_events", "unsealed_events"), INTEGER)
    | {
        "is_valid": {"type": "boolean"},
        "tampered_events": {"type": "array", "items": _TAMPERED},
        "not_covered": {"type": "array", "items": TEXT},
    }
)

_OF_THE_LOG = {409: "Not sealed yet: try again in a second", 500: "The log is damaged, or its keys are missing"}


def answer_as(media_type: str, text: str, problems: dict[int, str]) -> dict[Any, Any]:
    found = responses({}, _OF_THE_LOG | problems)
    found[200, media_type] = OpenApiResponse(TEXT, text)
    return found


def _number(name: str, text: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "integer", "minimum": 0}, description=text, required=required)


_ABSENT = {404: "There is no such thing"}

_ADDRESS = OpenApiParameter("address", TEXT, OpenApiParameter.PATH, description="x001/x234/067, or 000.p/17 for a part")

_LEVEL = OpenApiParameter("level", {"type": "integer", "minimum": 0, "maximum": 63}, OpenApiParameter.PATH)

GET_PROOF: dict[str, Any] = {
    "operation_id": "get_proof",
    "responses": answer_as("text/plain", "The proof of one record (C2SP tlog-proof)", _ABSENT),
}

GET_BUNDLE: dict[str, Any] = {
    "operation_id": "get_bundle",
    "responses": answer_as("application/jsonl", "Record and proof in one file, for verify.py", _ABSENT),
}

GET_CHECKPOINT: dict[str, Any] = {
    "operation_id": "get_checkpoint",
    "responses": answer_as("text/plain", "The newest signed tree head (C2SP tlog-checkpoint)", {}),
}

GET_KEYS: dict[str, Any] = {
    "operation_id": "get_checkpoint_keys",
    "responses": answer_as("text/plain", "The log's public keys, a line each, the newest first", {}),
}

GET_CHECKPOINTS: dict[str, Any] = {
    "operation_id": "get_checkpoints",
    "parameters": [_number("before", "a checkpoint's number, from next: older ones follow")],
    "responses": responses(
        {
            200: (
                object_schema({"data": {"type": "array", "items": _CHECKPOINT}, "next": {"type": ["integer", "null"]}}),
                "Tree heads, newest first",
            )
        },
        _OF_THE_LOG,
    ),
}

GET_CONSISTENCY: dict[str, Any] = {
    "operation_id": "get_consistency",
    "parameters": [_number("first", "the older size", required=True), _number("second", "the newer size; now's")],
    "responses": responses(
        {
            200: (
                object_schema({"first": INTEGER, "second": INTEGER, "proof": {"type": "array", "items": TEXT}}),
                "The proof, base64 hashes (RFC 9162, 2.1.4)",
            )
        },
        _OF_THE_LOG,
    ),
}

GET_TILE: dict[str, Any] = {
    "operation_id": "get_tile",
    "parameters": [_LEVEL, _ADDRESS],
    "responses": answer_as("application/octet-stream", "Hashes of 32 bytes (C2SP tlog-tiles)", _ABSENT),
}

GET_ENTRIES: dict[str, Any] = {
    "operation_id": "get_entries",
    "parameters": [_ADDRESS],
    "responses": answer_as("application/octet-stream", "Entries, each after its length in two bytes", _ABSENT),
}

VERIFY_CHAIN: dict[str, Any] = {
    "operation_id": "verify_chain",
    "request": {
        "application/json": object_schema({"correlation_id": {"type": "string", "minLength": 1, "maxLength": 255}})
    },
    "responses": responses(
        {200: (CHAIN, "What was found; is_valid only where all was sealed and fits")},
        _OF_THE_LOG | OF_BODIES,
    ),
}
