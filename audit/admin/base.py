"""What the pages of the admin share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect

from audit.errors import AuditError

P = ParamSpec("P")
View = Callable[Concatenate[Any, HttpRequest, P], HttpResponse]


class ReadOnly(admin.ModelAdmin):
    """For looking."""

    actions = None
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    show_full_result_count = False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RecordedFirst(admin.ModelAdmin):
    """What cannot be recorded is not done, and said so."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except AuditError as error:
            messages.error(request, f"Nothing was done: {error}")
            return redirect(request.get_full_path())


def post_only(permission: str) -> Callable[[View[P]], View[P]]:
    """Let a view of an admin take POST alone, from users with this permission."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def checked(self: Any, request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(self, request, *args, **kwargs)

        return checked

    return decorate
