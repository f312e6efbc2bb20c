"""The admin site, whose start page is the state of the store."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse

from audit.access.lockout import LoginForm

MENU = {
    "Records and evidence": ("record", "statement", "export", "report", "review", "missedreview", "legalhold"),
    "Is it complete, is it intact": (
        *("account", "hourcount", "gap", "manifest", "brokenpromise", "unmet", "rejectedsample"),
        *("checkpoint", "verification", "finding"),
    ),
    "Queue and outages": ("parked", "quarantined", "discard", "episode"),
    "Who may, who did, what holds": (
        *("access", "writer", "rightsrequest", "auditorscope", "expectation", "waiver", "redactionrule"),
    ),
}
"""The pages of the store in the order in which people look for them; what is not named here comes last."""


class AuditAdminSite(AdminSite):
    site_header = settings.SITE_NAME
    site_title = settings.SITE_NAME
    index_title = "State of the store"
    enable_nav_sidebar = False

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The menu: the store's pages under headings, then all others."""
        found = super().get_app_list(request, app_label)
        own = next((app for app in found if app["app_label"] == "audit"), None)
        if own is None:
            return found
        pages = {page["object_name"].lower(): page for page in own["models"]}
        parts = [
            own | {"name": name, "models": [pages.pop(page) for page in names if page in pages]}
            for name, names in MENU.items()
        ]
        parts.append(own | {"models": list(pages.values())})
        return [*(part for part in parts if part["models"]), *(app for app in found if app is not own)]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if settings.LOGIN_EXTRA:
            return self._login_elsewhere(request)
        self.login_form = LoginForm
        return super().login(request, extra_context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return super().each_context(request) | {"second_factor": settings.LOGIN_MFA != "off"}

    def _login_elsewhere(self, request: HttpRequest) -> HttpResponse:
        """To allauth's page; who is logged in there and comes back may not see the page that he asked for."""
        if request.user.is_authenticated and not self.has_permission(request):
            return render(request, "pages/no_rights.html", status=403)
        following = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index")
        if request.user.is_authenticated:
            return redirect("admin:index")
        return redirect_to_login(following, reverse("account_login"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        # Not above: audit.admin registers its pages with this site while it is imported.
        from audit.admin import dashboard

        return super().index(request, {"questions": dashboard.questions(request.user), **(extra_context or {})})
