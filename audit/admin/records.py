"""Records: found fast, read only, by anyone."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connections, transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from audit import bundle, looking, merkle, note, query, sealkeys
from audit import log as stored
from audit.admin import drawing, seen, status
from audit.admin.format import OUTCOMES, STATES, badge, pretty, time_tag
from audit.errors import AuditError
from audit.models import Record
from audit.verify.records import recomputed

CATEGORIES = [
    "gateway",
    "notification",
    "analysis",
    "aiagent",
    "signalprocessing",
    "workflow",
    "workflowexecution",
    "orchestration",
    "approval",
    "effectiveness",
    "actiontype",
    "apifrontend",
    "security",
    "agentsession",
]
SEARCHED = ("correlation_id", "actor_id", "resource_id", "event_type")
CURSOR = "after"
COUNT_TIMEOUT_MS = 200
QUERY_CANCELED = "57014"


class Window(admin.SimpleListFilter):
    """How far back."""

    title = "time"
    parameter_name = "window"
    spans = {"15m": timedelta(minutes=15), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("15m", "last 15 minutes"), ("24h", "last 24 hours"), ("7d", "last 7 days"), ("30d", "last 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Record]) -> QuerySet[Record]:
        span = self.spans.get(self.value() or "")
        return queryset.filter(event_timestamp__gte=datetime.now(UTC) - span) if span else queryset


class Category(admin.SimpleListFilter):
    """The catalogue of categories; a look at the table for them would read all of it."""

    title = "category"
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in CATEGORIES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Record]) -> QuerySet[Record]:
        return queryset.filter(event_category=self.value()) if self.value() else queryset


class KeysetChangeList(ChangeList):
    """A list without COUNT(*) over all and without OFFSET: every page costs what the first one costs."""

    next_cursor: str | None = None
    count_text = ""
    in_log = ""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(CURSOR, None)
        return found

    def get_results(self, request: HttpRequest) -> None:
        records: Any = self.queryset
        place = self._place(request)
        rows = list((records.filter(query.before(*place)) if place else records)[: self.list_per_page + 1])
        self.result_list = rows[: self.list_per_page]
        looking.show(record.pk for record in self.result_list)
        self.result_count = len(self.result_list)
        self.next_cursor = query.cursor(rows[self.list_per_page - 1]) if len(rows) > self.list_per_page else None
        self.count_text = str(len(rows)) if self.next_cursor is None and place is None else self._count(records)
        self.in_log = status.about_how_many()
        self.full_result_count = None
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.result_list, self.list_per_page)

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """A place in one list means nothing in another: links to filters begin at the newest."""
        found: str = super().get_query_string(new_params, [*(remove or []), CURSOR])
        return found

    @property
    def next_url(self) -> str:
        return self.get_query_string({CURSOR: self.next_cursor})

    @property
    def first_url(self) -> str:
        return self.get_query_string()

    @property
    def is_first(self) -> bool:
        return CURSOR not in self.params

    def _count(self, records: Any) -> str:
        """How many match, as far as that is quickly known: the rows are worth more than their number."""
        try:
            with transaction.atomic(using="reader"), connections["reader"].cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", [COUNT_TIMEOUT_MS])
                count = records.order_by()[: query.COUNT_CAP + 1].count()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
                raise
            return "many"
        return intcomma(count) if count <= query.COUNT_CAP else f"{intcomma(query.COUNT_CAP)}+"

    def _place(self, request: HttpRequest) -> tuple[datetime, UUID] | None:
        text = request.GET.get(CURSOR)
        if not text:
            return None
        try:
            return query.read_cursor(text)
        except ValueError:
            messages.warning(request, "The page address was damaged: this is the first page.")
            return None


@admin.register(Record)
class RecordAdmin(admin.ModelAdmin):
    """Nobody adds, changes or deletes a record here, a superuser neither."""

    list_display = ("time", "event_type", "actor_id", "resource", "outcome", "severity", "writer", "state_badge")
    list_display_links = ("time", "event_type")
    list_filter = (Window, "event_outcome", Category)
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    search_fields = SEARCHED
    search_help_text = "Exactly: an event id, correlation id, actor, resource id or event type."
    sortable_by = ()
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Records", **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Record], search_term: str
    ) -> tuple[QuerySet[Record], bool]:
        """Equal to an indexed field, never a scan."""
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        wanted = Q()
        for field in SEARCHED:
            wanted |= Q(**{field: term})
        # Many correlation ids are UUIDs too: what looks like an event id may be either.
        with suppress(ValueError):
            wanted |= Q(id=UUID(term))
        return queryset.filter(wanted), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        record = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        if record is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        context = {
            **self.admin_site.each_context(request),
            "title": record.event_type,
            "opts": self.opts,
            "record": record,
            "fields": [(name, value) for name, value in record.document().items() if name != "event_data"],
            "data": pretty(record.event_data),
            "digest": bytes(record.digest).hex(),
            "digest_holds": record.digest_holds,
            "checked_at": time_tag(datetime.now(UTC)),
            "state": self.state_badge(record),
            "outcome": self.outcome(record),
            "times": [(name, time_tag(getattr(record, name))) for name in TIMES],
            **_proof(record),
            **seen.context(request, record),
        }
        return TemplateResponse(request, "admin/audit/record/detail.html", context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:record_id>/proof/", view(self.proof_view), name="audit_record_proof"),
            path("<uuid:record_id>/bundle/", view(self.bundle_view), name="audit_record_bundle"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Record]:
        return Record.objects.with_state().order_by("-event_timestamp", "-id")

    def proof_view(self, request: HttpRequest, record_id: UUID) -> HttpResponse:
        """The proof to take away."""
        return self._evidence(request, record_id, "tlog-proof", lambda record: stored.evidence(record.id).proof.text)

    def bundle_view(self, request: HttpRequest, record_id: UUID) -> HttpResponse:
        """Record and proof in one file, to take away."""
        return self._evidence(request, record_id, "bundle.jsonl", lambda record: b"".join(bundle.lines([record])))

    def _evidence(
        self, request: HttpRequest, record_id: UUID, suffix: str, make: Callable[[Record], str | bytes]
    ) -> HttpResponse:
        record = Record.objects.filter(id=record_id).first()
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        if record is None:
            raise Http404(f"No record has the id {record_id}.")
        try:
            body = make(record)
        except AuditError as error:
            messages.warning(request, str(error))
            return redirect("admin:audit_record_change", record_id)
        response = HttpResponse(body, content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{record_id}.{suffix}"'
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        raise PermissionDenied  # a record has no history: it never changes

    @admin.display(description="time (UTC)")
    def time(self, record: Record) -> SafeString | str:
        return time_tag(record.event_timestamp)

    @admin.display(description="resource")
    def resource(self, record: Record) -> str:
        return f"{record.resource_type} {record.resource_id}"

    @admin.display(description="outcome")
    def outcome(self, record: Record) -> SafeString:
        return badge(OUTCOMES[record.event_outcome], record.event_outcome)

    @admin.display(description="state")
    def state_badge(self, record: Record) -> SafeString:
        return badge(STATES[record.state], record.state)


def _proof(record: Record) -> dict[str, Any]:
    """What the page says of the record's place in the log; checked on the spot."""
    try:
        found = stored.evidence(record.id)
        keys = sealkeys.load()
    except AuditError as error:
        return {"evidence": None, "not_sealed": str(error)}
    leaf, head = found.leaf, found.checkpoint
    try:
        merkle.verify_inclusion(recomputed(record), leaf.index, head.size, found.proof.hashes, bytes(head.root))
        note.verify(found.proof.note, keys.all_verifiers)
        holds = badge("ok", "the proof holds")
    except (merkle.ProofError, note.NoteError):
        holds = badge("error", "the proof does not hold: what is here is not what was sealed")
    return {
        "evidence": found,
        "proof_holds": holds,
        "key": str(keys.verifiers[0]),
        "drawing": drawing.proof(leaf, head, found.proof),
    }


TIMES = ("event_timestamp", "received_at", "parked_at", "stored_at")
