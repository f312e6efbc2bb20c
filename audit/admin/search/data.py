"""The record list as data: `list.json` and `list.csv` answer the same query, a thousand records at a time."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import msgspec
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path

from audit.admin.base import ReadOnly
from audit.admin.search import query_bar
from audit.evidence.volumes import cell
from audit.formats import event
from audit.models import Record
from audit.search import cost, query

LIMIT = 1_000
COLUMNS = (*event.FIELDS, "writer", "state", "digest", "received_at", "parked_at", "stored_at")


class TwinPages(ReadOnly):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.twin_view)
        twins = [path(f"list.{form}", view, {"form": form}, name=f"audit_record_{form}") for form in ("json", "csv")]
        return [*twins, *super().get_urls()]

    def twin_view(self, request: HttpRequest, form: str) -> HttpResponse:
        """Return the records of a query; `next` (or the header `Link`) is the address of those after them."""
        self.require_view(request)
        bar = query_bar.read(request.GET)
        if bar.problem:
            return JsonResponse({"error": bar.problem, "try": [link.label for link in bar.offers]}, status=400)
        try:
            after = query.read_cursor(request.GET["after"]) if request.GET.get("after") else None
            search = msgspec.structs.replace(bar.search(LIMIT), after=after)
            visible: Any = self.get_queryset(request)
            records, more = query.page(search, visible)
        except ValueError as error:
            return JsonResponse({"error": f"after {error}"}, status=400)
        except OperationalError as error:
            if not cost.was_stopped(error):
                raise
            return JsonResponse({"error": "This search takes too long: narrow it by time."}, status=503)
        return _answer(form, bar, records, request, query.cursor(records[-1]) if more else None)


def _answer(form: str, bar: Any, records: list[Record], request: HttpRequest, cursor: str | None) -> HttpResponse:
    more = {"after": cursor} if cursor else {}
    following = request.build_absolute_uri(f"?{query_bar.parameters(bar.text, more)}") if cursor else None
    response: HttpResponse
    if form == "json":
        body = {"query": str(bar.query), "data": [record.as_json() for record in records], "next": following}
        response = HttpResponse(json.dumps(body, ensure_ascii=False), content_type="application/json")
    else:
        response = HttpResponse(rows(records), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="records.csv"'
    if following:
        response["Link"] = f'<{following}>; rel="next"'
    return response


def rows(records: Iterable[Record]) -> str:
    """Return records as CSV with a header; no cell can be executed by a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for record in records:
        values = record.as_json()
        writer.writerow([cell(values.get(name)) for name in COLUMNS])
    return text.getvalue()
