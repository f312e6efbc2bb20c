"""Saved views in the record list: saved, shared with a group, removed."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from audit.admin.base import ReadOnly, post_act
from audit.admin.display import number
from audit.admin.search import query_bar
from audit.models import SavedView
from audit.search import saved_views

LIST = "admin:audit_record_changelist"
PERMISSION = "audit.view_record"


class SavedViews(ReadOnly):
    def save_view(self, request: HttpRequest) -> HttpResponse:
        text, group = request.POST.get("q", ""), request.POST.get("group", "")

        def save() -> SavedView:
            shared = number(group) if group else None
            return saved_views.save(request.POST.get("name", ""), text, by=request.user, group=shared)

        back = f"{reverse(LIST)}?{query_bar.parameters(text)}"
        return post_act(request, PERMISSION, save, lambda view: f"Saved as “{view.name}”.", back=back)

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def remove() -> SavedView:
            view = saved_views.visible_to(request.user).filter(pk=pk).first()
            if view is None:
                raise Http404("There is no such view.")
            saved_views.remove(view, by=request.user)
            return view

        return post_act(request, PERMISSION, remove, lambda view: f"“{view.name}” is removed.", back=reverse(LIST))


def views_of(user: Any) -> list[tuple[SavedView, str, bool]]:
    return [
        (view, f"?{query_bar.parameters(view.query)}", view.owner == user.get_username())
        for view in saved_views.visible_to(user)
    ]
