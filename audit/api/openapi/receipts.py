"""What the OpenAPI description says of receipts."""

from typing import Any

from audit.api.openapi import ledger
from audit.api.openapi.blocks import INTEGER, OF_BODIES, TEXT, object_schema, responses
from audit.receipts import verify

_ANSWER = object_schema(
    dict.fromkeys(
        ("why", "event_id", "digest", "writer", "promised", "promised_at", "sealed_by", "proof_path", "proof"), TEXT
    )
    | dict.fromkeys(("receipt", "leaf_index"), INTEGER)
    | {"state": {"type": "string", "enum": list(verify.STATES)}},
    required=["receipt", "state", "why"],
)

VERIFY_RECEIPTS: dict[str, Any] = {
    "operation_id": "verify_receipts",
    "request": {"application/json": object_schema({"receipts": {"type": "array", "items": TEXT, "minItems": 1}})},
    "responses": responses(
        {
            200: (
                object_schema(
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
        {500: "There is no key of receipts", **OF_BODIES},
    ),
}

GET_RECEIPT_KEYS: dict[str, Any] = {
    "operation_id": "get_receipt_keys",
    "responses": ledger.answer_as("text/plain", "The public keys of receipts, a line each, the newest first", {}),
}
