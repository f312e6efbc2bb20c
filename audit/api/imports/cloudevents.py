"""POST import/cloudevents: CloudEvents 1.0 over HTTP, structured, in a batch, or binary."""

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from audit.api.imports.base import ForeignView, answer, read_body, text_of
from audit.api.openapi import imports as openapi
from audit.imports.item import Item
from audit.imports.sources import cloudevents


class CloudEventsView(ForeignView):
    """A CloudEvent, or a batch of them."""

    source = "cloudevents"

    def read(self, request: HttpRequest) -> list[Item]:
        if not cloudevents.is_binary(request.META):
            return read_body(text_of(request), self.mapping)
        return [Item("event 1", cloudevents.structured(request.META, text_of(request)))]

    @extend_schema(**openapi.CLOUDEVENTS)
    def post(self, request: Request) -> HttpResponse:
        return answer(self.taken(request), self.mapping, request.path)
