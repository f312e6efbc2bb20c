"""The OpenAPI description, made from the one declaration of the event."""

from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from audit.accounting import balance
from audit.api.problems import CONTENT_TYPE
from audit.completeness import heartbeats, manifests
from audit.formats import event
from audit.receipts import verify
from audit.search import query


class WriterKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer` or `X-API-Key`."""

    target_class = "audit.api.auth.WriterKeyAuthentication"
    name = ["bearer", "apiKey"]  # noqa: RUF012

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "A writer's key"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A writer's key"},
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        return [{"bearer": []}, {"apiKey": []}]


def _object(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }


def _declared(struct: type) -> dict[str, Any]:
    """The schema of a struct, in the dialect of OpenAPI."""
    schema: dict[str, Any] = msgspec.json.schema(struct)["$defs"][struct.__name__]
    for declared in schema["properties"].values():
        # Python's guard against a final newline; in ECMA-262, JSON Schema's dialect, `$` needs none.
        declared.pop("default", None)
        if "pattern" in declared:
            declared["pattern"] = declared["pattern"].removesuffix(r"(?!\n)")
    return schema


TEXT = {"type": "string"}
INTEGER = {"type": "integer"}
NULLABLE = {"type": ["string", "null"]}
STATE = {"type": "string", "enum": ["stored", "parked", "sealed"]}
EVENT = _declared(event.Event)
RECORD = _object(
    EVENT["properties"]
    | {"writer": TEXT, "state": STATE, "digest": TEXT, "received_at": TEXT}
    | dict.fromkeys(("parked_at", "stored_at"), NULLABLE),
    required=[*event.REQUIRED, "event_id", "writer", "state", "digest", "received_at"],
)
_SIGNED = {"state": STATE, "receipt": NULLABLE}
RECEIPT = _object(dict.fromkeys(("event_id", "event_timestamp", "message", "digest"), TEXT) | _SIGNED)
QUEUED = _object(dict.fromkeys(("event_id", "message", "status"), TEXT) | _SIGNED)
BATCH = _object(
    {
        "event_ids": {"type": "array", "items": TEXT},
        "count": {"type": "integer"},
        "message": TEXT,
    }
    | _SIGNED
)
PAGE = _object(
    {
        "data": {"type": "array", "items": RECORD},
        "pagination": _object(
            {name: {"type": "integer"} for name in ("limit", "offset", "total")}
            | {name: {"type": "boolean"} for name in ("total_is_capped", "has_more")}
            | {"next": {"type": ["string", "null"]}}
        ),
    }
)
PROBLEM = _object(
    dict.fromkeys(("type", "title", "detail", "instance"), TEXT)
    | {"status": {"type": "integer"}, "field_errors": {"type": "object", "additionalProperties": TEXT}},
    required=["type", "title", "status", "detail"],
)

_PROBLEMS = {
    400: "Not valid: field_errors names each field",
    401: "No valid key",
    403: "The key lacks the scope",
    429: "Too many requests: see Retry-After",
    503: "Not kept, or not readable, now: see Retry-After",
}
_OF_BODIES = {413: "The body is over 5 MiB", 415: "The body is not application/json"}
_OF_WRITING = {409: "The event id is used already, with other content", **_OF_BODIES}


def _responses(answers: dict[int, tuple[dict[str, Any], str]], problems: dict[int, str]) -> dict[Any, Any]:
    found: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(schema, text) for status, (schema, text) in answers.items()
    }
    for status, text in (_PROBLEMS | problems).items():
        found[status, CONTENT_TYPE] = OpenApiResponse(PROBLEM, text)
    return found


def _parameter(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, _PARAMETERS.get(name, TEXT), description=_DESCRIPTIONS.get(name, "equal to"))


_PARAMETERS: dict[str, Any] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": query.MAX_LIMIT, "default": query.DEFAULT_LIMIT},
    "offset": {"type": "integer", "minimum": 0, "maximum": query.MAX_OFFSET, "default": 0},
}
_DESCRIPTIONS = {
    "q": "a query in the grammar of docs/search.md: actor:alice type:gateway.* -severity:info after:7d data.key:value",
    "since": "at or after: a span such as 24h or 7d, or RFC 3339",
    "until": "at or before: a span or RFC 3339",
    "detail_key": "a member of event_data; goes with detail_value",
    "detail_value": "the member's value as text; goes with detail_key",
    "limit": "records a page",
    "offset": "records to skip; deep pages cost more: prefer after",
    "after": "the cursor from pagination.next; every page costs the same",
}

POST_EVENT: dict[str, Any] = {
    "operation_id": "record_event",
    "request": {"application/json": EVENT},
    "responses": _responses(
        {
            201: (RECEIPT, "Stored: durable in PostgreSQL"),
            200: (RECEIPT, "The same receipt for the same id and content"),
            202: (QUEUED, "Parked: durable in the dead letter queue, on its way to PostgreSQL"),
        },
        _OF_WRITING,
    ),
}
POST_BATCH: dict[str, Any] = {
    "operation_id": "record_batch",
    "request": {"application/json": {"type": "array", "items": EVENT, "minItems": 1, "maxItems": event.MAX_BATCH}},
    "responses": _responses(
        {
            201: (BATCH, "All stored, in one transaction"),
            200: (BATCH, "All were stored before"),
            202: (BATCH, "All parked"),
        },
        _OF_WRITING,
    ),
}
GET_EVENTS: dict[str, Any] = {
    "operation_id": "find_events",
    "parameters": [_parameter(name) for name in query.PARAMETERS],
    "responses": _responses({200: (PAGE, "A page, newest first")}, {}),
}
GET_EVENT: dict[str, Any] = {
    "operation_id": "get_event",
    "responses": _responses({200: (RECORD, "The record with its state")}, {404: "No event has this id"}),
}


_CHECKPOINT = _object({"number": INTEGER, "size": INTEGER, "root": TEXT, "created_at": TEXT, "note": TEXT})
_TAMPERED = _object(
    dict.fromkeys(("event_id", "expected_hash", "actual_hash", "previous_hash", "message"), TEXT)
    | {"event_timestamp": NULLABLE}
)
CHAIN = _object(
    dict.fromkeys(("correlation_id", "verdict", "verification_time", "message"), TEXT)
    | dict.fromkeys(("total_events", "verified_events", "unsealed_events"), INTEGER)
    | {
        "is_valid": {"type": "boolean"},
        "tampered_events": {"type": "array", "items": _TAMPERED},
        "not_covered": {"type": "array", "items": TEXT},
    }
)
_OF_THE_LOG = {409: "Not sealed yet: try again in a second", 500: "The log is damaged, or its keys are missing"}


def _as(media_type: str, text: str, problems: dict[int, str]) -> dict[Any, Any]:
    found = _responses({}, _OF_THE_LOG | problems)
    found[200, media_type] = OpenApiResponse(TEXT, text)
    return found


def _number(name: str, text: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "integer", "minimum": 0}, description=text, required=required)


_ABSENT = {404: "There is no such thing"}
_ADDRESS = OpenApiParameter("address", TEXT, OpenApiParameter.PATH, description="x001/x234/067, or 000.p/17 for a part")
_LEVEL = OpenApiParameter("level", {"type": "integer", "minimum": 0, "maximum": 63}, OpenApiParameter.PATH)

GET_PROOF: dict[str, Any] = {
    "operation_id": "get_proof",
    "responses": _as("text/plain", "The proof of one record (C2SP tlog-proof)", _ABSENT),
}
GET_BUNDLE: dict[str, Any] = {
    "operation_id": "get_bundle",
    "responses": _as("application/jsonl", "Record and proof in one file, for verify.py", _ABSENT),
}
GET_CHECKPOINT: dict[str, Any] = {
    "operation_id": "get_checkpoint",
    "responses": _as("text/plain", "The newest signed tree head (C2SP tlog-checkpoint)", {}),
}
GET_KEYS: dict[str, Any] = {
    "operation_id": "get_checkpoint_keys",
    "responses": _as("text/plain", "The log's public keys, a line each, the newest first", {}),
}
GET_CHECKPOINTS: dict[str, Any] = {
    "operation_id": "get_checkpoints",
    "parameters": [_number("before", "a checkpoint's number, from next: older ones follow")],
    "responses": _responses(
        {
            200: (
                _object({"data": {"type": "array", "items": _CHECKPOINT}, "next": {"type": ["integer", "null"]}}),
                "Tree heads, newest first",
            )
        },
        _OF_THE_LOG,
    ),
}
GET_CONSISTENCY: dict[str, Any] = {
    "operation_id": "get_consistency",
    "parameters": [_number("first", "the older size", required=True), _number("second", "the newer size; now's")],
    "responses": _responses(
        {
            200: (
                _object({"first": INTEGER, "second": INTEGER, "proof": {"type": "array", "items": TEXT}}),
                "The proof, base64 hashes (RFC 9162, 2.1.4)",
            )
        },
        _OF_THE_LOG,
    ),
}
GET_TILE: dict[str, Any] = {
    "operation_id": "get_tile",
    "parameters": [_LEVEL, _ADDRESS],
    "responses": _as("application/octet-stream", "Hashes of 32 bytes (C2SP tlog-tiles)", _ABSENT),
}
GET_ENTRIES: dict[str, Any] = {
    "operation_id": "get_entries",
    "parameters": [_ADDRESS],
    "responses": _as("application/octet-stream", "Entries, each after its length in two bytes", _ABSENT),
}
VERIFY_CHAIN: dict[str, Any] = {
    "operation_id": "verify_chain",
    "request": {"application/json": _object({"correlation_id": {"type": "string", "minLength": 1, "maxLength": 255}})},
    "responses": _responses(
        {200: (CHAIN, "What was found; is_valid only where all was sealed and fits")},
        _OF_THE_LOG | _OF_BODIES,
    ),
}
POST_HEARTBEAT: dict[str, Any] = {
    "operation_id": "post_heartbeat",
    "request": {"application/json": _declared(heartbeats.Beat)},
    "responses": _responses(
        {
            200: (
                _object(
                    {
                        "highest": INTEGER,
                        "missing": {"type": "array", "items": _object({"first": INTEGER, "last": INTEGER})},
                        "read_until": {"type": ["string", "null"]},
                    }
                ),
                "What of this writer's numbers came, and which runs of them never did",
            )
        },
        _OF_BODIES,
    ),
}
_RUNS = {"type": "array", "items": _object({"first": INTEGER, "last": INTEGER})}
_MANIFEST = _object(
    {"manifest_id": TEXT, "state": {"type": "string", "enum": ["complete", "incomplete", "differs"]}}
    | dict.fromkeys(("count", "came", "missing", "surplus"), INTEGER)
    | {"missing_numbers": _RUNS, "missing_ids": {"type": "array", "items": TEXT}, "looked_at": TEXT}
)
POST_MANIFEST: dict[str, Any] = {
    "operation_id": "post_manifest",
    "request": {"application/json": _declared(manifests.Statement)},
    "responses": _responses({200: (_MANIFEST, "What of the stated events came, and which did not")}, _OF_BODIES),
}
GET_MANIFEST: dict[str, Any] = {
    "operation_id": "get_manifest",
    "responses": _responses({200: (_MANIFEST, "The same, as it stands now")}, {404: "No such manifest of this writer"}),
}
_ANSWER = _object(
    dict.fromkeys(
        ("why", "event_id", "digest", "writer", "promised", "promised_at", "sealed_by", "proof_path", "proof"), TEXT
    )
    | dict.fromkeys(("receipt", "leaf_index"), INTEGER)
    | {"state": {"type": "string", "enum": list(verify.STATES)}},
    required=["receipt", "state", "why"],
)
VERIFY_RECEIPTS: dict[str, Any] = {
    "operation_id": "verify_receipts",
    "request": {"application/json": _object({"receipts": {"type": "array", "items": TEXT, "minItems": 1}})},
    "responses": _responses(
        {
            200: (
                _object(
                    {
                        "verdict": {"type": "string", "enum": [verify.KEPT, verify.BROKEN, verify.UNKNOWN]},
                        "message": TEXT,
                        "counts": {"type": "object", "additionalProperties": INTEGER},
                        "events": {"type": "array", "items": _ANSWER},
                    }
                ),
                "What became of each event of each receipt",
            )
        },
        {500: "There is no key of receipts", **_OF_BODIES},
    ),
}
GET_RECEIPT_KEYS: dict[str, Any] = {
    "operation_id": "get_receipt_keys",
    "responses": _as("text/plain", "The public keys of receipts, a line each, the newest first", {}),
}
_FIGURES = dict.fromkeys(balance.Line().figures(), INTEGER)
_ACCOUNT_STATE = {"type": "string", "enum": list(balance.STATES)}
_DAY = {"type": "string", "format": "date"}
GET_ACCOUNT: dict[str, Any] = {
    "operation_id": "get_account",
    "parameters": [
        OpenApiParameter("day", _DAY, description="a UTC day on which events were received; today"),
        OpenApiParameter("until", _DAY, description="the last day, up to 31 days in all; the same day"),
        OpenApiParameter("writer", TEXT, description="of one writer only"),
    ],
    "responses": _responses(
        {
            200: (
                _object(
                    {"first_day": TEXT, "last_day": TEXT, "state": _ACCOUNT_STATE}
                    | dict.fromkeys(("read_at", "copied_at"), NULLABLE)
                    | {"total": _object(_FIGURES)}
                    | {
                        "data": {
                            "type": "array",
                            "items": _object(
                                {"day": TEXT, "writer": TEXT, "state": _ACCOUNT_STATE, "not_yet": NULLABLE} | _FIGURES
                            ),
                        }
                    }
                ),
                "What was received, and what became of it; `not yet` where that is not known now",
            )
        },
        {},
    ),
}
