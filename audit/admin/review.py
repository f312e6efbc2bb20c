"""The daily review: a calendar of days, each day's exceptions on one page, and the signature under it."""

from calendar import Calendar
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.access import client
from audit.admin.base import ReadOnly
from audit.admin.completeness.discrepancy import FoundAdmin
from audit.admin.display import badge, time_column, time_tag
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


class Cell(NamedTuple):
    """A day of the calendar."""

    day: date
    state: SafeString
    who: str
    is_open: bool
    """Whether there is something to see yet."""


@admin.register(Review)
class ReviewAdmin(ReadOnly):
    """A month at a time; each day leads to its page."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("day/<str:day>/", wrap(self.day_view), name="audit_review_day"),
            path("day/<str:day>/review.json", wrap(self.twin_view), name="audit_review_json"),
            path("day/<str:day>/sign/", wrap(self.sign_view), name="audit_review_sign"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._require(request, "view")
        today = datetime.now(UTC).date()
        month = _month(request.GET.get("month", ""), today)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Daily review",
            "month": month,
            "weeks": [[_cell(month, one) for one in week] for week in _weeks(month)],
            "before": (month - timedelta(days=1)).replace(day=1) if month.year > FIRST_YEAR else None,
            "after": (month + timedelta(days=31)).replace(day=1) if month < today.replace(day=1) else None,
            "waiting": signoff.waiting(),
            "yesterday": today - timedelta(days=1),
        }
        return TemplateResponse(request, "admin/audit/review/list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._require(request, "view")
        found = Review.objects.filter(pk=object_id).first() if object_id.isascii() and object_id.isdigit() else None
        if found is None:
            raise Http404("There is no such review.")
        return redirect("admin:audit_review_day", found.day.isoformat())

    def day_view(self, request: HttpRequest, day: str) -> HttpResponse:
        """The exceptions of a day, and who signed them."""
        self._require(request, "view")
        asked = _day(day)
        try:
            shown = signoff.look(asked)
        except (AuditError, TookTooLong) as error:
            messages.error(request, TOO_LONG if isinstance(error, TookTooLong) else str(error))
            return redirect("admin:audit_review_changelist")
        (standing,) = signoff.standings([asked])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Review of {asked}",
            "shown": shown,
            "state": _state(standing),
            "standing": standing,
            "signatures": [(one, time_tag(one.signed_at)) for one in standing.reviews],
            "came_after": shown.came_after(standing.reviews[-1].shown) if standing.reviews else 0,
            "heavy": [_rows(asked, part) for part in shown.parts if part.weighs and part.rows],
            "light": [_rows(asked, part) for part in shown.parts if not part.weighs and part.rows],
            "none": [part.title for part in shown.parts if part.weighs and not part.rows],
            "may_sign": request.user.has_perm("audit.sign_review") and asked < datetime.now(UTC).date(),
            "due_at": time_tag(signoff.due_at(asked)),
            "before": asked - timedelta(days=1),
            "after": asked + timedelta(days=1) if asked < datetime.now(UTC).date() else None,
        }
        return TemplateResponse(request, "admin/audit/review/day.html", context)

    def twin_view(self, request: HttpRequest, day: str) -> HttpResponse:
        """The same as JSON."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        self._require(request, "view")
        asked = _day(day)
        try:
            shown = signoff.look(asked)
        except TookTooLong:
            return JsonResponse({"error": TOO_LONG}, status=503)
        except AuditError as error:
            return JsonResponse({"error": str(error)}, status=403)
        return JsonResponse(_as_json(shown, *signoff.standings([asked])))

    def sign_view(self, request: HttpRequest, day: str) -> HttpResponse:
        """Sign what was shown; the act is recorded first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._require(request, "sign")
        asked, number = _day(day), request.POST.get("signatures", "")
        seen = request.POST.get("digest", ""), int(number) if number.isascii() and number.isdigit() else -1
        try:
            signoff.sign(
                asked,
                request.POST.get("note", ""),
                by=request.user.get_username(),
                seen=seen,
                address=client.address(request),
            )
        except (AuditError, TookTooLong) as error:
            messages.error(request, f"Not signed: {TOO_LONG if isinstance(error, TookTooLong) else error}")
        else:
            messages.success(request, f"The review of {asked} is signed, and recorded.")
        return redirect("admin:audit_review_day", asked.isoformat())

    def _require(self, request: HttpRequest, act: str) -> None:
        if not request.user.has_perm(f"audit.{act}_review"):
            raise PermissionDenied


@admin.register(MissedReview)
class MissedReviewAdmin(FoundAdmin):
    """The days that nobody signed in time."""

    list_display = ("day", "state_badge", "due", "owner")

    def detail(self, request: HttpRequest, found: MissedReview) -> dict[str, Any]:
        return {
            "title": f"Missed: {found}",
            "due_at": time_tag(found.due_at),
            "asked": "Why nobody reviewed this day in time",
            "unsaid": "Nobody has said yet why this day was not reviewed in time.",
        }

    due = time_column("time was up (UTC)", "due_at")


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise Http404("A day is written 2026-08-18.") from None
    if found.isoformat() != text or found.year < FIRST_YEAR or found > datetime.now(UTC).date():
        raise Http404(f"There is nothing to review of {found}: a day is looked through when it has begun.")
    return found


def _month(text: str, today: date) -> date:
    """The first of the month that is asked for; of this one where that is none."""
    try:
        found = date.fromisoformat(f"{text}-01")
    except ValueError:
        found = today
    return (found if found.year >= FIRST_YEAR and found <= today else today).replace(day=1)


def _weeks(month: date) -> list[list[Standing]]:
    weeks = Calendar().monthdatescalendar(month.year, month.month)
    found = {one.day: one for one in signoff.standings(day for week in weeks for day in week)}
    return [[found[day] for day in week] for week in weeks]


def _cell(month: date, one: Standing) -> Cell | None:
    if one.day.month != month.month:
        return None
    who = ", ".join(dict.fromkeys(signed.signed_by for signed in one.reviews))
    is_open = one.day <= datetime.now(UTC).date()
    return Cell(one.day, _state(one), who, is_open)


def _state(one: Standing) -> SafeString:
    level = signoff.STATES[one.state]
    return format_html('<span class="quiet">{}</span>', one.state) if level == "pending" else badge(level, one.state)


def _rows(day: date, part: Part) -> tuple[Part, list[tuple[Row, str]]]:
    return part, [(row, _address(day, part, row)) for row in part.rows]


def _address(day: date, part: Part, row: Row) -> str:
    """Where more is told of what a row counts; "" where nothing is."""
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
            "number": one.number,
            "signed_by": one.signed_by,
            "signed_at": timestamp_text(one.signed_at),
            "note": one.note or None,
            "exceptions": one.exceptions,
            "digest": one.digest,
        }
        for one in standing.reviews
    ]
    came_after = shown.came_after(standing.reviews[-1].shown) if standing.reviews else 0
    facts = {"state": standing.state, "digest": shown.digest, "came_after": came_after, "signatures": signed}
    return shown.document | facts
