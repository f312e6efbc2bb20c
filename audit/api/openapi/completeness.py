"""What the OpenAPI description says of heartbeats and manifests."""

from audit.api.openapi.blocks import INTEGER, NULLABLE, OF_BODIES, TEXT, declared, object_schema, operation, responses
from audit.completeness import heartbeats, manifests

_RUNS = {"type": "array", "items": object_schema({"first": INTEGER, "last": INTEGER})}
_HEARTBEAT = object_schema({"highest": INTEGER, "missing": _RUNS, "read_until": NULLABLE})
_MANIFEST = object_schema(
    {"manifest_id": TEXT, "state": {"type": "string", "enum": ["complete", "incomplete", "differs"]}}
    | dict.fromkeys(("count", "came", "missing", "surplus"), INTEGER)
    | {"missing_numbers": _RUNS, "missing_ids": {"type": "array", "items": TEXT}, "looked_at": TEXT}
)
POST_HEARTBEAT = operation(
    "post_heartbeat",
    responses({200: (_HEARTBEAT, "What of this writer's numbers came, and which runs of them never did")}, OF_BODIES),
    body=declared(heartbeats.Beat),
    required=False,
)
POST_MANIFEST = operation(
    "post_manifest",
    responses({200: (_MANIFEST, "What of the stated events came, and which did not")}, OF_BODIES),
    body=declared(manifests.StatedManifest),
)
GET_MANIFEST = operation(
    "get_manifest",
    responses({200: (_MANIFEST, "The same, as it stands now")}, {404: "No such manifest of this writer"}),
)
