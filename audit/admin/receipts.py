"""Receipts: promises that were broken, and a page that answers for one receipt or a file of thousands."""

import hashlib
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
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

    views: ClassVar = {**FoundAdmin.views, "verify/": "verify"}

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        """Answer for receipts that were pasted or uploaded; that somebody asked is recorded first."""
        if not request.user.has_perm("audit.verify_receipt"):
            raise PermissionDenied
        context: dict[str, Any] = {"title": "Verify receipts"}
        if request.method == "POST":
            try:
                context |= _answers(_sent(request), request.user)
            except (AuditError, UnicodeDecodeError) as error:
                is_text = not isinstance(error, UnicodeDecodeError)
                context["refused"] = str(error) if is_text else "The file is not UTF-8 text."
        return self.page(request, "verify", **context)

    def detail(self, request: HttpRequest, promise: BrokenPromise) -> dict[str, Any]:
        return {
            "title": f"Broken promise {promise}",
            "promised_at": time_tag(promise.promised_at),
            "sealed_by": time_tag(promise.sealed_by),
        }

    event = column("event", lambda promise: str(promise.event_id), "event_id")
    kind_badge = column("kind", lambda promise: badge("error", promise.kind), "kind")
    sealed_by_utc = time_column("sealed by (UTC)", "sealed_by")
    found = time_column("found (UTC)", "found_at")


def _sent(request: HttpRequest) -> str:
    """Return the file, or else the text. Raises `TooLarge`, `UnicodeDecodeError`."""
    file = request.FILES.get("file")
    if file is None:
        return str(request.POST.get("text", ""))
    if (file.size or 0) > MOST_BYTES:
        raise TooLarge(TOO_LARGE)
    return bytes(file.read()).decode("utf-8")


def _answers(text: str, user: Any) -> dict[str, Any]:
    """Return what the page shows of the receipts in a text. Raises `AuditError`."""
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
    verified = verify.verify_receipts(receipts)
    may_read = user.has_perm("audit.view_record")
    ranked = sorted(verified.results, key=lambda result: verify.STATES.index(result.state))
    return {
        "found": verified,
        "verdict": badge(BADGES.get(verified.verdict, "warning"), verified.verdict),
        "bars": queue.bars("events by state", verified.counts) if verified.counts else "",
        "rows": [(result, result.receipt + 1, _state(result), _url(result, may_read)) for result in ranked[:SHOWN]],
        "more": len(ranked) - SHOWN,
    }


def _state(result: ReceiptResult) -> SafeString:
    return badge(BADGES.get(result.state, "pending"), result.state)


def _url(result: ReceiptResult, may_read: bool) -> str:
    """Return the address of the event's page; "" where there is none for this person."""
    if result.state == "parked":
        return reverse("admin:audit_parked_changelist") + f"?q={result.event_id}"
    is_stored = result.state in ("stored", "sealed") or result.kind == "altered"
    return reverse("admin:audit_record_change", args=[result.event_id]) if is_stored and may_read else ""
