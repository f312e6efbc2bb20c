"""Evidence bundles: asked for from the list of records, watched while they are made, fetched. Each sees his own."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from audit import visibility
from audit.access import client
from audit.admin.base import ReadOnly
from audit.admin.display import badge, pretty, time_tag
from audit.errors import AuditError, Invalid
from audit.evidence import download, export
from audit.evidence.request import Asker
from audit.models import Export
from audit.tasks import enqueue

STATES = {
    "pending": "pending",
    "running": "pending",
    "ready": "ok",
    "cancelled": "warning",
    "failed": "error",
    "expired": "warning",
}
ACTS = {"cancel": export.cancel, "resume": export.resume}


@admin.register(Export)
class ExportAdmin(ReadOnly):
    """Bundles, newest first."""

    list_display = ("state_badge", "asked", "requested", "records", "expires")
    list_display_links = ("asked",)
    search_fields = ("query",)
    search_help_text = "A part of the query"
    change_list_template = "admin/audit/export/list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        found: QuerySet[Export] = export.whose(asker_of(request))
        return found

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("make/", wrap(self.make_view), name="audit_export_make"),
            path("<uuid:export_id>/act/", wrap(self.act_view), name="audit_export_act"),
            path("<uuid:export_id>/files/<path:name>", wrap(self.file_view), name="audit_export_file"),
            *super().get_urls(),
        ]

    def make_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a bundle of a query, or of a range of the log."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        _require(request)
        try:
            begun = export.ask(asker_of(request), **_asked(request))
        except (Invalid, AuditError) as error:
            messages.error(request, f"Nothing is exported: {error}")
            return redirect("admin:audit_export_changelist")
        enqueue(begun)
        return redirect("admin:audit_export_change", begun.pk)

    def act_view(self, request: HttpRequest, export_id: UUID) -> HttpResponse:
        """Cancel a bundle, or go on with it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        _require(request)
        found, act = self._own(request, export_id), request.POST.get("act", "")
        if act not in ACTS:
            raise Http404("A bundle is cancelled or resumed, nothing else.")
        if not ACTS[act](found, asker_of(request)):
            messages.warning(request, f"The bundle is {found.state}: there was nothing to {act}.")
        elif act == "resume":
            enqueue(found)
        return redirect("admin:audit_export_change", found.pk)

    def file_view(self, request: HttpRequest, export_id: UUID, name: str) -> HttpResponseBase:
        """The zip of a bundle, or a file in it."""
        _require(request)
        found = self._own(request, export_id)
        try:
            return download.response(request, export.fetch(found, asker_of(request), name))
        except KeyError:
            raise Http404(f"There is no file {name} in this bundle.") from None
        except (Invalid, AuditError) as error:
            messages.error(request, f"Nothing is fetched: {error}")
            return redirect("admin:audit_export_change", found.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self._own(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Evidence bundle",
            "export": found,
            "state": self.state_badge(found),
            "under_way": found.state in Export.UNDER_WAY,
            "asked": self.asked(found),
            "requested": time_tag(found.requested_at),
            "expires": time_tag(found.expires_at),
            "files": sorted(((found.manifest or {}).get("files") or {}).items()),
            "proved": ((found.manifest or {}).get("completeness") or {}).get("proved", []),
            "asserted": ((found.manifest or {}).get("completeness") or {}).get("asserted", []),
            "redaction": ((found.manifest or {}).get("redaction") or {}).get("rules") or found.redaction,
            "manifest": found.manifest and pretty(found.manifest),
        }
        return TemplateResponse(request, "admin/audit/export/detail.html", context)

    def _own(self, request: HttpRequest, key: UUID | str) -> Export:
        try:
            found = self.get_queryset(request).filter(pk=UUID(str(key))).first()
        except ValueError:
            found = None
        if found is None:
            raise Http404(f"There is no evidence bundle {key} of yours.")
        return found

    @admin.display(description="state", ordering="state")
    def state_badge(self, found: Export) -> SafeString:
        return badge(STATES[found.state], found.state)

    @admin.display(description="asked for")
    def asked(self, found: Export) -> str:
        drawn = f"a sample of {found.sample:,}, seed {found.seed}, of " if found.sample else ""
        return drawn + self._what(found)

    def _what(self, found: Export) -> str:
        if found.kind == "range":
            window = "; received from {since} to before {until}".format(**found.received) if found.received else ""
            return f"leaves {found.first:,} to {found.last - 1:,} of the log{window}"
        return found.query or "everything that may be seen"

    @admin.display(description="asked (UTC)", ordering="requested_at")
    def requested(self, found: Export) -> SafeString | str:
        return time_tag(found.requested_at)

    @admin.display(description="records")
    def records(self, found: Export) -> str:
        return f"{found.done:,}"

    @admin.display(description="kept until (UTC)")
    def expires(self, found: Export) -> SafeString | str:
        return time_tag(found.expires_at)


def asker_of(request: HttpRequest) -> Asker:
    """Who asks, with what he may see."""
    may_unredacted = request.user.has_perm("audit.export_unredacted")
    return Asker(request.user.get_username(), False, visibility.scopes(), client.address(request), may_unredacted)


def _require(request: HttpRequest) -> None:
    if not request.user.has_perm("audit.make_export"):
        raise PermissionDenied


def _asked(request: HttpRequest) -> dict[str, Any]:
    asked: dict[str, Any] = {"with_csv": "csv" in request.POST, "unredacted": "unredacted" in request.POST}
    if sample := request.POST.get("sample", "").strip():
        asked["sample"] = _whole("sample", sample)
    asked["seed"] = request.POST.get("seed", "").strip()
    if "q" in request.POST:
        return asked | {"query": request.POST["q"]}
    if "received_since" in request.POST:
        until = request.POST.get("received_until", "").strip() or "0s"
        return asked | {"received": (request.POST["received_since"].strip(), until)}
    for name in ("first", "last"):
        asked[name] = _whole(name, request.POST.get(name, "").strip())
    return asked


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Invalid({name: "is not a whole number"})
    return int(text)
