"""POST import/otlp/v1/logs: logs of OpenTelemetry, as an exporter of OTLP over HTTP sends them."""

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from audit.api.base import Answer
from audit.api.imports.base import ForeignView, answer, errors_of, text_of
from audit.api.openapi import imports as openapi
from audit.errors import Invalid
from audit.imports.item import Item
from audit.imports.sources import otlp, protobuf


class OtlpView(ForeignView):
    """Log records, in JSON or in protobuf; answered in the same."""

    source = "otlp"

    def read(self, request: HttpRequest) -> list[Item]:
        if not _is_protobuf(request):
            return super().read(request)
        try:
            document = protobuf.logs(text_of(request))
        except ValueError as error:
            raise Invalid({"": f"the body is no ExportLogsServiceRequest in protobuf: {error}"}) from None
        return [Item(f"event {number}", record) for number, record in enumerate(otlp.records(document), 1)]

    @extend_schema(**openapi.OTLP)
    def post(self, request: Request) -> HttpResponse:
        taken = self.taken(request)
        refused = sum(each.state == "refused" for each in taken)
        if taken and refused == len(taken):
            return answer(taken, self.mapping, request.path)
        why = "; ".join(f"{place}: {text}" for place, text in list(errors_of(taken).items())[:3]) if refused else ""
        if _is_protobuf(request._request):
            return HttpResponse(protobuf.partial_success(refused, why), content_type=protobuf.MEDIA_TYPE)
        partial = {"partialSuccess": {"rejectedLogRecords": str(refused), "errorMessage": why}}
        return Answer(partial if refused else {}, 200)


def _is_protobuf(request: HttpRequest) -> bool:
    return (request.content_type or "").lower() == protobuf.MEDIA_TYPE
