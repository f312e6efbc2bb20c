"""The daily review: a calendar of days, each day's exceptions on one page, and the signature under it."""

from calendar import Calendar
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.access import client
from audit.admin.base import ReadOnly, post_act
from audit.admin.completeness.discrepancy import FoundAdmin
from audit.admin.display import badge, number, time_column, time_tag
from audit.admin.search import query_bar
from audit.errors import AuditError
from audit.formats.times import timestamp_text
from audit.models import MissedReview, Review
from audit.review import exception_report, signoff
from audit.review.exception_report import Day, Part, Row
from audit.review.signoff import Standing
from audit.search.cost import TookTooLong

TOO_LONG = "This day has more than can be counted here: look at its records, an hour at a time."
FIRST_YEAR = 1970


@admin.register(Review)
class ReviewAdmin(ReadOnly):
    """A month at a time; each day leads to its page."""

    views: ClassVar = {"day/<str:day>/": "day", "day/<str:day>/review.json": "json", "day/<str:day>/sign/": "sign"}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
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
            yesterday=today - timedelta(days=1),
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("admin:audit_review_day", self.row_or_404(request, object_id).day.isoformat())

    def day_view(self, request: HttpRequest, day: str) -> HttpResponse:
        """Show the exceptions of a day, and who signed them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        reviewed, today = _day(day), datetime.now(UTC).date()
        try:
            shown = signoff.look(reviewed)
        except (AuditError, TookTooLong) as error:
            messages.error(request, TOO_LONG if isinstance(error, TookTooLong) else str(error))
            return redirect("admin:audit_review_changelist")
        (standing,) = signoff.standings([reviewed])
        return self.page(
            request,
            "day",
            title=f"Review of {reviewed}",
            shown=shown,
            state=_state(standing),
            standing=standing,
            signatures=[(review, time_tag(review.signed_at)) for review in standing.reviews],
            came_after=shown.came_after(standing.reviews[-1].shown) if standing.reviews else 0,
            heavy=[_rows(reviewed, part) for part in shown.parts if part.weighs and part.rows],
            light=[_rows(reviewed, part) for part in shown.parts if not part.weighs and part.rows],
            none=[part.title for part in shown.parts if part.weighs and not part.rows],
            may_sign=request.user.has_perm("audit.sign_review") and reviewed < today,
            due_at=time_tag(signoff.due_at(reviewed)),
            before=reviewed - timedelta(days=1),
            after=reviewed + timedelta(days=1) if reviewed < today else None,
        )

    def json_view(self, request: HttpRequest, day: str) -> HttpResponse:
        """Answer the same as JSON."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        reviewed = _day(day)
        try:
            shown = signoff.look(reviewed)
        except TookTooLong:
            return JsonResponse({"error": TOO_LONG}, status=503)
        except AuditError as error:
            return JsonResponse({"error": str(error)}, status=403)
        return JsonResponse(_as_json(shown, *signoff.standings([reviewed])))

    def sign_view(self, request: HttpRequest, day: str) -> HttpResponse:
        """Sign what was shown; the act is recorded first."""

        def act() -> None:
            seen = request.POST.get("digest", ""), number(request.POST.get("signatures", ""))
            by, address = request.user.get_username(), client.address(request)
            try:
                signoff.sign(_day(day), request.POST.get("note", ""), by=by, seen=seen, address=address)
            except TookTooLong:
                raise AuditError(TOO_LONG) from None

        back, success = reverse("admin:audit_review_day", args=[day]), f"The review of {day} is signed, and recorded."
        return post_act(request, "audit.sign_review", act, success, back=back, refusal="Not signed")


@admin.register(MissedReview)
class MissedReviewAdmin(FoundAdmin):
    """The days that nobody signed in time."""

    list_display = ("day", "state_badge", "due", "owner")

    def detail(self, request: HttpRequest, missed: MissedReview) -> dict[str, Any]:
        return {
            "title": f"Missed: {missed}",
            "due_at": time_tag(missed.due_at),
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
        day = date.fromisoformat(f"{text}-01")
    except ValueError:
        day = today
    return (day if day.year >= FIRST_YEAR and day <= today else today).replace(day=1)


def _weeks(month: date) -> list[list[dict[str, Any] | None]]:
    weeks = Calendar().monthdatescalendar(month.year, month.month)
    standings = {standing.day: standing for standing in signoff.standings(day for week in weeks for day in week)}
    return [[_cell(standings[day]) if day.month == month.month else None for day in week] for week in weeks]


def _cell(standing: Standing) -> dict[str, Any]:
    who = ", ".join(dict.fromkeys(review.signed_by for review in standing.reviews))
    is_open = standing.day <= datetime.now(UTC).date()
    return {"day": standing.day, "state": _state(standing), "who": who, "is_open": is_open}


def _state(standing: Standing) -> SafeString:
    state, level = standing.state, signoff.STATES[standing.state]
    return format_html('<span class="quiet">{}</span>', state) if level == "pending" else badge(level, state)


def _rows(day: date, part: Part) -> tuple[Part, list[tuple[Row, str]]]:
    return part, [(row, _address(day, part, row)) for row in part.rows]


def _address(day: date, part: Part, row: Row) -> str:
    """Return where more is said of what a row counts; "" where nothing is."""
    if row.query:
        return f"{reverse('admin:audit_record_changelist')}?{query_bar.parameters(row.query)}"
    if (kind := exception_report.FINDINGS.get(row.what)) is not None:
        return reverse(f"admin:audit_{kind._meta.model_name}_changelist")
    if part.name in ("rejected", "account"):
        return f"{reverse('admin:audit_account_changelist')}?first={day}&last={day}"
    return reverse("admin:audit_verification_changelist") if part.name == "verified" else ""


def _as_json(shown: Day, standing: Standing) -> dict[str, Any]:
    signed = [
        {
            "number": review.number,
            "signed_by": review.signed_by,
            "signed_at": timestamp_text(review.signed_at),
            "note": review.note or None,
            "exceptions": review.exceptions,
            "digest": review.digest,
        }
        for review in standing.reviews
    ]
    came_after = shown.came_after(standing.reviews[-1].shown) if standing.reviews else 0
    facts = {"state": standing.state, "digest": shown.digest, "came_after": came_after, "signatures": signed}
    return shown.document | facts
