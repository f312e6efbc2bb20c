"""The admin site: opens on the state of the store."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse


class AuditAdminSite(AdminSite):
    """Django's admin with our start page."""

    site_header = settings.SITE_NAME
    site_title = settings.SITE_NAME
    index_title = "State of the store"
    enable_nav_sidebar = False

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Not above, for the same reason as below.
        from audit.admin.login_form import LoginForm

        self.login_form = LoginForm
        return super().login(request, extra_context)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        # Not above: audit.admin registers its pages with this site while it is imported.
        from audit.admin import status

        return super().index(request, {"parts": status.parts(request.user), **(extra_context or {})})
