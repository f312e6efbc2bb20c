"""The record list: what the query bar asks for, each page at the cost of the first."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest

from audit import visibility
from audit.admin.display import age
from audit.admin.search import facets, hints, histogram, query_bar
from audit.models import Record
from audit.search import query

CURSOR = "after"


class KeysetChangeList(ChangeList):
    """A list without COUNT(*) over everything and without OFFSET."""

    bar: query_bar.QueryBar
    next_cursor: str | None = None
    count_text = in_log = ""
    newest: Record | None = None
    chart: histogram.Chart | None = None
    facet_counts: facets.Facets | None = None
    near: list[hints.Offer]
    erasable: list[str]

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return nothing: the query alone filters."""
        return {}

    def get_results(self, request: HttpRequest) -> None:
        self.bar = query_bar.read(request.GET)
        place = self._place(request)
        self.queryset = self.bar.bound(self.queryset)
        if self.bar.refused_as_of:
            messages.warning(request, "The size of the checkpoint is no number: these are the records of now.")
        search = msgspec.structs.replace(self.bar.search(self.list_per_page), after=place)
        rows, more = query.page(search, self.queryset) if not self.bar.problem else ([], False)
        rows = [row.in_words() for row in rows]
        for row in rows:
            row.bar = self.bar  # type: ignore[attr-defined]  # the columns link to narrower queries
        self.result_list = rows
        self.result_count = len(rows)
        self.next_cursor = query.cursor(rows[-1]) if more else None
        self.in_log = query.about_how_many()
        # What is all on this page is counted by its ids, which lie in few months.
        counted = self.queryset if more else self.queryset.filter(pk__in=[row.pk for row in rows])
        self.chart = histogram.chart(self.bar, counted) if rows and place is None else None
        self.facet_counts = facets.facets(self.bar, counted) if len(rows) > 1 and place is None else None
        self.count_text = str(len(rows)) if not more and place is None else self._count()
        self.near = hints.near(self.bar, self.queryset) if not rows and not self.bar.problem else []
        self.erasable = [] if rows or self.bar.problem else hints.erasable(self.bar.query)
        visibility.note_shown(row.pk for row in rows)
        with visibility.as_system():
            self.newest = None if rows else Record.objects.order_by("-event_timestamp", "-id").first()
        self.full_result_count = None
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.result_list, self.list_per_page)

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """Drop the cursor: a position in one list means nothing in another."""
        return str(super().get_query_string(new_params, [*(remove or []), CURSOR]))

    @property
    def newest_age(self) -> str:
        """How long ago the store received its newest record, shown where a list is empty."""
        return age((datetime.now(UTC) - self.newest.event_timestamp).total_seconds()) if self.newest else ""

    @property
    def words(self) -> list[query_bar.Link]:
        """The query with its bare words in one field each."""
        return hints.words_as_fields(self.bar)

    @property
    def twin(self) -> str:
        """The address of the same records as data, without the path."""
        return f"?{query_bar.parameters(self.bar.text, self.bar.kept_by_columns)}"

    @property
    def now_url(self) -> str:
        """The same query without the bound of a checkpoint."""
        return self.get_query_string({}, [query_bar.AS_OF])

    @property
    def next_url(self) -> str:
        return self.get_query_string({CURSOR: self.next_cursor})

    @property
    def first_url(self) -> str:
        return self.get_query_string()

    @property
    def is_first(self) -> bool:
        return CURSOR not in self.params

    def _count(self) -> str:
        """Return how many records match, as far as that is known quickly: the rows matter more."""
        if self.facet_counts is not None:
            counted: tuple[int, bool] | None = self.facet_counts.records, self.facet_counts.is_capped
        else:
            counted = query.count(query.matching(self.bar.search(1), self.queryset), facets.RECORDS)
        return "many" if counted is None else f"{intcomma(counted[0])}{'+' * counted[1]}"

    def _place(self, request: HttpRequest) -> tuple[datetime, UUID] | None:
        try:
            return query.read_cursor(request.GET[CURSOR]) if request.GET.get(CURSOR) else None
        except ValueError:
            messages.warning(request, "The page address was damaged: this is the first page.")
            return None
