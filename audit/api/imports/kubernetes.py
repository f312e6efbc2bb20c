"""POST import/kubernetes: the audit webhook of a Kubernetes API server (audit.k8s.io/v1, EventList).

It reads the status alone, and sends a batch again where that is no success, five times at most; so a batch of which one
event cannot be mapped is a success all the same, and that event waits for a person.
"""

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from audit.api.base import Answer
from audit.api.imports.base import ForeignView, answer, summary
from audit.api.openapi import imports as openapi


class KubernetesView(ForeignView):
    """A batch of audit events; answered as the API server expects, also while PostgreSQL is away."""

    source = "kubernetes"

    @extend_schema(**openapi.KUBERNETES)
    def post(self, request: Request) -> HttpResponse:
        taken = self.taken(request)
        if taken and all(each.state == "refused" for each in taken):
            return answer(taken, self.mapping, request.path)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200}
        return Answer(status | {"message": summary(taken)}, 200)
