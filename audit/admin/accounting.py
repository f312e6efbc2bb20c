"""The account: what was received each day of each writer, and what became of it; and what was rejected, and why."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from audit import visibility
from audit.accounting import balance
from audit.admin.base import ReadOnly, post_act
from audit.admin.charts import balance as balance_chart
from audit.admin.display import badge, time_column, time_tag
from audit.completeness import explain
from audit.ingest import rejections
from audit.models import Account, RejectedSample, Rejection

USUAL_DAYS, MAX_DAYS, ROWS_SHOWN, LOSSES_SHOWN = 7, 92, 500, 20
LEVELS = {"balanced": "ok", "lost": "error", "unexplained": "error", "not yet": "pending", balance.NOTHING: "pending"}
VERDICTS = {
    "balanced": "Every event that was received is accounted for.",
    "lost": "Events were promised and are nowhere: Redis lost them.",
    "unexplained": "The counts disagree: tell your security officer, and change nothing.",
    balance.NOTHING: "No event of these days is known: there is nothing to balance.",
    "not yet": "Newer events are still being counted.",
}
IN_WORDS = {"not yet": "in progress"}


@admin.register(Account)
class AccountAdmin(ReadOnly):
    views: ClassVar = {"explain/": "explain"}

    def explain_view(self, request: HttpRequest) -> HttpResponse:
        """Say how the events of a writer's day came to be lost; the act is recorded first."""
        day, writer = (request.POST.get(name, "").replace("\x00", "") for name in ("day", "writer"))

        def act() -> None:
            text, by = request.POST.get("explanation", ""), request.user.get_username()
            self.require_view(request)
            try:
                explain.explain_loss(date.fromisoformat(day), writer, text, by=by)
            except ValueError:
                raise Http404("A day is written 2026-08-18.") from None

        back = f"{reverse('admin:audit_account_changelist')}?{urlencode({'first': day, 'last': day, 'writer': writer})}"
        success, refusal = "Explanation saved. The loss remains on record.", "Nothing was explained"
        return post_act(request, "audit.explain_gap", act, success, back=back, refusal=refusal)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        first, last, writer, wrong = _parameters(request)
        result = balance.compute(first, last, writer=writer)
        explained = explain.explained_losses(result.rows)
        rows = sorted(result.rows, key=lambda row: (-row.day.toordinal(), row.writer))
        days = sorted({row.day for row in rows}, reverse=True)
        refused, others = _rejections(first, last, writer)
        sums = [(day, balance.total(row.line for row in rows if row.day == day)) for day in days]
        return self.page(
            request,
            "list",
            title="Reconciliation",
            balance=result,
            state=_state(result),
            verdict=VERDICTS[result.state],
            first=first,
            last=last,
            writer=writer,
            wrong=wrong,
            chart=balance_chart.account(sums),
            legend=balance_chart.PARTS.values(),
            rows=[
                (
                    row,
                    badge(LEVELS[row.state], IN_WORDS.get(row.state, row.state)),
                    explained.get((row.day, row.writer)),
                )
                for row in rows[:ROWS_SHOWN]
            ],
            losses=[(row, explained.get((row.day, row.writer))) for row in rows if row.line.lost][:LOSSES_SHOWN],
            more=max(len(rows) - ROWS_SHOWN, 0),
            rejections=refused,
            no_rejections=others,
            kept=rejections.KEPT,
            copied_at=time_tag(result.copied_at),
            read_at=time_tag(result.read_at),
        )


@admin.register(RejectedSample)
class RejectedSampleAdmin(ReadOnly):
    list_display = ("time", "writer", "reason", "detail")
    list_filter = ("reason",)
    search_fields = ("writer",)
    search_help_text = "Writer"

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        self.require_view(request)
        sample = RejectedSample.objects.filter(pk=object_id.replace("\x00", "")[:32]).first()
        if sample is None:
            raise Http404("There is no such rejected event: only the newest are kept.")
        body = bytes(sample.body)
        return self.page(
            request,
            "detail",
            title="Rejected event",
            sample=sample,
            at=time_tag(sample.at),
            detail=printable(sample.detail.encode(errors="backslashreplace")),
            body=printable(body),
            size=len(body),
        )

    time = time_column("rejected (UTC)", "at")


def _state(result: balance.Balance) -> SafeString:
    if result.state == "not yet" and result.settled_at is not None:
        return badge("ok", f"balanced up to {result.settled_at:%H:%M:%S}Z")
    return badge(LEVELS[result.state], IN_WORDS.get(result.state, result.state))


def printable(body: bytes) -> str:
    """Bytes as text in which whatever cannot be printed is escaped: NUL, escapes, marks that turn text around."""
    text = body.decode("utf-8", errors="backslashreplace")
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def _parameters(request: HttpRequest) -> tuple[date, date, str, str]:
    """The first and last day and the writer, and what is wrong with them; "" where nothing is."""
    today = datetime.now(UTC).date()
    usual = today - timedelta(days=USUAL_DAYS - 1), today
    writer = request.GET.get("writer", "").replace("\x00", "").strip()
    try:
        last = date.fromisoformat(request.GET.get("last") or today.isoformat())
        first = date.fromisoformat(request.GET.get("first") or (last - timedelta(days=USUAL_DAYS - 1)).isoformat())
    except (ValueError, OverflowError):
        return *usual, writer, "A day is written 2026-08-18; the last week is shown."
    if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS):
        return *usual, writer, f"From the first to the last day, {MAX_DAYS} at most; the last week is shown."
    return first, last, writer, ""


def _rejections(first: date, last: date, writer: str) -> tuple[list[Any], list[Any]]:
    """What was rejected, which adds up to the figure of that name, and what only stands beside it."""
    rows = visibility.visible_totals(Rejection.objects.filter(day__gte=first, day__lte=last))
    if writer:
        rows = rows.filter(writer=writer)
    sums = rows.order_by().values("writer", "reason").annotate(count=Sum("events"))
    ordered, others = sums.order_by("-count", "writer", "reason"), rejections.NO_EVENTS
    refused = ordered.exclude(reason__in=others)
    return list(refused[:ROWS_SHOWN]), list(ordered.filter(reason__in=others)[:ROWS_SHOWN])
