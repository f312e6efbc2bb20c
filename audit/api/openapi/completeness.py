"""What the OpenAPI description says of heartbeats and manifests."""

from typing import Any

from audit.api.openapi.blocks import INTEGER, OF_BODIES, TEXT, declared, object_schema, responses
from audit.completeness import heartbeats, manifests

POST_HEARTBEAT: dict[str, Any] = {
    "operation_id": "post_heartbeat",
    "request": {"application/json": declared(heartbeats.Beat)},
    "responses": responses(
        {
            200: (
                object_schema(
                    {
                        "highest": INTEGER,
                        "missing": {"type": "array", "items": object_schema({"first": INTEGER, "last": INTEGER})},
                        "read_until": {"type": ["string", "null"]},
                    }
                ),
                "What of this writer's numbers came, and which runs of them never did",
            )
        },
        OF_BODIES,
    ),
}

_RUNS = {"type": "array", "items": object_schema({"first": INTEGER, "last": INTEGER})}

_MANIFEST = object_schema(
    {"manifest_id": TEXT, "state": {"type": "string", "enum": ["complete", "incomplete", "differs"]}}
    | dict.fromkeys(("count", "came", "missing", "surplus"), INTEGER)
    | {"missing_numbers": _RUNS, "missing_ids": {"type": "array", "items": TEXT}, "looked_at": TEXT}
)

POST_MANIFEST: dict[str, Any] = {
    "operation_id": "post_manifest",
    "request": {"application/json": declared(manifests.StatedManifest)},
    "responses": responses({200: (_MANIFEST, "What of the stated events came, and which did not")}, OF_BODIES),
}

GET_MANIFEST: dict[str, Any] = {
    "operation_id": "get_manifest",
    "responses": responses({200: (_MANIFEST, "The same, as it stands now")}, {404: "No such manifest of this writer"}),
}
