"""The admin site, whose start page is the state of the store."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import AdminSite, autodiscover
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.checks import CheckMessage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import SimpleLazyObject

from audit.access.lockout import LoginForm


class AuditAdminSite(AdminSite):
    site_header = settings.SITE_NAME
    site_title = settings.SITE_NAME
    index_title = "State of the store"
    site_url = None
    empty_value_display = "—"
    # Ours, of audit/admin/frame/navigation.py, stands in its place.
    enable_nav_sidebar = True

    def check(self, app_configs: Sequence[AppConfig] | None) -> list[CheckMessage]:
        autodiscover()
        return super().check(app_configs)

    def get_urls(self) -> list[Any]:
        # Not above: audit.admin registers its pages with this site while it is imported.
        from audit.admin.frame import connect, find, first_person, help_page, my_tasks

        autodiscover()
        pages = {"find": find.find, "tasks": my_tasks.page, "help": help_page.page, "connect": connect.page}
        own = [path(f"{name}/", self.admin_view(view), name=name) for name, view in pages.items()]
        first = path("first/<str:token>/", first_person.make, name="first_person")
        return [*own, first, *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return nothing: the rail leads everywhere."""
        return []

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Lead from an app's address to the start page: the rail knows no apps."""
        return redirect("admin:index")  # type: ignore[return-value]  # typed as a page that is rendered

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from audit.admin.frame import first_person

        if request.method == "GET" and request.user.is_anonymous and first_person.is_needed():
            return first_person.waiting(request)
        if settings.LOGIN_EXTRA:
            return self._login_elsewhere(request)
        self.login_form = LoginForm
        return super().login(request, extra_context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page knows: the rail, whether PostgreSQL is away, who paused the queue; each read where shown."""
        from audit.admin.frame import navigation

        return super().each_context(request) | {
            "second_factor": settings.LOGIN_MFA != "off",
            "rail": SimpleLazyObject(lambda: navigation.rail(request)),
            "away": SimpleLazyObject(lambda: navigation.away(request.user)),
            "queue_paused": SimpleLazyObject(lambda: navigation.paused(request.user)),
        }

    def _login_elsewhere(self, request: HttpRequest) -> HttpResponse:
        """To allauth's page; who is logged in there and comes back may not see the page that they asked for."""
        if request.user.is_authenticated and not self.has_permission(request):
            from audit.admin.frame import my_tasks

            return render(request, "pages/no_rights.html", {"pending": my_tasks.pending(request.user)}, status=403)
        following = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index")
        if request.user.is_authenticated:
            return redirect("admin:index")
        return redirect_to_login(following, reverse("account_login"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        # Not above: audit.admin registers its pages with this site while it is imported.
        from audit.admin import dashboard
        from audit.admin.frame import connect, my_tasks

        context = {"questions": dashboard.questions(request.user), "first_steps": connect.is_needed()}
        context["pending"] = my_tasks.pending(request.user)
        return super().index(request, context | (extra_context or {}))
