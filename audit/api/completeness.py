"""What writers say of their own events: heartbeats and manifests in, what is missing out."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.auth import writer_name
from audit.api.base import ApiView
from audit.api.openapi import completeness as openapi
from audit.completeness import heartbeats, manifests
from audit.formats.times import timestamp_text
from audit.models import Manifest


class HeartbeatsView(ApiView):
    """One heartbeat of the writer whose key it is."""

    scopes: ClassVar = {"POST": "write"}

    @extend_schema(**openapi.POST_HEARTBEAT)
    def post(self, request: Request) -> Response:
        known = heartbeats.beat(request.data, writer=writer_name(request))
        return Response(
            {
                "highest": known.highest,
                "missing": [{"first": first, "last": last} for first, last in known.missing],
                "read_until": known.read_until and timestamp_text(known.read_until),
            }
        )


class ManifestsView(ApiView):
    """What the writer says that it made in a window."""

    scopes: ClassVar = {"POST": "write"}

    @extend_schema(**openapi.POST_MANIFEST)
    def post(self, request: Request) -> Response:
        return Response(_manifest(manifests.state(request.data, writer=writer_name(request))))


class ManifestView(ApiView):
    """One manifest of the writer whose key it is, as it stands."""

    scopes: ClassVar = {"GET": "write"}

    @extend_schema(**openapi.GET_MANIFEST)
    def get(self, request: Request, key: str) -> Response:
        found = Manifest.objects.filter(key=key.replace("\x00", ""), writer=writer_name(request)).first()
        if found is None:
            raise NotFound("No manifest of this writer has this id.")
        if not found.agrees:
            manifests.look(found)
        return Response(_manifest(found))


def _manifest(found: Manifest) -> dict[str, Any]:
    lost = manifests.missing(found)
    return {
        "manifest_id": found.key,
        "state": found.outcome,
        "count": found.count,
        "came": found.came,
        "missing": found.short,
        "surplus": found.surplus,
        "missing_numbers": [{"first": first, "last": last} for first, last in lost.numbers],
        "missing_ids": lost.ids,
        "looked_at": found.looked_at and timestamp_text(found.looked_at),
    }
