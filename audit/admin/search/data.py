"""The record list as data: `list.json`, a thousand records at a time, and `list.csv`, all up to a stated limit."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
from django.db import OperationalError
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, path

from audit.admin.base import ReadOnly
from audit.admin.search import query_bar, table
from audit.evidence.download import spooled
from audit.models import Record, RecordQuerySet
from audit.search import cost, query

LIMIT = 1_000


class TwinPages(ReadOnly):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.twin_view)
        twins = [path(f"list.{form}", view, {"form": form}, name=f"audit_record_{form}") for form in ("json", "csv")]
        return [*twins, *super().get_urls()]

    def twin_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """Return the records of a query; `next` (or the header `Link`) is the address of the JSON after this."""
        self.require_view(request)
        bar = query_bar.read(request.GET)
        if bar.problem:
            return JsonResponse({"error": bar.problem, "try": [link.label for link in bar.offers]}, status=400)
        if bar.refused_as_of:
            return JsonResponse({"error": "as_of is no number: it is the size of a checkpoint"}, status=400)
        visible = bar.bound(cast(RecordQuerySet, self.get_queryset(request)))
        try:
            return table.response(bar.search(LIMIT), visible) if form == "csv" else _page(request, bar, visible)
        except ValueError as error:
            return JsonResponse({"error": f"after {error}"}, status=400)
        except OperationalError as error:
            if not isinstance(error, cost.TookTooLong) and not cost.was_stopped(error):
                raise
            if form == "csv":  # a person asks for it on a page
                return render(request, "pages/timeout.html", {"back": "../", "offers": bar.narrower}, status=503)
            return JsonResponse({"error": "This search takes too long: narrow it by time."}, status=503)


def _page(request: HttpRequest, bar: query_bar.QueryBar, visible: Any) -> HttpResponseBase:
    after = query.read_cursor(request.GET["after"]) if request.GET.get("after") else None
    ids, more = query.page_ids(msgspec.structs.replace(bar.search(LIMIT), after=after), visible)
    following = _following(bar, ids[-1], request) if more else None
    response = spooled(_json(bar, ids, following), "application/json")
    if following:
        response["Link"] = f'<{following}>; rel="next"'
    return response


def _following(bar: query_bar.QueryBar, last: UUID, request: HttpRequest) -> str:
    after = query.cursor(Record.objects.only("event_timestamp").get(pk=last))
    return str(request.build_absolute_uri(f"?{query_bar.parameters(bar.text, bar.kept_by_columns | {'after': after})}"))


def _json(bar: query_bar.QueryBar, ids: Sequence[UUID], following: str | None) -> Iterator[bytes]:
    yield f'{{"query": {json.dumps(str(bar.query), ensure_ascii=False)}, "data": ['.encode()
    between = ""
    for portion in query.in_portions(ids):
        for record in portion:
            yield f"{between}{json.dumps(record.as_json(), ensure_ascii=False)}".encode()
            between = ", "
    yield f'], "next": {json.dumps(following)}}}'.encode()
