"""The URLs of the role, a DRF view that does nothing, the ceiling of any view on this server, and a stock admin."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class BareView(APIView):
    """Neither authenticates, parses nor stores."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        return Response({"event_id": "", "message": "", "state": "stored"}, status=201)


urlpatterns: list[Any] = [path("bare", BareView.as_view())]
if settings.ROLE == "ingest":
    urlpatterns += import_module("auditsite.ingest_urls").urlpatterns
else:
    from bench.pages import stock

    urlpatterns += [*import_module("auditsite.urls").urlpatterns, path("stock/", stock.site.urls)]
