"""The daily review: a calendar of days, and a page for each day with its exceptions and signatures."""

from calendar import Calendar
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.access import client
from audit.admin.base import ReadOnly, post_act
from audit.admin.completeness.discrepancy import DiscrepancyAdmin
from audit.admin.display import badge, number, time_column, time_tag
from audit.admin.search import query_bar
from audit.errors import AuditError
from audit.formats.times import timestamp_text
from audit.models import MissedReview, Review
from audit.review import signoff
from audit.review.exception_report import FINDINGS, ExceptionGroup, ExceptionReport, ExceptionRow
from audit.review.signoff import ReviewState
from audit.search.cost import TookTooLong

TOO_LONG = "This day has more than can be counted here: look at its records, an hour at a time."
FIRST_YEAR = 1970
# So far back a day is looked for that waits to be signed.
DUE_DAYS = 60
IN_WORDS = {"not asked for": "not required", "not over": "in progress"}


@admin.register(Review)
class ReviewAdmin(ReadOnly):
    views: ClassVar[dict[str, str]] = {
        "day/<str:day>/": "day",
        "day/<str:day>/review.json": "json",
        "day/<str:day>/sign/": "sign",
    }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        today = datetime.now(UTC).date()
        month = _month(request.GET.get("month", ""), today)
        return self.page(
            request,
            "list",
            title="Daily review",
            month=month,
            weeks=_weeks(month),
            before=(month - timedelta(days=1)).replace(day=1) if month.year > FIRST_YEAR else None,
            after=(month + timedelta(days=31)).replace(day=1) if month < today.replace(day=1) else None,
            waiting=signoff.waiting(),
            due=_next_due(today),
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("admin:audit_review_day", self.row_or_404(request, object_id).day.isoformat())

    def day_view(self, request: HttpRequest, day: str) -> HttpResponse:
        self.require_view(request)
        asked, today = _day(day), datetime.now(UTC).date()
        try:
            report = signoff.report_to_sign(asked)
        except (AuditError, TookTooLong) as error:
            messages.error(request, TOO_LONG if isinstance(error, TookTooLong) else str(error))
            return redirect("admin:audit_review_changelist")
        (review,) = signoff.states([asked])
        groups = [
            (group, [(row, _address(asked, group, row)) for row in group.rows]) for group in report.groups if group.rows
        ]
        return self.page(
            request,
            "day",
            title=f"Review of {asked}",
            report=report,
            state=_badge(review),
            review=review,
            signatures=[(signature, time_tag(signature.signed_at)) for signature in review.reviews],
            added_since=_added_since(report, review),
            exceptions=[(group, rows) for group, rows in groups if group.counts],
            informational=[(group, rows) for group, rows in groups if not group.counts],
            empty=[group.title for group in report.groups if group.counts and not group.rows],
            may_sign=request.user.has_perm("audit.sign_review") and asked < today,
            due_at=time_tag(signoff.due_at(asked)),
            before=asked - timedelta(days=1),
            after=asked + timedelta(days=1) if asked < today else None,
        )

    def json_view(self, request: HttpRequest, day: str) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        self.require_view(request)
        asked = _day(day)
        try:
            report = signoff.report_to_sign(asked)
        except TookTooLong:
            return JsonResponse({"error": TOO_LONG}, status=503)
        except AuditError as error:
            return JsonResponse({"error": str(error)}, status=403)
        return JsonResponse(_as_json(report, *signoff.states([asked])))

    def sign_view(self, request: HttpRequest, day: str) -> HttpResponse:
        signed = _day(day)

        def sign() -> None:
            seen = request.POST.get("digest", ""), number(request.POST.get("signatures", ""))
            by, address = request.user.get_username(), client.address(request)
            try:
                signoff.sign(signed, request.POST.get("note", ""), by=by, seen=seen, address=address)
            except TookTooLong:
                raise signoff.NotSigned(TOO_LONG) from None

        back, text = reverse("admin:audit_review_day", args=[day]), f"The review of {signed} is signed, and recorded."
        return post_act(request, "audit.sign_review", sign, text, back=back, refusal="Not signed")


@admin.register(MissedReview)
class MissedReviewAdmin(DiscrepancyAdmin):
    list_display = ("day", "state_badge", "due", "owner")

    def detail(self, request: HttpRequest, finding: MissedReview) -> dict[str, Any]:
        return {
            "title": f"Missed: {finding}",
            "due_at": time_tag(finding.due_at),
            "asked": "Why nobody reviewed this day in time",
            "unsaid": "Nobody has said yet why this day was not reviewed in time.",
        }

    due = time_column("time was up (UTC)", "due_at")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Http404("A day is written 2026-08-18.") from None
    if day.isoformat() != text or day.year < FIRST_YEAR or day > datetime.now(UTC).date():
        raise Http404(f"There is nothing to review of {day}: a day is looked through when it has begun.")
    return day


def _month(text: str, today: date) -> date:
    """Return the first of the month that an address names; of the current one where it names none."""
    try:
        month = date.fromisoformat(f"{text}-01")
    except ValueError:
        month = today
    return (month if month.year >= FIRST_YEAR and month <= today else today).replace(day=1)


def _weeks(month: date) -> list[list[dict[str, Any] | None]]:
    weeks = Calendar().monthdatescalendar(month.year, month.month)
    states = {state.day: state for state in signoff.states(day for week in weeks for day in week)}
    return [[_calendar_day(states[day]) if day.month == month.month else None for day in week] for week in weeks]


def _next_due(today: date) -> date | None:
    """Return the newest day that waits to be signed, of the last weeks; None where none does."""
    days = signoff.states(today - timedelta(days=ago) for ago in range(1, DUE_DAYS))
    return next((review.day for review in days if review.state in ("due", "missed")), None)


def _calendar_day(review: ReviewState) -> dict[str, Any]:
    who = ", ".join(dict.fromkeys(signature.signed_by for signature in review.reviews))
    has_begun = review.day <= datetime.now(UTC).date()
    return {"day": review.day, "state": _badge(review), "who": who, "has_begun": has_begun}


def _badge(review: ReviewState) -> SafeString:
    level, text = signoff.STATES[review.state], IN_WORDS.get(review.state, review.state)
    return format_html('<span class="quiet">{}</span>', text) if level == "pending" else badge(level, text)


def _added_since(report: ExceptionReport, review: ReviewState) -> int:
    """Exceptions that the last signature did not show."""
    return report.added_since(review.reviews[-1].shown) if review.reviews else 0


def _address(day: date, group: ExceptionGroup, row: ExceptionRow) -> str:
    """The page with what the row counts; "" where there is none."""
    if row.query:
        return f"{reverse('admin:audit_record_changelist')}?{query_bar.parameters(row.query)}"
    if (model := FINDINGS.get(row.label)) is not None:
        return reverse(f"admin:audit_{model._meta.model_name}_changelist")
    if group.name in ("rejected", "account"):
        return f"{reverse('admin:audit_account_changelist')}?first={day}&last={day}"
    return reverse("admin:audit_verification_changelist") if group.name == "verified" else ""


def _as_json(report: ExceptionReport, review: ReviewState) -> dict[str, Any]:
    signatures = [
        {
            "number": signature.number,
            "signed_by": signature.signed_by,
            "signed_at": timestamp_text(signature.signed_at),
            "note": signature.note or None,
            "exceptions": signature.exceptions,
            "digest": signature.digest,
        }
        for signature in review.reviews
    ]
    facts = {"state": review.state, "digest": report.digest, "came_after": _added_since(report, review)}
    return report.document | facts | {"signatures": signatures}
