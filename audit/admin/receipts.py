"""Receipts: broken promises, and a page that verifies one receipt or a file of thousands."""

import hashlib
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from audit.admin.charts import queue
from audit.admin.completeness.discrepancy import DiscrepancyAdmin
from audit.admin.display import badge, column, time_column, time_tag
from audit.errors import AuditError
from audit.formats import receipt
from audit.ingest import trail
from audit.models import BrokenPromise
from audit.receipts import verify
from audit.receipts.verify import ReceiptResult

MAX_BYTES = 10 * 2**20
MAX_RECEIPTS = 20_000
EVENTS_SHOWN = 500
BADGES = {
    verify.BROKEN: "error",
    verify.NOT_OURS: "error",
    verify.UNKNOWN: "warning",
    verify.KEPT: "ok",
    "sealed": "ok",
}


class TooManyReceipts(AuditError):
    __doc__ = (
        f"A file of at most {MAX_BYTES // 2**20} MiB and {MAX_RECEIPTS:,} receipts is verified here: send it in parts, "
        "or use `manage.py receipts verify`."
    )


@admin.register(BrokenPromise)
class BrokenPromiseAdmin(DiscrepancyAdmin):
    list_display = ("event", "writer", "kind_badge", "state_badge", "promised", "sealed_by_utc", "detected")
    list_filter = (*DiscrepancyAdmin.list_filter, "kind")
    search_fields = ("writer", "=event_id")
    search_help_text = "Writer or event id"
    change_list_template = "admin/audit/brokenpromise/list.html"
    views: ClassVar = {"verify/": "verify", **DiscrepancyAdmin.views}

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        """Verify receipts that were pasted or uploaded; that somebody asked is recorded first."""
        if not request.user.has_perm("audit.verify_receipt"):
            raise PermissionDenied
        context: dict[str, Any] = {}
        if request.method == "POST":
            try:
                context = _verified(_sent(request), request.user)
            except (AuditError, UnicodeDecodeError) as error:
                text = "The file is not UTF-8 text." if isinstance(error, UnicodeDecodeError) else str(error)
                context = {"refused": text}
        return self.page(request, "verify", title="Verify receipts", **context)

    def detail(self, request: HttpRequest, finding: BrokenPromise) -> dict[str, Any]:
        return {
            "title": f"Broken promise {finding}",
            "promised_at": time_tag(finding.promised_at),
            "sealed_by": time_tag(finding.sealed_by),
        }

    event = column("event", lambda promise: str(promise.event_id), "event_id")
    kind_badge = column("kind", lambda promise: badge("error", promise.kind), "kind")
    sealed_by_utc = time_column("sealed by (UTC)", "sealed_by")


def _sent(request: HttpRequest) -> str:
    """The file, or else the text. Raises `TooManyReceipts`, `UnicodeDecodeError`."""
    file = request.FILES.get("file")
    if file is None:
        return str(request.POST.get("text", ""))
    if (file.size or 0) > MAX_BYTES:
        raise TooManyReceipts
    return bytes(file.read()).decode("utf-8")


def _verified(text: str, user: Any) -> dict[str, Any]:
    receipts = list(receipt.pieces(text.split("\n")))
    if len(receipts) > MAX_RECEIPTS:
        raise TooManyReceipts
    trail.add(
        "audit.receipts.verified",
        actor=user.get_username(),
        correlation="completeness",
        receipts=len(receipts),
        sha256=hashlib.sha256(text.encode(errors="replace")).hexdigest(),
    )
    verified = verify.verify_receipts(receipts)
    may_read = user.has_perm("audit.view_record")
    worst_first = sorted(verified.results, key=lambda result: verify.STATES.index(result.state))
    return {
        "verified": verified,
        "verdict": badge(BADGES.get(verified.verdict, "warning"), verified.verdict),
        "bars": queue.bars("events by state", verified.counts) if verified.counts else "",
        "rows": [
            (each, each.receipt + 1, badge(BADGES.get(each.state, "pending"), each.state), _address(each, may_read))
            for each in worst_first[:EVENTS_SHOWN]
        ],
        "more": len(worst_first) - EVENTS_SHOWN,
    }


def _address(result: ReceiptResult, may_read: bool) -> str:
    """The page of the event, where there is one for this person."""
    if result.state == "parked":
        return reverse("admin:audit_parked_changelist") + f"?q={result.event_id}"
    is_record = result.state in ("stored", "sealed") or result.kind == "altered"
    return reverse("admin:audit_record_change", args=[result.event_id]) if is_record and may_read else ""
