"""Saved views in the record list: saved, shared with a group, removed."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from audit.admin.display import number
from audit.admin.search import query_bar
from audit.errors import AuditError
from audit.models import SavedView
from audit.search import saved_views


class SavedViews(admin.ModelAdmin):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("views/save/", wrap(require_POST(self.save_view)), name="audit_record_save_view"),
            path("views/<int:pk>/remove/", wrap(require_POST(self.remove_view)), name="audit_record_remove_view"),
            *super().get_urls(),
        ]

    def save_view(self, request: HttpRequest) -> HttpResponse:
        self._may(request)
        text, group = request.POST.get("q", ""), request.POST.get("group", "")
        try:
            view = saved_views.save(
                request.POST.get("name", ""), text, by=request.user, group=number(group) if group else None
            )
        except AuditError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"Saved as “{view.name}”.")
        return redirect(f"{reverse('admin:audit_record_changelist')}?{query_bar.parameters(text)}")

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._may(request)
        saved_view = saved_views.visible_to(request.user).filter(pk=pk).first()
        if saved_view is None:
            raise Http404("There is no such view.")
        try:
            saved_views.remove(saved_view, by=request.user)
        except AuditError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"“{saved_view.name}” is removed.")
        return redirect("admin:audit_record_changelist")

    def _may(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def views_of(user: Any) -> list[tuple[SavedView, str, bool]]:
    """Return the views that a person may open: the view, its address, and whether it is theirs."""
    return [
        (view, f"?{query_bar.parameters(view.query)}", view.owner == user.get_username())
        for view in saved_views.visible_to(user)
    ]
