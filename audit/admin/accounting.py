"""The account: what was received each day of each writer, and what became of it; and what was refused, and why."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from audit import visibility
from audit.accounting import balance
from audit.accounting.balance import WriterDay
from audit.admin.base import ReadOnly
from audit.admin.charts import balance as balance_chart
from audit.admin.display import badge, time_column, time_tag
from audit.completeness import explain
from audit.errors import AuditError
from audit.models import Account, RejectedSample, Rejection

DAYS, MOST_DAYS, SHOWN, LOSSES = 7, 92, 500, 20
LEVELS = {"balanced": "ok", "lost": "error", "unexplained": "error", "not yet": "pending", balance.NOTHING: "pending"}
VERDICTS = {
    "balanced": "Every event that was received is accounted for.",
    "lost": "Events were promised and are nowhere: Redis lost them.",
    "unexplained": "The counts disagree: tell your security officer, and change nothing.",
    balance.NOTHING: "No event of these days is known: there is nothing to balance.",
    "not yet": "Not all of it is known now; nothing is said of what is not.",
}


@admin.register(Account)
class AccountAdmin(ReadOnly):
    """One equation, a bar for each day, then each writer's day; a loss is explained beside it."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.explain_view)
        return [path("explain/", view, name="audit_account_explain"), *super().get_urls()]

    def explain_view(self, request: HttpRequest) -> HttpResponse:
        """Say how the events of a writer's day came to be lost; the act is recorded first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_view_permission(request) and request.user.has_perm("audit.explain_gap")):
            raise PermissionDenied
        try:
            day = date.fromisoformat(request.POST.get("day", ""))
        except ValueError:
            raise Http404("A day is written 2026-08-18.") from None
        writer, text = request.POST.get("writer", "").replace("\x00", ""), request.POST.get("explanation", "")
        try:
            explain.explain_loss(day, writer, text, by=request.user.get_username())
        except AuditError as error:
            messages.error(request, f"Nothing was explained: {error}")
        else:
            messages.success(request, "Kept, and recorded. The loss stays.")
        shown = QueryDict(mutable=True)
        shown.update({"first": day.isoformat(), "last": day.isoformat(), "writer": writer})
        return redirect(f"{reverse('admin:audit_account_changelist')}?{shown.urlencode()}")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        first, last, writer, wrong = _asked(request)
        found = balance.compute(first, last, writer=writer)
        days = sorted({one.day for one in found.rows}, reverse=True)
        sums = [(day, balance.total(one.line for one in found.rows if one.day == day)) for day in days]
        said = explain.explained_losses(found.rows)
        rows = sorted(found.rows, key=lambda one: (-one.day.toordinal(), one.writer))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Account",
            "found": found,
            "state": badge(LEVELS[found.state], found.state),
            "verdict": VERDICTS[found.state],
            "first": first,
            "last": last,
            "writer": writer,
            "wrong": wrong,
            "chart": balance_chart.account(sums),
            "rows": [(one, _state(one), said.get((one.day, one.writer))) for one in rows[:SHOWN]],
            "losses": [(one, said.get((one.day, one.writer))) for one in rows if one.line.lost][:LOSSES],
            "more": max(len(rows) - SHOWN, 0),
            "rejections": _rejections(first, last, writer),
            "copied_at": time_tag(found.copied_at),
            "read_at": time_tag(found.read_at),
        }
        return TemplateResponse(request, "admin/audit/account/list.html", context)


@admin.register(RejectedSample)
class RejectedSampleAdmin(ReadOnly):
    """A few of the events that were refused, the newest of each writer and reason."""

    list_display = ("time", "writer", "reason", "detail")
    list_filter = ("reason",)
    search_fields = ("writer",)
    search_help_text = "Writer"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        sample = RejectedSample.objects.filter(pk=object_id.replace("\x00", "")[:32]).first()
        if sample is None:
            raise Http404("There is no such rejected event: only the newest are kept.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Rejected event",
            "sample": sample,
            "at": time_tag(sample.at),
            "detail": harmless(sample.detail.encode(errors="backslashreplace")),
            "body": harmless(bytes(sample.body)),
            "size": len(bytes(sample.body)),
        }
        return TemplateResponse(request, "admin/audit/rejectedsample/detail.html", context)

    time = time_column("refused (UTC)", "at")


def harmless(body: bytes) -> str:
    """Bytes as text in which whatever is not for reading is written out: NUL, escapes, marks that turn text around."""
    text = body.decode("utf-8", errors="backslashreplace")
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def _asked(request: HttpRequest) -> tuple[date, date, str, str]:
    """The days and the writer, and what is wrong with them where it is something."""
    today = datetime.now(UTC).date()
    usual = today - timedelta(days=DAYS - 1), today
    writer = request.GET.get("writer", "").replace("\x00", "").strip()
    try:
        last = date.fromisoformat(request.GET.get("last") or today.isoformat())
        first = date.fromisoformat(request.GET.get("first") or (last - timedelta(days=DAYS - 1)).isoformat())
    except (ValueError, OverflowError):
        return *usual, writer, "A day is written 2026-08-18; the last week is shown."
    if not timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
        return *usual, writer, f"From the first to the last day, {MOST_DAYS} at most; the last week is shown."
    return first, last, writer, ""


def _rejections(first: date, last: date, writer: str) -> list[Any]:
    found = visibility.figures(Rejection.objects.filter(day__gte=first, day__lte=last))
    if writer:
        found = found.filter(writer=writer)
    rows = found.order_by().values("writer", "reason").annotate(count=Sum("events"))
    return list(rows.order_by("-count", "writer", "reason")[:SHOWN])


def _state(one: WriterDay) -> SafeString:
    return badge(LEVELS[one.state], one.state)
