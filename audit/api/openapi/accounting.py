"""What the OpenAPI description says of the balance."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from audit.accounting import balance
from audit.api.openapi.blocks import INTEGER, NULLABLE, TEXT, object_schema, responses

_FIGURES = dict.fromkeys(balance.BalanceLine().figures(), INTEGER)

_ACCOUNT_STATE = {"type": "string", "enum": list(balance.STATES)}

_DAY = {"type": "string", "format": "date"}

GET_ACCOUNT: dict[str, Any] = {
    "operation_id": "get_account",
    "parameters": [
        OpenApiParameter("day", _DAY, description="a UTC day on which events were received; today"),
        OpenApiParameter("until", _DAY, description="the last day, up to 31 days in all; the same day"),
        OpenApiParameter("writer", TEXT, description="of one writer only"),
    ],
    "responses": responses(
        {
            200: (
                object_schema(
                    {"first_day": TEXT, "last_day": TEXT, "state": _ACCOUNT_STATE}
                    | dict.fromkeys(("read_at", "copied_at"), NULLABLE)
                    | {"total": object_schema(_FIGURES)}
                    | {
                        "data": {
                            "type": "array",
                            "items": object_schema(
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
