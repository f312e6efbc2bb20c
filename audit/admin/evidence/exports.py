"""Evidence bundles: asked for, watched while they are made, fetched. Users see their own."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from audit import visibility
from audit.access import client
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, pretty, time_column, time_tag
from audit.errors import AuditError, Invalid
from audit.evidence import download, export
from audit.evidence.request import Requester
from audit.models import Export, Report
from audit.tasks import enqueue

# The badges of the states of jobs.
STATES = {
    "pending": "pending",
    "running": "pending",
    "ready": "ok",
    "cancelled": "warning",
    "failed": "error",
    "expired": "warning",
}
ACTS = {"cancel": export.cancel, "resume": export.reopen}
MAKE = "audit.make_export"


@admin.register(Export)
class ExportAdmin(ReadOnly):
    list_display = ("state_badge", "asked", "requested", "records", "expires")
    list_display_links = ("asked",)
    search_fields = ("query",)
    search_help_text = "A part of the query"
    change_list_template = "admin/audit/export/list.html"
    views: ClassVar = {
        "make/": "make",
        "<uuid:export_id>/act/": "act",
        "<uuid:export_id>/files/<path:name>": "file",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        return export.requested_by(requester_of(request))

    def make_view(self, request: HttpRequest) -> HttpResponse:
        def begin() -> HttpResponse:
            return begun(export.request(requester_of(request), **_wanted(request)))

        back = reverse("admin:audit_export_changelist")
        return post_act(request, MAKE, begin, back=back, refusal="Nothing is exported")

    def act_view(self, request: HttpRequest, export_id: UUID) -> HttpResponse:
        def act() -> None:
            bundle, name = own_or_404(self.get_queryset(request), export_id), request.POST.get("act", "")
            if name not in ACTS:
                raise Http404("A bundle is cancelled or resumed, nothing else.")
            if not ACTS[name](bundle, requester_of(request)):
                messages.warning(request, f"The bundle is {bundle.state}: there was nothing to {name}.")
            elif name == "resume":
                enqueue(bundle)

        return post_act(request, MAKE, act, back=reverse("admin:audit_export_change", args=[export_id]))

    def file_view(self, request: HttpRequest, export_id: UUID, name: str) -> HttpResponseBase:
        if not request.user.has_perm(MAKE):
            raise PermissionDenied
        bundle = own_or_404(self.get_queryset(request), export_id)
        try:
            return download.response(request, export.fetch(bundle, requester_of(request), name))
        except KeyError:
            raise Http404(f"There is no file {name} in this bundle.") from None
        except AuditError as error:
            messages.error(request, f"Nothing is fetched: {error}")
            return redirect("admin:audit_export_change", bundle.pk)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        self.require_view(request)
        bundle = own_or_404(self.get_queryset(request), object_id)
        manifest = bundle.manifest or {}
        claims = manifest.get("completeness") or {}
        return self.page(
            request,
            "detail",
            title="Evidence bundle",
            export=bundle,
            state=self.state_badge(bundle),
            under_way=bundle.is_under_way,
            asked=self.asked(bundle),
            requested=time_tag(bundle.requested_at),
            expires=time_tag(bundle.expires_at),
            files=sorted((manifest.get("files") or {}).items()),
            proved=claims.get("proved", []),
            asserted=claims.get("asserted", []),
            redaction=(manifest.get("redaction") or {}).get("rules") or bundle.redaction,
            manifest=manifest and pretty(manifest),
        )

    @admin.display(description="query")
    def asked(self, bundle: Export) -> str:
        asked = bundle.query or "everything that may be seen"
        if bundle.kind == "range":
            asked = f"log entries {bundle.first:,} to {bundle.last - 1:,}"
            if bundle.received:
                asked += "; received from {since} to before {until}".format(**bundle.received)
        return f"a sample of {bundle.sample:,}, seed {bundle.seed}, of {asked}" if bundle.sample else asked

    state_badge = column("state", lambda bundle: badge(STATES[bundle.state], bundle.state), "state")
    requested = time_column("requested (UTC)", "requested_at")
    records = column("records", lambda bundle: f"{bundle.records:,}")
    expires = time_column("kept until (UTC)", "expires_at", sortable=False)


def own_or_404(rows: QuerySet[Any], key: UUID | str) -> Any:
    """The row with this key. Raises `Http404`, for what is no UUID as well."""
    try:
        row = rows.filter(pk=UUID(str(key))).first()
    except ValueError:
        row = None
    if row is None:
        raise Http404(f"There is no {rows.model._meta.verbose_name} {key} for you.")
    return row


def begun(job: Export | Report) -> HttpResponse:
    """Hand a new bundle or report to a worker, and show its page."""
    enqueue(job)
    return redirect(f"admin:audit_{job._meta.model_name}_change", job.pk)


def requester_of(request: HttpRequest) -> Requester:
    may_unredacted = request.user.has_perm("audit.export_unredacted")
    return Requester(request.user.get_username(), False, visibility.scopes(), client.address(request), may_unredacted)


def _wanted(request: HttpRequest) -> dict[str, Any]:
    wanted: dict[str, Any] = {"with_csv": "csv" in request.POST, "unredacted": "unredacted" in request.POST}
    if sample := request.POST.get("sample", "").strip():
        wanted["sample"] = _whole_number("sample", sample)
    wanted["seed"] = request.POST.get("seed", "").strip()
    if "q" in request.POST:
        return wanted | {"query": request.POST["q"]}
    if "received_since" in request.POST:
        until = request.POST.get("received_until", "").strip() or "0s"
        return wanted | {"received": (request.POST["received_since"].strip(), until)}
    for name in ("first", "last"):
        wanted[name] = _whole_number(name, request.POST.get(name, "").strip())
    return wanted


def _whole_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Invalid({name: "is not a whole number"})
    return int(text)
