"""Where everything is served."""

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.defaults import server_error
from django.views.generic import RedirectView

from audit import health
from audit.admin.frame import api_page, error_pages
from audit.admin.queue import status_page
from audit.api import problems
from audit.api.openapi.view import SchemaView
from audit.api.upstream import refused
from audit.verifier import page


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A problem document below /api/, a page elsewhere."""
    if problems.is_of_api(request.path):
        return problems.not_found(request, exception)
    return error_pages.missing(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A page that says whose right it is: the API answers its own refusals."""
    return error_pages.forbidden(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    """A problem document below /api/, a page elsewhere."""
    if problems.is_of_api(request.path):
        return problems.server_error(request)
    return server_error(request)


def closed(request: HttpRequest) -> HttpResponse:
    """Accounts are an administrator's: nobody makes one, changes its address or gets its password by mail."""
    raise Http404("There is no such page here.")


CLOSED = r"^accounts/(?:signup|email|confirm-email|phone|password|3rdparty)(?:/.*)?$"
"""What allauth would serve beside the login."""

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/audit/", include("audit.api.urls")),
    path("api/v1/effectiveness/<any_text:correlation_id>", refused.EffectivenessView.as_view()),
    path("api/v1/remediation-history/context", refused.RemediationHistoryView.as_view()),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", api_page.page, name="api-docs"),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("status", status_page.status_page),
    re_path(r"^verify/(?P<name>[a-z0-9.]*)$", page.page, name="verify"),
    path("metrics", health.metrics),
]
if settings.LOGIN_EXTRA:
    urlpatterns += [re_path(CLOSED, closed), path("accounts/", include("allauth.urls"))]
