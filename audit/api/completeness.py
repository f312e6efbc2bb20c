"""What writers say of their own events: heartbeats and manifests in, what is missing out."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api import throttles
from audit.api.auth import writer_name
from audit.api.base import ApiView
from audit.api.openapi import completeness as openapi
from audit.completeness import compare, heartbeats, manifests
from audit.formats.times import timestamp_text
from audit.models import Manifest


class HeartbeatsView(ApiView):
    """One heartbeat of the writer whose key it is."""

    scopes: ClassVar = {"POST": "write"}

    @extend_schema(**openapi.POST_HEARTBEAT)
    def post(self, request: Request) -> Response:
        answer = heartbeats.beat(request.data, writer=writer_name(request))
        return Response(
            {
                "highest": answer.highest,
                "missing": _ranges(answer.missing),
                "read_until": answer.read_until and timestamp_text(answer.read_until),
            }
        )


class ManifestsView(ApiView):
    """What the writer says that it made in a window."""

    scopes: ClassVar = {"POST": "write"}

    @extend_schema(**openapi.POST_MANIFEST)
    def post(self, request: Request) -> Response:
        throttles.check_manifests(request)
        return Response(_manifest(manifests.submit(request.data, writer=writer_name(request))))


class ManifestView(ApiView):
    """One manifest of the writer whose key it is, compared with the store as it is now."""

    scopes: ClassVar = {"GET": "write"}

    @extend_schema(**openapi.GET_MANIFEST)
    def get(self, request: Request, key: str) -> Response:
        manifest = Manifest.objects.filter(key=key.replace("\x00", ""), writer=writer_name(request)).first()
        if manifest is None:
            raise NotFound("No manifest of this writer has this id.")
        if not manifest.agrees:
            compare.compare(manifest)
        return Response(_manifest(manifest))


def _manifest(manifest: Manifest) -> dict[str, Any]:
    missing = manifests.missing(manifest)
    return {
        "manifest_id": manifest.key,
        "state": manifest.outcome,
        "count": manifest.count,
        "came": manifest.came,
        "missing": manifest.short,
        "surplus": manifest.surplus,
        "missing_numbers": _ranges(missing.numbers),
        "missing_ids": missing.ids,
        "looked_at": manifest.looked_at and timestamp_text(manifest.looked_at),
    }


def _ranges(numbers: list[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"first": first, "last": last} for first, last in numbers]
