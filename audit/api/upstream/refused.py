"""What Kubernaut's Data Storage service derives from events, and this store does not: answered 501, and why."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.base import ApiView
from audit.api.openapi import upstream as openapi


class NotImplementedHere(APIException):
    status_code = 501


class RefusedView(ApiView):
    """Refuses without reading a record. Not found would read as: there is nothing of this."""

    scopes: ClassVar = {"GET": "read", "POST": "read"}
    works_without_postgres = ("GET", "POST", "HEAD")
    why: ClassVar[str]

    def refuse(self) -> Response:
        raise NotImplementedHere(f"{self.why} The events are here: GET /api/v1/audit/events?correlation_id=...")


class ReconstructView(RefusedView):
    """A remediation request made again from its events."""

    why = "This store keeps events and judges none: it makes no Kubernetes object from them."

    @extend_schema(**openapi.RECONSTRUCT)
    def post(self, request: Request, **path: Any) -> Response:
        return self.refuse()


class EffectivenessView(RefusedView):
    """The score of a remediation."""

    why = "This store keeps events and judges none: it computes no score from them."

    @extend_schema(**openapi.EFFECTIVENESS)
    def get(self, request: Request, **path: Any) -> Response:
        return self.refuse()


class RemediationHistoryView(RefusedView):
    """Earlier remediations of a resource."""

    why = "This store keeps events and judges none: it derives no history of remediations from them."

    @extend_schema(**openapi.REMEDIATION_HISTORY)
    def get(self, request: Request) -> Response:
        return self.refuse()
