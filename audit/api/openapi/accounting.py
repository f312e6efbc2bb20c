"""What the OpenAPI description says of the balance."""

from drf_spectacular.utils import OpenApiParameter

from audit.accounting import balance
from audit.api.openapi.blocks import INTEGER, NULLABLE, TEXT, object_schema, operation, responses

_FIGURES = dict.fromkeys(balance.BalanceLine().figures(), INTEGER)
_ACCOUNT_STATE = {"type": "string", "enum": list(balance.STATES)}
_DAY = {"type": "string", "format": "date"}
_LINE = object_schema({"day": TEXT, "writer": TEXT, "state": _ACCOUNT_STATE, "not_yet": NULLABLE} | _FIGURES)
_ACCOUNT = object_schema(
    {"first_day": TEXT, "last_day": TEXT, "state": _ACCOUNT_STATE}
    | dict.fromkeys(("read_at", "copied_at"), NULLABLE)
    | {"total": object_schema(_FIGURES), "data": {"type": "array", "items": _LINE}}
)
GET_ACCOUNT = operation(
    "get_account",
    responses({200: (_ACCOUNT, "What was received, and what became of it; `not yet` where that is not known now")}, {}),
    parameters=[
        OpenApiParameter("day", _DAY, description="a UTC day on which events were received; today"),
        OpenApiParameter("until", _DAY, description="the last day, up to 31 days in all; the same day"),
        OpenApiParameter("writer", TEXT, description="of one writer only"),
    ],
)
