"""The page that compares two records side by side."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from audit.admin.base import ReadOnly
from audit.admin.display import time_tag
from audit.admin.search.diff import difference
from audit.models import Record


class ComparePage(ReadOnly):
    """`compare/?id=...&id=...`: the list leads here with the two records that were ticked."""

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        self.require_view(request)
        chosen = self._chosen(request)
        if len(chosen) != 2:
            messages.warning(request, "Select exactly two records to compare.")
            return redirect("admin:audit_record_changelist")
        first, second = sorted(chosen, key=lambda record: (record.event_timestamp, record.id))
        return self.page(
            request,
            "compare",
            title="Two records compared",
            difference=difference({"before": first.as_json(), "after": second.as_json()}, ""),
            records=[(record, time_tag(record.event_timestamp)) for record in (first, second)],
        )

    def _chosen(self, request: HttpRequest) -> list[Record]:
        ids: set[Any] = set()
        for text in request.GET.getlist("id")[:10]:
            try:
                ids.add(UUID(text))
            except ValueError:
                return []
        return list(self.get_queryset(request).filter(id__in=ids)[:3])
