"""POST heartbeats: a sign of life in, what is missing out."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import heartbeat, postgres
from audit.api import schema
from audit.api.auth import writer_name
from audit.event import timestamp_text


class HeartbeatsView(APIView):
    """One heartbeat of the writer whose key it is."""

    scopes: ClassVar = {"POST": "write"}

    @extend_schema(**schema.POST_HEARTBEAT)
    def post(self, request: Request) -> Response:
        postgres.require()
        known = heartbeat.beat(request.data, writer=writer_name(request))
        return Response(
            {
                "highest": known.highest,
                "missing": [{"first": first, "last": last} for first, last in known.missing],
                "read_until": known.read_until and timestamp_text(known.read_until),
            }
        )
