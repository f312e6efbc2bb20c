"""POST import/SOURCE: events of any source for which there is a mapping."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from audit.api.imports.base import ForeignView, answer
from audit.api.openapi import imports as openapi
from audit.imports.catalogue import NoMapping
from audit.imports.mapping import Mapping


class SourceView(ForeignView):
    """Events as their source writes them: one, an array, lines, or an object in which an array holds them."""

    @property
    def mapping(self) -> Mapping:
        try:
            return super().mapping
        except NoMapping as error:
            raise NotFound(str(error)) from None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.source = kwargs["source"]
        super().initial(request, *args, **kwargs)

    @extend_schema(**openapi.IMPORT)
    def post(self, request: Request, source: str) -> HttpResponse:
        return answer(self.taken(request), self.mapping, _path(request))


def _path(request: Request) -> str:
    django: HttpRequest = request._request
    return django.path
