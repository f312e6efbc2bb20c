"""The admin site: opens on the state of the store."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse


class AuditAdminSite(AdminSite):
    """Django's admin with our start page."""

    site_header = settings.SITE_NAME
    site_title = settings.SITE_NAME
    index_title = "State of the store"
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        # Not above: audit.admin registers its pages with this site while it is imported.
        from audit.admin import status

        return super().index(request, {"questions": status.questions(request.user), **(extra_context or {})})
