"""Receipts: promises that were broken, and a page that answers for one receipt or a file of thousands."""

import hashlib
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from audit.admin.charts import queue
from audit.admin.completeness.discrepancy import FoundAdmin
from audit.admin.display import badge, column, time_column, time_tag
from audit.errors import AuditError
from audit.formats import receipt
from audit.ingest import trail
from audit.models import BrokenPromise
from audit.receipts import verify
from audit.receipts.verify import ReceiptResult

MOST_BYTES = 10 * 2**20
MOST_RECEIPTS = 20_000
SHOWN = 500
TOO_LARGE = (
    f"A file of at most {MOST_BYTES // 2**20} MiB and {MOST_RECEIPTS:,} receipts is verified here: send it in parts, "
    "or use `manage.py receipts verify`."
)
BADGES = {
    verify.BROKEN: "error",
    verify.NOT_OURS: "error",
    verify.UNKNOWN: "warning",
    verify.KEPT: "ok",
    "sealed": "ok",
}


class TooLarge(AuditError):
    """What was sent is more than this page answers for."""


@admin.register(BrokenPromise)
class BrokenPromiseAdmin(FoundAdmin):
    """What should be here by a signed receipt, and is not."""

    list_display = ("event", "writer", "kind_badge", "state_badge", "promised", "sealed_by_utc", "found")
    list_filter = (*FoundAdmin.list_filter, "kind")
    search_fields = ("writer", "=event_id")
    search_help_text = "Writer or event id"
    change_list_template = "admin/audit/brokenpromise/list.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.verify_view)
        return [path("verify/", view, name="audit_brokenpromise_verify"), *super().get_urls()]

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        """Answer for receipts that were pasted or uploaded; that somebody asked is recorded first."""
        if not request.user.has_perm("audit.verify_receipt"):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Verify receipts"}
        if request.method == "POST":
            try:
                context |= _answers(_sent(request), request.user)
            except (AuditError, UnicodeDecodeError) as error:
                text = "The file is not UTF-8 text." if isinstance(error, UnicodeDecodeError) else str(error)
                context["refused"] = text
        return TemplateResponse(request, "admin/audit/brokenpromise/verify.html", context)

    def detail(self, request: HttpRequest, found: BrokenPromise) -> dict[str, Any]:
        return {
            "title": f"Broken promise {found}",
            "promised_at": time_tag(found.promised_at),
            "sealed_by": time_tag(found.sealed_by),
        }

    event = column("event", lambda found: str(found.event_id), "event_id")
    kind_badge = column("kind", lambda found: badge("error", found.kind), "kind")
    sealed_by_utc = time_column("sealed by (UTC)", "sealed_by")
    found = time_column("found (UTC)", "found_at")


def _sent(request: HttpRequest) -> str:
    """The file, or else the text. Raises `TooLarge`, `UnicodeDecodeError`."""
    file = request.FILES.get("file")
    if file is None:
        return str(request.POST.get("text", ""))
    if (file.size or 0) > MOST_BYTES:
        raise TooLarge(TOO_LARGE)
    return bytes(file.read()).decode("utf-8")


def _answers(text: str, user: Any) -> dict[str, Any]:
    """What the page shows of them. Raises `AuditError`."""
    receipts = list(receipt.pieces(text.split("\n")))
    if len(receipts) > MOST_RECEIPTS:
        raise TooLarge(TOO_LARGE)
    trail.add(
        "audit.receipts.verified",
        actor=user.get_username(),
        correlation="completeness",
        receipts=len(receipts),
        sha256=hashlib.sha256(text.encode(errors="replace")).hexdigest(),
    )
    found = verify.verify_receipts(receipts)
    may_read = user.has_perm("audit.view_record")
    worst_first = sorted(found.results, key=lambda one: verify.STATES.index(one.state))
    return {
        "found": found,
        "verdict": badge(BADGES.get(found.verdict, "warning"), found.verdict),
        "bars": queue.bars("events by state", found.counts) if found.counts else "",
        "rows": [_row(one, may_read) for one in worst_first[:SHOWN]],
        "more": len(worst_first) - SHOWN,
    }


def _row(one: ReceiptResult, may_read: bool) -> tuple[ReceiptResult, int, SafeString, str]:
    return one, one.receipt + 1, badge(BADGES.get(one.state, "pending"), one.state), _place(one, may_read)


def _place(one: ReceiptResult, may_read: bool) -> str:
    """The page of the event, where there is one for this person."""
    if one.state == "parked":
        return reverse("admin:audit_parked_changelist") + f"?q={one.event_id}"
    there = one.state in ("stored", "sealed") or one.kind == "altered"
    return reverse("admin:audit_record_change", args=[one.event_id]) if there and may_read else ""
