"""The site's URLs, a DRF view that does nothing, the ceiling of any view on this server, and a stock admin."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auditsite.urls import urlpatterns as site
from bench.pages import stock


class BareView(APIView):
    """Neither authenticates, parses nor stores."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        return Response({"event_id": "", "message": "", "state": "stored"}, status=201)


urlpatterns = [*site, path("bare", BareView.as_view()), path("stock/", stock.site.urls)]
