"""What the OpenAPI description says of compliance reports."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from audit.api.openapi.blocks import INTEGER, OF_BODIES, TEXT, object_schema, operation, responses
from audit.api.openapi.evidence import POST_EXPORT
from audit.models import Report
from audit.reports import render

_DAY = {"type": "string", "format": "date"}
_NAMES = {"type": "array", "items": {"type": "string", "maxLength": 50}, "minItems": 1, "maxItems": 50}
MEMBERS: dict[str, dict[str, Any]] = {
    "first": _DAY | {"description": "the first day, UTC"},
    "last": _DAY | {"description": "the last day, itself within"},
    "packs": _NAMES | {"description": "sets of controls, such as soc2, pci-dss"},
}
_REPORT = object_schema(
    dict.fromkeys(("report_id", "first", "last", "requested_at", "error", "digest"), TEXT)
    | {"state": {"type": "string", "enum": list(Report.STATES)}}
    | dict.fromkeys(("checkpoint", "done", "of"), INTEGER)
    | {name: {"type": "array", "items": TEXT} for name in ("packs", "files")}
)
_FILES: dict[str, dict[str, Any]] = {"json": {"type": "object"}, "html": TEXT, "pdf": TEXT}
_OF_REPORTS = {404: "No such report of this writer", 409: "Nothing is sealed yet"}
POST_REPORT = operation(
    "post_report",
    responses({202: (_REPORT, "The report is begun")}, _OF_REPORTS | OF_BODIES),
    body=object_schema(MEMBERS) | {"additionalProperties": False},
)
GET_REPORT = operation("get_report", responses({200: (_REPORT, "How far the report is")}, _OF_REPORTS))
_KINDS = {name: kind.partition(";")[0] for name, kind in render.KINDS.items()}
GET_REPORT_FILE = operation(
    "get_report_file",
    responses({}, _OF_REPORTS)
    | {(200, kind): OpenApiResponse(_FILES[name], "The report") for name, kind in _KINDS.items()},
    parameters=[
        OpenApiParameter("name", TEXT, OpenApiParameter.PATH, description="report.json, report.html or report.pdf")
    ],
)
POST_REPORT_BUNDLE: dict[str, Any] = POST_EXPORT | {"operation_id": "post_report_bundle", "request": None}
