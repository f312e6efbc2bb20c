"""The record list as data: `list.json` and `list.csv` answer the same query, a thousand records at a time."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db import OperationalError
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from audit.admin.base import ReadOnly
from audit.admin.search import query_bar
from audit.evidence.download import spooled
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

    def twin_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """Return the records of a query; `next` (or the header `Link`) is the address of those after them."""
        self.require_view(request)
        bar = query_bar.read(request.GET)
        if bar.problem:
            return JsonResponse({"error": bar.problem, "try": [link.label for link in bar.offers]}, status=400)
        try:
            after = query.read_cursor(request.GET["after"]) if request.GET.get("after") else None
            search = msgspec.structs.replace(bar.search(LIMIT), after=after)
            visible: Any = self.get_queryset(request)
            ids, more = query.page_ids(search, visible)
        except ValueError as error:
            return JsonResponse({"error": f"after {error}"}, status=400)
        except OperationalError as error:
            if not cost.was_stopped(error):
                raise
            return JsonResponse({"error": "This search takes too long: narrow it by time."}, status=503)
        return _answer(form, bar, ids, more, request)


def _answer(form: str, bar: Any, ids: Sequence[UUID], more: bool, request: HttpRequest) -> HttpResponseBase:
    following = _following(bar, ids[-1], request) if more else None
    if form == "json":
        response = spooled(_json(bar, ids, following), "application/json")
    else:
        response = spooled(_csv(ids), "text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="records.csv"'
    if following:
        response["Link"] = f'<{following}>; rel="next"'
    return response


def _following(bar: Any, last: UUID, request: HttpRequest) -> str:
    after = query.cursor(Record.objects.only("event_timestamp").get(pk=last))
    return str(request.build_absolute_uri(f"?{query_bar.parameters(bar.text, {'after': after})}"))


def _json(bar: Any, ids: Sequence[UUID], following: str | None) -> Iterator[bytes]:
    yield f'{{"query": {json.dumps(str(bar.query), ensure_ascii=False)}, "data": ['.encode()
    between = ""
    for portion in query.in_portions(ids):
        for record in portion:
            yield f"{between}{json.dumps(record.as_json(), ensure_ascii=False)}".encode()
            between = ", "
    yield f'], "next": {json.dumps(following)}}}'.encode()


def _csv(ids: Sequence[UUID]) -> Iterator[bytes]:
    yield _row(COLUMNS)
    for portion in query.in_portions(ids):
        for record in portion:
            values = record.as_json()
            yield _row([cell(values.get(name)) for name in COLUMNS])


def _row(cells: Sequence[str]) -> bytes:
    """A line of CSV; no cell of a record can be executed by a spreadsheet."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
