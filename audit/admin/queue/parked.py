"""The dead letter queue, read from Redis: what waits, why, and a way to try again."""

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

import dlq.errors
import dlq.stream
from audit.admin.queue import count, deep_search, parked_rows
from audit.errors import AuditError, Invalid
from audit.ingest import trail
from audit.models import Parked
from audit.queue import actions, corrections, discards, drain
from audit.queue.visible import visible
from dlq.message import STATES as MESSAGE_STATES
from dlq.message import Message, is_stream_id

REHEARSED = {"stored": "it would be stored", "duplicate": "it is stored already, with the same content"}
FILTERS = ("state", "writer", "type", "error", "since")


@admin.register(Parked)
class ParkedAdmin(admin.ModelAdmin):
    """Pages of the queue. Nothing here needs PostgreSQL but the login."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Parked | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Parked | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("search/", view(self.search_view), name="audit_parked_search"),
            path("act/", view(self.act_view), name="audit_parked_act"),
            path("count/", view(self.count_view), name="audit_parked_count"),
            path("pause/", view(self.pause_view), name="audit_parked_pause"),
            path("export/", view(self.export_view), name="audit_parked_export"),
            path("<path:message_id>/rehearse/", view(self.rehearse_view), name="audit_parked_rehearse"),
            path("<path:message_id>/correct/", view(self.correct_view), name="audit_parked_correct"),
            path("<path:message_id>/discard/", view(self.discard_view), name="audit_parked_discard"),
            path("<path:message_id>/retry/", view(self.retry_view), name="audit_parked_retry"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return self._list(request)
        except dlq.errors.Refused:
            return self._unreadable(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            message = parked_rows.get(object_id)
        except dlq.errors.Refused:
            return self._unreadable(request)
        if message is None:
            messages.info(request, "That event is not in the queue any more: it is stored, or never was here.")
            return redirect("admin:audit_parked_changelist")
        return TemplateResponse(
            request, "admin/audit/parked/detail.html", self._context(request, **parked_rows.detail(message))
        )

    def retry_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        """Make one message due. The act is recorded first: what cannot be recorded is not done."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.retry_parked"):
            raise PermissionDenied
        try:
            message = parked_rows.get(message_id)
            if message is None:
                raise Http404(f"No message {message_id} is in the queue.")
            trail.add(
                "audit.parked.retried",
                actor=request.user.get_username(),
                correlation=f"parked-{message.key}",
                event_id=message.key,
                attempts=message.attempts,
                state_before=message.state,
            )
            dlq.stream.for_drain().retry_now([message_id])
        except (AuditError, dlq.errors.Refused) as error:
            messages.error(request, f"Nothing was done: {error}")
        else:
            messages.success(request, "The event is due now; the next drain tries it.")
        return redirect("admin:audit_parked_change", message_id)

    def rehearse_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        """Say what a drain would do with one message; nothing of it is kept."""
        message = self._one_to_act_on(request, message_id)
        outcome = drain.rehearse(message)
        if (text := REHEARSED.get(outcome.verdict)) is not None:
            messages.success(request, f"Tried and rolled back: {text}.")
        else:
            messages.warning(request, f"Tried and rolled back: {outcome.kind}: {outcome.error}")
        return redirect("admin:audit_parked_change", message_id)

    def discard_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        """Ask for a message to be given up; a second person decides."""
        message = self._one_to_act_on(request, message_id)
        reason = request.POST.get("reason", "").strip().replace("\x00", "")[:1000]
        if not reason:
            messages.error(request, "Nothing was done: a discard needs a reason.")
            return redirect("admin:audit_parked_change", message_id)
        try:
            asked = discards.ask(message, reason=reason, by=request.user.get_username())
        except AuditError as error:
            messages.error(request, f"Nothing was done: {error}")
            return redirect("admin:audit_parked_change", message_id)
        return redirect("admin:audit_discard_change", asked.pk)

    def correct_view(self, request: HttpRequest, message_id: str) -> HttpResponse:
        """Record a mended copy as a new event; the parked one stays for a discard or the quarantine."""
        message = self._one_to_act_on(request, message_id)
        try:
            text = request.POST.get("event", "").encode("utf-8", "surrogatepass")
            receipt = corrections.correct(message, text, by=request.user.get_username())
        except Invalid as error:
            wrong = "; ".join(f"{field or 'event'}: {text}" for field, text in error.errors.items())
            messages.error(request, f"Nothing was done: {wrong}")
            return redirect("admin:audit_parked_change", message_id)
        except AuditError as error:
            messages.error(request, f"Nothing was done: {error}")
            return redirect("admin:audit_parked_change", message_id)
        messages.success(request, f"Recorded as the new event {receipt.event.id} ({receipt.state}). The old one stays.")
        return redirect("admin:audit_parked_change", message_id)

    def _one_to_act_on(self, request: HttpRequest, message_id: str) -> Message:
        if request.method != "POST" or not request.user.has_perm("audit.retry_parked"):
            raise PermissionDenied
        try:
            message = parked_rows.get(message_id)
        except dlq.errors.Refused:
            message = None
        if message is None:
            raise Http404(f"No message {message_id} is in the queue.")
        return message

    def search_view(self, request: HttpRequest) -> HttpResponse:
        """Look into every payload, a second a request; the browser goes on by itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            found, progress, next_step = deep_search.step(request)
        except dlq.errors.Refused:
            return self._unreadable(request)
        here = reverse("admin:audit_parked_search")
        context = self._context(
            request,
            title="Deep search",
            rows=[parked_rows.row(message) for message in visible(found)],
            progress=progress,
            next_url=next_step and f"{here}?{next_step}",
            stop_url=reverse("admin:audit_parked_changelist"),
        )
        response = TemplateResponse(request, "admin/audit/parked/search.html", context)
        if next_step and not progress["full"]:
            response["Refresh"] = f"0; url={here}?{next_step}"
        return response

    def act_view(self, request: HttpRequest) -> HttpResponse:
        """An act on the messages that were ticked, or on all that match: those are counted first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.retry_parked"):
            raise PermissionDenied
        name, act = actions.ACTS.get(request.POST.get("act", ""), ("", None))
        if act is None:
            raise Http404("There is no such act.")
        try:
            if request.POST.get("scope") == "all" and "sure" not in request.POST:
                asked = {key: request.POST.get(key, "") for key in ("act", *FILTERS)}
                return redirect(f"{reverse('admin:audit_parked_count')}?{urlencode(asked)}")
            chosen = parked_rows.chosen(request.POST)
            done = act(chosen, request.user.get_username()) if chosen else 0
        except (AuditError, DatabaseError, dlq.errors.Refused) as error:
            messages.error(request, f"Nothing was done: {error}")
        else:
            messages.success(request, f"{name}: {done} events.")
        return redirect("admin:audit_parked_changelist")

    def count_view(self, request: HttpRequest) -> HttpResponse:
        """How many an act on all that match would meet, a second of counting a request; then the button to do it."""
        if not request.user.has_perm("audit.retry_parked"):
            raise PermissionDenied
        name, _ = actions.ACTS.get(request.GET.get("act", ""), ("", None))
        if not name:
            raise Http404("There is no such act.")
        try:
            counted = count.step(request, parked_rows.selection(request.GET))
        except dlq.errors.Refused:
            return self._unreadable(request)
        asked = {key: request.GET.get(key, "") for key in ("act", *FILTERS)}
        context = self._context(request, title=f"{name}?", name=name, counted=counted, asked=asked.items())
        response = TemplateResponse(request, "admin/audit/parked/sure.html", context)
        if not counted.done:
            here = reverse("admin:audit_parked_count")
            response["Refresh"] = f"0; url={here}?{urlencode(asked | counted.onward)}"
        return response

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause draining, or let it go on."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.retry_parked"):
            raise PermissionDenied
        queue, by = dlq.stream.for_drain(), request.user.get_username()
        try:
            pausing = queue.activity.paused() is None
            trail.add(f"audit.parked.{'paused' if pausing else 'resumed'}", actor=by, correlation="dead-letter-queue")
            if pausing:
                queue.activity.pause(by)
            else:
                queue.activity.resume()
        except (AuditError, dlq.errors.Refused) as error:
            messages.error(request, f"Nothing was done: {error}")
        return redirect("admin:audit_parked_changelist")

    def export_view(self, request: HttpRequest) -> StreamingHttpResponse:
        """All that match, as NDJSON with digests."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = visible(parked_rows.selection(request.GET).all(dlq.stream.for_drain()))
        lines = (json.dumps(message.as_json(), ensure_ascii=False) + "\n" for message in found)
        response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
        response["Content-Disposition"] = 'attachment; filename="parked.ndjson"'
        return response

    def _list(self, request: HttpRequest) -> HttpResponse:
        queue = dlq.stream.for_drain()
        if request.GET.get("state") == "quarantined":
            kept = reverse("admin:audit_quarantined_changelist")
            return redirect(f"{kept}?{urlencode({'q': request.GET.get('q', '').strip()})}")
        if key := request.GET.get("q", "").strip():
            found = queue.pages.find(key)
            return self._page(request, [*visible([found] if found else [])], None)
        after = request.GET.get("after", "")
        rows, next_place = parked_rows.selection(request.GET).some(
            queue, limit=parked_rows.PAGE, after=after if is_stream_id(after) else None, looks=parked_rows.LOOKS
        )
        return self._page(request, [*visible(rows)], next_place)

    def _page(self, request: HttpRequest, rows: list[Message], next_place: str | None) -> HttpResponse:
        parameters = request.GET.copy()
        parameters["after"] = next_place or ""
        asked = request.GET
        context = self._context(
            request,
            title="Dead letter queue",
            rows=[parked_rows.row(message) for message in rows],
            stats=dlq.stream.for_drain().totals.stats(),
            paused=dlq.stream.for_drain().activity.paused(),
            chart=parked_rows.chart(request),
            figures=parked_rows.figures(),
            since_wrong=parked_rows.since(request.GET)[1],
            spans=parked_rows.SPANS,
            span=parked_rows.span(request),
            states=[("", "all"), *((state, state) for state in (*MESSAGE_STATES, "quarantined"))],
            filters={name: asked.get(name, "") for name in ("q", *FILTERS)},
            acts=[(act, label) for act, (label, _) in actions.ACTS.items()],
            may_act=request.user.has_perm("audit.retry_parked"),
            next_url=f"?{parameters.urlencode()}" if next_place else "",
            looked_at=parked_rows.LOOKS if next_place and len(rows) < parked_rows.PAGE else 0,
            query=request.GET.urlencode(),
        )
        return TemplateResponse(request, "admin/audit/parked/list.html", context)

    def _unreadable(self, request: HttpRequest) -> HttpResponse:
        context = self._context(request, title="Dead letter queue")
        return TemplateResponse(request, "admin/audit/parked/unreadable.html", context, status=503)

    def _context(self, request: HttpRequest, **values: Any) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, **values}
