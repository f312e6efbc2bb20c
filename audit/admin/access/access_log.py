"""The page that shows who viewed records: every search, view and download, newest first."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from audit import visibility
from audit.access import access_log
from audit.admin.access.page_names import page_name
from audit.admin.base import ReadOnly
from audit.admin.display import time_tag
from audit.formats import times
from audit.models import Access, Record
from audit.search import months, query

SHOWN = 20
PAGE = 50
# So many people are offered to choose from.
NAMES = 500
FILTERS = ("who", "since", "until")
# So far back a page looks, first and at most.
SPANS = (query.NEAR, timedelta(days=366))
BEFORE_ALL = UUID(int=0)


@admin.register(Access)
class AccessAdmin(ReadOnly):
    """Opening the page is recorded as well, and shown when it is opened again."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        filters = {name: request.GET.get(name, "").strip().replace("\x00", "") for name in FILTERS}
        times_asked, wrong = _times(filters)
        accesses, back_to = ([], None) if wrong else _looks(filters["who"], times_asked, _place(request))
        visibility.note_shown(access.pk for access in accesses[:PAGE])
        after = ""
        if len(accesses) > PAGE:
            after, back_to = query.cursor(accesses[PAGE - 1]), None
        elif back_to is not None:
            after = query.cursor_at(back_to, BEFORE_ALL)
        return self.page(
            request,
            "list",
            title="Access log",
            asked=filters,
            names=User.objects.order_by("username").values_list("username", flat=True)[:NAMES],
            wrong=wrong,
            rows=[look_row(access) for access in accesses[:PAGE]],
            back_to=time_tag(back_to) if back_to else "",
            next_url=f"?{urlencode(filters | {'after': after})}" if after else "",
            first_url=f"?{urlencode(filters)}" if request.GET.get("after") else "",
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("admin:audit_record_change", object_id)  # it is a record as any other

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404("A record has no history: it never changes.")


def _looks(
    who: str, times_asked: dict[str, datetime], place: tuple[datetime, UUID] | None
) -> tuple[list[Record], datetime | None]:
    """Return the looks of a page and one more, and how far back they were looked for; None where there are no others.

    To look into all months takes longer to plan than to do: a page goes back by the last of `SPANS`, and no further.
    """
    rows = access_log.looks().filter(Q(actor_id=who) if who else Q(), query.older_than(*place) if place else Q())
    ends = [*filter(None, (times_asked.get("until"), place[0] if place else None))]
    if ends:
        rows = rows.filter(Q(event_timestamp__lte=min(ends)), months.until(min(ends)))
    before = min([datetime.now(UTC), *ends])
    begins = max(times_asked.get("since", times.EARLIEST), access_log.beginning())
    found, reached = list[Record](), before
    for span in SPANS:
        if len(found) > PAGE or reached <= begins:
            break
        older, reached = reached, max(times.earlier(before, span), begins)
        part = rows.filter(Q(event_timestamp__gte=reached), months.since(reached))
        if older != before:
            part = part.filter(Q(event_timestamp__lt=older), months.until(older))
        found += part[: PAGE + 1 - len(found)]
    return found, reached if reached > begins else None


def _times(filters: dict[str, str]) -> tuple[dict[str, datetime], str]:
    """Return the times of the filters that are set, and what is wrong with them."""
    found, wrong = {}, []
    for name, read in (("since", times.read_time), ("until", times.read_until)):
        try:
            if filters[name]:
                found[name] = read(filters[name])
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    return found, "; ".join(wrong)


def _place(request: HttpRequest) -> tuple[datetime, UUID] | None:
    """Return the place of the page's cursor; a damaged one means the first page."""
    try:
        return query.read_cursor(request.GET["after"]) if request.GET.get("after") else None
    except ValueError:
        return None


def looks_context(request: HttpRequest, record: Record) -> dict[str, Any]:
    if not request.user.has_perm("audit.view_access"):
        return {"looks": None}
    with visibility.as_system():
        # Nobody viewed it before it was there.
        accesses = list(access_log.at(record).filter(months.since(record.stored_at))[: SHOWN + 1])
    return {"looks": [look_row(access) for access in accesses[:SHOWN]], "more_looks": len(accesses) > SHOWN}


def look_row(access: Record) -> dict[str, Any]:
    facts = access.event_data
    path, asked = facts.get("path", ""), facts.get("query", "")
    return {
        "at": time_tag(access.event_timestamp),
        "who": access.actor_id,
        "kind": access.actor_type,
        "act": access.event_action,
        "address": access.actor_ip or "\u2014",
        "path": path,
        "page": page_name(path, asked),
        "query": asked,
        "session": access.correlation_id if access.correlation_id.startswith("session-") else "",
        "rows": "all that match" if facts.get("rows_follow") else facts.get("rows", 0),
        "status": facts.get("status", ""),
        "refused": access.event_outcome != "success",
        "id": access.pk,
    }
