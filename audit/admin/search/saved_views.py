"""Saved searches: a page of them, saved, renamed, pinned, removed, and the alarms on them turned on and off."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from audit.admin.base import ReadOnly, post_act
from audit.admin.display import number, time_tag
from audit.admin.search import query_bar
from audit.formats.grammar import QueryRefused
from audit.models import SavedView, SearchAlarm
from audit.search import alarms, saved_views

LIST = "admin:audit_record_changelist"
SAVED = "admin:audit_record_saved"
PERMISSION = "audit.view_record"


class Row(NamedTuple):
    """A saved search as its page shows it; `alarm` is the owner's to see, `last` leads to what it told last."""

    view: SavedView
    url: str
    is_own: bool
    alarm: SearchAlarm | None
    looked_until: SafeString | str
    told_at: SafeString | str
    told: str
    last: str


class SavedViews(ReadOnly):
    def saved_view(self, request: HttpRequest) -> HttpResponse:
        self.require_view(request)
        rows = [_row(view, request.user) for view in saved_views.visible_to(request.user)]
        groups = {
            "Yours": [row for row in rows if row.is_own],
            "Shared with you": [row for row in rows if not row.is_own and not row.view.pack],
            "For everyone": [row for row in rows if row.view.pack],
        }
        most = {"most_each": alarms.MOST_EACH, "name_characters": saved_views.NAME}
        return self.page(request, "saved", title="Saved searches", groups=groups, **most)

    def save_view(self, request: HttpRequest) -> HttpResponse:
        text, group = request.POST.get("q", ""), request.POST.get("group", "")

        def save() -> SavedView:
            shared = number(group) if group else None
            return saved_views.save(request.POST.get("name", ""), text, by=request.user, group=shared)

        return post_act(request, PERMISSION, save, lambda view: f"Saved as “{view.name}”.", back=_address(text))

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return _change(request, pk, lambda view: saved_views.remove(view, by=request.user), "“{}” is removed.")

    def rename_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        name = request.POST.get("name", "")
        return _change(
            request, pk, lambda view: saved_views.rename(view, name, by=request.user), "It is called “{}” now."
        )

    def pin_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        pinned = request.POST.get("want") == "on"
        text = "“{}” stands first now." if pinned else "“{}” stands first no more."
        return _change(request, pk, lambda view: saved_views.pin(view, pinned, by=request.user), text)

    def alarm_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.POST.get("want") == "on":
            text = "You are told from now on when a record matches “{}”."
            return _change(request, pk, lambda view: alarms.turn_on(view, by=request.user), text)
        return _change(
            request, pk, lambda view: alarms.turn_off(view, by=request.user), "The alarm on “{}” is turned off."
        )


def views_of(user: Any) -> list[tuple[SavedView, str, bool]]:
    return [
        (view, f"?{query_bar.parameters(view.query)}", view.owner == user.get_username())
        for view in saved_views.visible_to(user)
    ]


def _row(view: SavedView, user: Any) -> Row:
    is_own = view.owner == user.get_username()
    alarm: SearchAlarm | None = getattr(view, "alarm", None) if is_own else None
    url = _address(view.query)
    if alarm is None:
        return Row(view, url, is_own, None, "", "", "", "")
    told, last = "", ""
    if alarm.told_first is not None and alarm.told_last is not None:
        told, last = alarms.counted(alarm.told_records), url
        with suppress(QueryRefused):  # one that was saved before the language changed
            last = _address(alarms.within(view.query, alarm.told_first, alarm.told_last))
    return Row(view, url, True, alarm, time_tag(alarm.looked_until), time_tag(alarm.told_at), told, last)


def _address(text: str) -> str:
    return f"{reverse(LIST)}?{query_bar.parameters(text)}"


def _change(request: HttpRequest, pk: int, act: Callable[[SavedView], None], success: str) -> HttpResponse:
    """Do what a person posted to one of the searches that they see, and lead back to the list of them."""

    def change() -> SavedView:
        view = saved_views.visible_to(request.user).filter(pk=pk).first()
        if view is None:
            raise Http404("There is no such saved search.")
        act(view)
        return view

    return post_act(request, PERMISSION, change, lambda view: success.format(view.name), back=reverse(SAVED))
