"""Records: found fast, read only, by anyone."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from audit import bundle, merkle, note, reach, sealkeys
from audit import log as stored
from audit.admin import drawing, search_bar
from audit.admin.format import OUTCOMES, STATES, badge, pretty, time_tag
from audit.admin.record_list import KeysetChangeList
from audit.errors import AuditError
from audit.grammar import Query
from audit.models import Record
from audit.verify.records import recomputed


@admin.register(Record)
class RecordAdmin(admin.ModelAdmin):
    """Nobody adds, changes or deletes a record here, a superuser neither."""

    list_display = ("time", "event_type", "actor_id", "resource", "outcome", "severity", "writer", "state_badge")
    list_display_links = ("time", "event_type")
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by = ()
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if (window := search_bar.chosen_window(request.GET)) is not None:
            return redirect(request.path + window)
        try:
            return super().changelist_view(request, {"title": "Records", **(extra_context or {})})
        except OperationalError as error:
            if not reach.was_stopped(error):
                raise
            offers = search_bar.read(request.GET).narrower
            return render(request, "timeout.html", {"back": request.path, "offers": offers}, status=503)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        return False

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
            "correlation": search_bar.address(Query().with_term("correlation", record.correlation_id)),
            "digest": bytes(record.digest).hex(),
            "digest_holds": record.digest_holds,
            "checked_at": time_tag(datetime.now(UTC)),
            "state": self.state_badge(record),
            "outcome": self.outcome(record),
            "times": [(name, time_tag(getattr(record, name))) for name in TIMES],
            **_proof(record),
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
