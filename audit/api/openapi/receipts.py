"""What the OpenAPI description says of receipts."""

from audit.api.openapi import ledger
from audit.api.openapi.blocks import INTEGER, OF_BODIES, TEXT, object_schema, operation, responses
from audit.receipts import verify

_TEXTS = ("why", "event_id", "digest", "writer", "promised", "promised_at", "sealed_by", "proof_path", "proof")
_ANSWER = object_schema(
    dict.fromkeys(_TEXTS, TEXT)
    | dict.fromkeys(("receipt", "leaf_index"), INTEGER)
    | {"state": {"type": "string", "enum": list(verify.STATES)}},
    required=["receipt", "state", "why"],
)
_VERDICT = object_schema(
    {"verdict": {"type": "string", "enum": [verify.KEPT, verify.BROKEN, verify.UNKNOWN]}, "message": TEXT}
    | {"counts": {"type": "object", "additionalProperties": INTEGER}, "events": {"type": "array", "items": _ANSWER}}
)
VERIFY_RECEIPTS = operation(
    "verify_receipts",
    responses(
        {200: (_VERDICT, "What became of each event of each receipt")},
        {500: "There is no key of receipts", **OF_BODIES},
    ),
    body=object_schema({"receipts": {"type": "array", "items": TEXT, "minItems": 1}}),
)
GET_RECEIPT_KEYS = operation(
    "get_receipt_keys",
    ledger.answer_as("text/plain", "The public keys of receipts, a line each, the newest first", {}),
)
