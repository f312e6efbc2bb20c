"""Who looked: every search, view and download, newest first, of a person and a time."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from audit import visibility
from audit.access import access_log
from audit.admin.base import ReadOnly
from audit.admin.display import time_tag
from audit.formats import times
from audit.models import Access, Record
from audit.search import query

SHOWN = 20
PAGE = 50
FILTERS = ("who", "since", "until")


@admin.register(Access)
class AccessAdmin(ReadOnly):
    """The page is itself a look, and stands on top of itself when it is opened again."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = {name: request.GET.get(name, "").strip().replace("\x00", "") for name in FILTERS}
        where, wrong = _where(asked)
        found = [] if wrong else list(access_log.looks().filter(where, _after(request))[: PAGE + 1])
        visibility.note_shown(one.pk for one in found[:PAGE])
        onward = {**asked, "after": query.cursor(found[PAGE - 1])} if len(found) > PAGE else {}
        context = {
            **self.admin_site.each_context(request),
            "title": "Who looked",
            "opts": self.opts,
            "asked": asked,
            "wrong": wrong,
            "rows": [look_row(one) for one in found[:PAGE]],
            "next_url": f"?{urlencode(onward)}" if onward else "",
            "first_url": f"?{urlencode(asked)}" if request.GET.get("after") else "",
        }
        return TemplateResponse(request, "admin/audit/access/list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("admin:audit_record_change", object_id)  # it is a record as any other

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        raise Http404("A record has no history: it never changes.")


def _where(asked: dict[str, str]) -> tuple[Q, str]:
    """What is asked for, and what is wrong with it."""
    where, wrong = Q(), []
    if asked["who"]:
        where &= Q(actor_id=asked["who"])
    for name, field in (("since", "event_timestamp__gte"), ("until", "event_timestamp__lte")):
        try:
            where &= Q(**{field: times.read_time(asked[name])}) if asked[name] else Q()
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    return where, "; ".join(wrong)


def _after(request: HttpRequest) -> Q:
    """The place to go on from; one that cannot be read is the beginning."""
    try:
        return query.before(*query.read_cursor(request.GET["after"])) if request.GET.get("after") else Q()
    except ValueError:
        return Q()


def looks_context(request: HttpRequest, record: Record) -> dict[str, Any]:
    """The newest looks at this record, for those who may know; the one at hand is recorded when the page is made."""
    if not request.user.has_perm("audit.view_access"):
        return {"looks": None}
    with visibility.as_system():
        found = list(access_log.at(record)[: SHOWN + 1])
    return {"looks": [look_row(one) for one in found[:SHOWN]], "more_looks": len(found) > SHOWN}


def look_row(one: Record) -> dict[str, Any]:
    """One look, as tables show it."""
    facts = one.event_data
    return {
        "at": time_tag(one.event_timestamp),
        "who": one.actor_id,
        "kind": one.actor_type,
        "act": one.event_action,
        "address": one.actor_ip or "\u2014",
        "path": facts.get("path", ""),
        "query": facts.get("query", ""),
        "rows": "all that match" if facts.get("rows_follow") else facts.get("rows", 0),
        "status": facts.get("status", ""),
        "refused": one.event_outcome != "success",
        "id": one.pk,
    }
