"""The admin of records: found fast, read only for everyone."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin.base import ReadOnly
from audit.admin.display import OUTCOMES, STATES, badge, breakable, column, time_column
from audit.admin.search import query_bar
from audit.admin.search.compare import ComparePage
from audit.admin.search.data import TwinPages
from audit.admin.search.record_list import KeysetChangeList
from audit.admin.search.record_page import RecordPage
from audit.admin.search.saved_views import SavedViews, views_of
from audit.admin.search.timeline import TimelinePage
from audit.formats.fields import FIELDS
from audit.models import Record, RecordQuerySet
from audit.queue import corrections
from audit.search import cost


@admin.register(Record)
class RecordAdmin(RecordPage, TimelinePage, TwinPages, ComparePage, SavedViews, ReadOnly):
    """Nobody adds, changes or deletes a record here, not even a superuser."""

    views: ClassVar = {
        "<uuid:record_id>/proof/": "proof",
        "<uuid:record_id>/bundle/": "bundle",
        "<uuid:record_id>/canonical/": "canonical",
        "timeline/": "timeline",
        "compare/": "compare",
        "views/": "saved",
        "views/save/": "save",
        "views/<int:pk>/remove/": "remove",
        "views/<int:pk>/rename/": "rename",
        "views/<int:pk>/pin/": "pin",
        "views/<int:pk>/alarm/": "alarm",
    }
    list_display = ("pick", "time", "event_type")
    list_display_links = ("time",)
    list_max_show_all = 0
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        chosen = query_bar.chosen_columns(request.GET) or query_bar.SHOWN
        # A column that is called as a field of the model would show the bare field.
        own = (f"{name}_value" if hasattr(self, f"{name}_value") else name for name in chosen)
        return ("pick", "time", "event_type_value", *own)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if (window := query_bar.chosen_window(request.GET)) is not None:
            return redirect(request.path + window)
        context = {"title": "Records", "views": views_of(request.user), "my_groups": request.user.groups.all()}
        try:
            return super().changelist_view(request, context | (extra_context or {}))
        except OperationalError as error:
            if not cost.was_stopped(error):
                raise
            offers = query_bar.read(request.GET).narrower
            return render(request, "pages/timeout.html", {"back": request.path, "offers": offers}, status=503)

    def get_queryset(self, request: HttpRequest) -> RecordQuerySet:
        return Record.objects.with_state().order_by("-event_timestamp", "-id")

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        raise PermissionDenied  # a record has no history: it never changes

    @admin.display(description="compare")
    def pick(self, record: Record) -> SafeString:
        box = '<input type="checkbox" name="id" value="{}" form="compare" aria-label="Compare {} of {}">'
        return format_html(box, record.pk, record.event_type, record.event_timestamp)

    time = time_column("time (UTC)", "event_timestamp", sortable=False)
    event_type_value = column("type", lambda record: _type(record))
    received = time_column("received (UTC)", "received_at", sortable=False)
    actor_id_value = column("actor", lambda record: _value(record, "actor", record.actor_id))
    resource = column("resource", lambda record: _resource(record))
    outcome = column(
        "outcome",
        lambda record: _value(
            record,
            "outcome",
            record.event_outcome,
            badge(OUTCOMES[record.event_outcome], record.event_outcome),
        ),
    )
    severity_value = column("severity", lambda record: _value(record, "severity", record.severity))
    writer_value = column("writer", lambda record: _value(record, "writer", record.writer))
    event_category_value = column("category", lambda record: _value(record, "category", record.event_category))
    event_action_value = column("action", lambda record: _value(record, "action", record.event_action))
    correlation_id_value = column("correlation", lambda record: _value(record, "correlation", record.correlation_id))
    namespace_value = column("namespace", lambda record: _value(record, "namespace", record.namespace))
    error_code_value = column("error", lambda record: _value(record, "error", record.error_code))
    state_badge = column("state", lambda record: badge(STATES[record.state], record.state))


def _value(record: Any, field: str, text: str | None, shown: SafeString | None = None) -> SafeString | str:
    """A value of a row, as a link that narrows the query to it; audit/static/audit/values.js offers more."""
    if not text:
        return "—"
    if record.erasable and FIELDS[field].column in record.erasable:
        return breakable(text)  # no query finds it
    link = '<a class="value" href="{}" data-field="{}" data-value="{}">{}</a>'
    return format_html(link, record.bar.narrowed(field, text), field, text, breakable(text) if shown is None else shown)


def _type(record: Any) -> SafeString | str:
    value = _value(record, "type", record.event_type)
    if not corrections.is_corrected(record):
        return value
    return format_html(
        '{} <span class="quiet" title="A person wrote it: the writer sent another">corrected</span>', value
    )


def _resource(record: Any) -> SafeString:
    return format_html(
        '<span class="quiet">{}</span> {}', record.resource_type, _value(record, "resource", record.resource_id)
    )
